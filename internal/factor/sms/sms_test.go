package sms_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/sms"
)

func TestParse(t *testing.T) {
	n := sms.Numbers{Country: "DE", Countries: []string{"DE", "AT"}}
	for text, want := range map[string]string{
		"+49 1512 3456789":  "+4915123456789",
		"01512 3456789":     "+4915123456789",
		"0049 1512 3456789": "+4915123456789",
		" +4915123456789 ":  "+4915123456789",
		"＋４９　１５１２　３４５６７８９":         "+4915123456789", // from a Japanese keyboard
		"+٤٩ ١٥١٢ ٣٤٥٦٧٨٩":         "+4915123456789", // and an Arabic one
		"+43 664 1234567":          "+436641234567",
		"+1 212 555 0123":          "", // another country
		"+49 900 1234567":          "", // premium rate
		"+49 800 1234567":          "", // toll free
		"112":                      "", // an emergency number
		"":                         "",
		"+":                        "",
		"+4915123456789;ext=5":     "",
		"+49 1512 3456789\nBcc: x": "",
		"tel:+4915123456789":       "+4915123456789",
		strings.Repeat("1", 100):   "",
	} {
		got, err := n.Parse(text)
		if got != want {
			t.Errorf("%q: %q, want %q (%v)", text, got, want, err)
		}
		if want == "" && !errors.Is(err, ceremony.ErrInvalid) {
			t.Errorf("%q: %v", text, err)
		}
		if err != nil && len(text) > 3 && strings.Contains(err.Error(), text) {
			t.Errorf("the error holds the number: %v", err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"+4915123456789", "01512/345", "+1", "+49 (1512) 34-56.789"} {
		f.Add(s)
	}
	n := sms.Numbers{Country: "DE", Countries: []string{"DE"}}
	f.Fuzz(func(t *testing.T, s string) {
		number, err := n.Parse(s)
		if err == nil && (!strings.HasPrefix(number, "+49") || len(number) > 16 || strings.Trim(number[1:], "0123456789") != "") {
			t.Errorf("%q: %q", s, number)
		}
	})
}
