package readings

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// maxDepth is how often a name, a value or a query is decoded in search of
// something new; what is nested deeper cannot be told.
const maxDepth = 6

// maxValues bounds what one request can make a fieldReader collect.
const maxValues = 64

// maxPlain is how many fields a form may have for one of them to be exempted:
// PHP drops those over 1,000 (max_input_vars), so that one which is there is not.
const maxPlain = 500

// QueryValues lists the readings of every value that an application could
// find under name in a raw query. certain is false where the query may hold
// more than could be told. See Form.Values for how names are compared.
func QueryValues(query, name string) (values []string, certain bool) {
	f := tableOfNames(name).read()
	f.query(query, sent)
	return f.list()
}

// valueList collects the readings of values.
type valueList struct {
	values []string
	unsure bool // there may be more
}

// add collects a value as it is and decoded, again and again.
func (l *valueList) add(value string) {
	for depth := 0; ; depth++ {
		if !slices.Contains(l.values, value) {
			if len(l.values) == maxValues {
				l.unsure = true
				return
			}
			l.values = append(l.values, value)
		}
		next := decodeField(value)
		if next == value {
			return
		}
		if depth == maxDepth {
			l.unsure = true
			return
		}
		value = next
	}
}

// list lists the readings of all values that were found.
func (f *Found) list() (values []string, certain bool) {
	var l valueList
	l.addAll(f)
	return l.values, !l.unsure
}

// addAll collects what was found at any place.
func (l *valueList) addAll(f *Found) {
	f.readQueries()
	for i := range f.kept {
		o := &f.kept[i]
		l.unsure = l.unsure || o.kind == doubtful
		if l.unsure {
			return
		}
		for _, v := range f.readingsOf(&f.texts[o.text]) {
			if !slices.Contains(l.values, v.text) {
				if len(l.values) == maxValues {
					l.unsure = true
					return
				}
				l.values = append(l.values, v.text)
			}
		}
		l.unsure = l.unsure || f.texts[o.text].deep
	}
	l.unsure = l.unsure || f.unsure
}

// hidesSeparator reports whether decoding could part or join fields: an
// escaped '&', ';' or '=', or an escaped escape.
func hidesSeparator(q string) bool {
	for {
		i := strings.IndexByte(q, '%')
		if i < 0 || i+2 >= len(q) {
			return false
		}
		q = q[i+1:]
		if q[0]|0x20 == 'u' && len(q) >= 5 && unhex(q[1])|unhex(q[2])|unhex(q[3])|unhex(q[4]) >= 0 {
			return true
		}
		if hi, lo := unhex(q[0]), unhex(q[1]); hi|lo >= 0 {
			switch byte(hi<<4 | lo) {
			case '&', ';', '=', '%':
				return true
			}
		}
	}
}

const blanks = " \t\r\n\v\f"

// sameName compares names without their case and subscripts ("a[]" is "a"),
// and with '.', ' ' and '[' as '_', which is what PHP makes of them. Brackets
// around a name, or a stray one, are none of it to qs ("[a]") and Rack ("[a",
// "a]").
func sameName(name, want string) bool {
	if equalNames(name, want) {
		return true
	}
	if strings.IndexByte(name, '[') < 0 && strings.IndexByte(name, ']') < 0 {
		return false
	}
	return equalNames(withoutSubscript(name), want)
}

// withoutSubscript returns what stands before or in the first brackets of a name.
func withoutSubscript(name string) string {
	bare := strings.TrimLeft(name, "[]")
	if i := strings.IndexAny(bare, "[]"); i >= 0 {
		bare = bare[:i]
	}
	return strings.TrimRight(bare, blanks)
}

func equalNames(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		if nameByte[a[i]] != nameByte[b[i]] {
			return false
		}
	}
	return true
}

var nameByte = func() [256]byte {
	t := lowerByte
	t['.'], t[' '], t['['] = '_', '_', '_'
	return t
}()

// decodeField decodes a name or value once: plus signs, percent-escapes and those
// of JScript; without allocating if there is nothing to decode.
func decodeField(s string) string {
	at := strings.IndexByte(s, '%')
	if plus := strings.IndexByte(s, '+'); plus >= 0 && (at < 0 || plus < at) {
		at = plus
	}
	if at < 0 {
		return s
	}
	b := append(make([]byte, 0, len(s)), s[:at]...)
	for i := at; i < len(s); {
		switch c := s[i]; {
		case c == '+':
			b = append(b, ' ')
			i++
		case c != '%':
			end := i + 1
			for end < len(s) && s[end] != '%' && s[end] != '+' {
				end++
			}
			b = append(b, s[i:end]...)
			i = end
		case i+2 >= len(s):
			b = append(b, c)
			i++
		case s[i+1]|0x20 == 'u' && i+5 < len(s) && unhex(s[i+2])|unhex(s[i+3])|unhex(s[i+4])|unhex(s[i+5]) >= 0:
			b = utf8.AppendRune(b, rune(unhex(s[i+2])<<12|unhex(s[i+3])<<8|unhex(s[i+4])<<4|unhex(s[i+5])))
			i += 6
		default:
			if hi, lo := unhex(s[i+1]), unhex(s[i+2]); hi|lo >= 0 {
				b = append(b, byte(hi<<4|lo))
				i += 3
			} else {
				b = append(b, c)
				i++
			}
		}
	}
	return string(b)
}
