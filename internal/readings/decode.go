package readings

import (
	"strings"
	"unicode/utf8"
)

// The rewrites of a path's encoding.

func decodeAll(dst []byte, s string) []byte      { return unescape(dst, s, keepNothing) }
func decodeButSlash(dst []byte, s string) []byte { return unescape(dst, s, '/') }

const keepNothing = -1

// unescape decodes percent-escapes once. Those that are none, and those of
// the byte keep, stay as they are.
func unescape(dst []byte, s string, keep int) []byte {
	for {
		i := strings.IndexByte(s, '%')
		if i < 0 {
			return append(dst, s...)
		}
		dst = append(dst, s[:i]...)
		s = s[i:]
		if len(s) >= 3 {
			hi, lo := unhex(s[1]), unhex(s[2])
			if c := hi<<4 | lo; hi >= 0 && lo >= 0 && c != keep {
				dst = append(dst, byte(c))
				s = s[3:]
				continue
			}
		}
		dst = append(dst, '%')
		s = s[1:]
	}
}

// decodeUnicode decodes percent-escapes and those of JScript and IIS,
// "%u002f", in one pass.
func decodeUnicode(dst []byte, s string) []byte {
	for {
		i := strings.Index(s, "%u")
		if j := strings.Index(s, "%U"); i < 0 || j >= 0 && j < i {
			i = j
		}
		if i < 0 {
			return decodeAll(dst, s)
		}
		dst = decodeAll(dst, s[:i])
		s = s[i:]
		if len(s) >= 6 {
			a, b, c, d := unhex(s[2]), unhex(s[3]), unhex(s[4]), unhex(s[5])
			if a|b|c|d >= 0 {
				dst = utf8.AppendRune(dst, rune(a<<12|b<<8|c<<4|d))
				s = s[6:]
				continue
			}
		}
		dst = append(dst, s[:2]...)
		s = s[2:]
	}
}

// unhex returns the value of a hexadecimal digit, negative for none.
func unhex(c byte) int { return int(hexDigits[c]) }

var hexDigits = func() (t [256]int8) {
	for c := range t {
		switch {
		case '0' <= c && c <= '9':
			t[c] = int8(c - '0')
		case 'a' <= c && c <= 'f':
			t[c] = int8(c-'a') + 10
		case 'A' <= c && c <= 'F':
			t[c] = int8(c-'A') + 10
		default:
			t[c] = -1
		}
	}
	return t
}()

// foldOverlong decodes UTF-8 as decoders did that forgot to check for the
// shortest form (RFC 3629 section 10): C0 AF and E0 80 AF are a slash. After
// C0 and C1 any byte counts as a continuation: C1 1C was IIS's backslash.
func foldOverlong(dst []byte, s string) []byte {
	for i := 0; i < len(s); {
		n, least := 1, rune(0)
		c := rune(s[i])
		switch b := s[i]; {
		case b < 0xc0:
		case b < 0xe0:
			n, least, c = 2, 0x80, c&0x1f
		case b < 0xf0:
			n, least, c = 3, 0x800, c&0x0f
		case b < 0xf8:
			n, least, c = 4, 0x10000, c&0x07
		case b < 0xfc:
			n, least, c = 5, 0x200000, c&0x03
		case b < 0xfe:
			n, least, c = 6, 0x4000000, c&0x01
		}
		ok := n > 1 && i+n <= len(s)
		for j := 1; ok && j < n; j++ {
			ok = s[i+j]&0xc0 == 0x80 || s[i] <= 0xc1
			c = c<<6 | rune(s[i+j]&0x3f)
		}
		if ok && c < least {
			dst = utf8.AppendRune(dst, c)
			i += n
		} else {
			dst = append(dst, s[i])
			i++
		}
	}
	return dst
}

// latin1 reads bytes that are not UTF-8 as ISO 8859-1, Tomcat's old default.
func latin1(dst []byte, s string) []byte {
	return eachInvalid(dst, s, func(dst []byte, b byte) []byte { return utf8.AppendRune(dst, rune(b)) })
}

// dropInvalid leaves bytes that are not UTF-8 out, as iconv's //IGNORE does.
func dropInvalid(dst []byte, s string) []byte {
	return eachInvalid(dst, s, func(dst []byte, _ byte) []byte { return dst })
}

func eachInvalid(dst []byte, s string, to func(dst []byte, b byte) []byte) []byte {
	for i := 0; i < len(s); {
		c, size := utf8.DecodeRuneInString(s[i:])
		if c == utf8.RuneError && size == 1 {
			dst = to(dst, s[i])
		} else {
			dst = append(dst, s[i:i+size]...)
		}
		i += size
	}
	return dst
}
