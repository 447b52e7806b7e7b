package readings

// Classes of bytes that can give a path a second reading.
const (
	plain  byte = iota
	always      // whatever stands around it
	slash
	dot
	end // '?', where the path ends
)

var class = func() (t [256]byte) {
	for c := range t {
		if c <= ' ' || c >= 0x7f {
			t[c] = always
		}
	}
	// '+' is a space to urldecode, '$' ends an NTFS stream name.
	for _, c := range `%\;#+$` {
		t[c] = always
	}
	t['/'], t['.'], t['?'] = slash, dot, end
	return t
}()

// Single reports whether the path of a raw request target (http.Request's
// RequestURI) has one reading only, the target up to the first '?'. It is a
// conservative scan of bytes: false means "ask Paths", which may still find
// but one.
func Single(target string) bool {
	if len(target) == 0 || target[0] != '/' {
		return false
	}
	var (
		prev  = slash // class of the byte before
		dotAt = 0     // where the segment's last dot is, 0 for none
		i     = 1
	)
scan:
	for ; i < len(target); i++ {
		c := class[target[i]]
		switch c {
		case plain:
		case slash:
			if prev != plain || dotAt > 0 && (isScript(target[dotAt+1:i]) || splitsBehind(target[dotAt:i]) > 0) {
				return false
			}
			dotAt = 0
		case dot:
			if prev == slash || dotAt > 0 && splitsBehind(target[dotAt:i+1]) > 0 {
				return false
			}
			dotAt = i
		case end:
			break scan
		default:
			return false
		}
		prev = c
	}
	if dotAt > 0 && splitsBehind(target[dotAt:i]) > 0 {
		return false
	}
	return (i == 1 || prev == plain) && !pathInQuery(target[i:])
}

// pathInQuery reports whether a query, with its question mark, begins with a path.
func pathInQuery(q string) bool {
	return len(q) > 1 && (q[1] == '/' || len(q) > 3 && q[1] == '%' && q[2] == '2' && q[3]|0x20 == 'f')
}
