// Package typed reads what people type: codes from any keyboard, and names that
// others will see. It decides nothing.
package typed

import (
	"strings"
	"unicode"
)

// Code is a code as factors take it. It may come from any keyboard: its
// digits in any script, its letters of full width, with the blanks and dashes
// that it is shown with and the marks of direction that come along where it is
// copied. What is left is one spelling, so a code that was used in one spelling
// is used in all (S04).
func Code(code string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r < unicode.MaxASCII && r != ' ' && r != '\t' && r != '-':
			return r
		case unicode.IsSpace(r), unicode.In(r, unicode.Pd, unicode.Cf), r == '−':
			return -1
		case r >= 'Ａ' && r <= 'Ｚ':
			return r - 'Ａ' + 'A'
		case r >= 'ａ' && r <= 'ｚ':
			return r - 'ａ' + 'a'
		}
		return asciiDigit(r)
	}, code)
}

// asciiDigit is the digit of ASCII that a digit of any script stands for; other
// characters are themselves. The digits of a script follow each other from zero
// to nine (Unicode 17, section 4.6), and whole scripts may follow each other.
func asciiDigit(r rune) rune {
	if !unicode.Is(unicode.Nd, r) {
		return r
	}
	for _, in := range unicode.Nd.R16 {
		if r <= rune(in.Hi) {
			return '0' + (r-rune(in.Lo))%10
		}
	}
	for _, in := range unicode.Nd.R32 {
		if r <= rune(in.Hi) {
			return '0' + (r-rune(in.Lo))%10
		}
	}
	return r
}
