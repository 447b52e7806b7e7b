package readings

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// The rewrites by Unicode: other spellings of the same characters.

func composeNFC(dst []byte, s string) []byte { return norm.NFC.AppendString(dst, s) }

// composeNFKC turns compatibility forms into what they stand for: a fullwidth
// solidus into '/', a one dot leader into '.', a long s into 's'.
func composeNFKC(dst []byte, s string) []byte { return norm.NFKC.AppendString(dst, s) }

// foldRunes replaces characters beyond ASCII that a comparison in lower case
// would take for others than an application may: those whose case folding
// goes through upper case (long s, dotless i, final sigma) or into ASCII
// (Kelvin sign), slashes that Windows fits to its code page, and those that
// file systems ignore (zero width joiners and their like on HFS+).
func foldRunes(dst []byte, s string) []byte {
	for i := 0; i < len(s); {
		c, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case c < utf8.RuneSelf || c == utf8.RuneError:
			dst = append(dst, s[i:i+size]...)
		case c == '\u2215' || c == '\u2044': // division and fraction slash
			dst = append(dst, '/')
		case c == '\u2216' || c == '\u29f5': // set minus, reverse solidus operator
			dst = append(dst, '\\')
		case ignorable(c):
		default:
			f := unicode.ToLower(unicode.ToUpper(c))
			if f >= utf8.RuneSelf && f == unicode.ToLower(c) {
				f = c
			}
			dst = utf8.AppendRune(dst, f)
		}
		i += size
	}
	return dst
}

func ignorable(c rune) bool {
	return c == '\u00ad' || c == '\ufeff' ||
		'\u200b' <= c && c <= '\u200f' ||
		'\u202a' <= c && c <= '\u202e' ||
		'\u2060' <= c && c <= '\u206f'
}
