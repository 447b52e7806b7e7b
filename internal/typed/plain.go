package typed

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// IsPlain reports whether s is UTF-8 without control characters.
func IsPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f {
			return isPlainUnicode(s)
		}
	}
	return true
}

func isPlainUnicode(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}
