package sms_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/sentcode"
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

// The line by which phones fill a code in names a host of the operator's only: on a
// site for every Host somebody with the password chooses it.
func TestLineForAutofillNamesTheOperatorsHosts(t *testing.T) {
	var text string
	codes := sentcode.Codes{Issuer: "Acme", Send: func(_ context.Context, _, sent string) error { text = sent; return nil }}
	f := sms.New(codes, sms.Numbers{}, func(host string) bool { return host == "bank.example" })
	for site, line := range map[string]string{
		"https://bank.example": "\n\n@bank.example #481632", "https://bank.example:8443": "\n\n@bank.example #481632",
		"https://evil.example": "", "http://bank.example": "", "": "",
	} {
		if err := f.Deliver(t.Context(), "+4915123456789", ceremony.Message{Code: "481632", Site: site}); err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimPrefix(text, "481632 is your code (Acme). Nobody from us will ever ask you for it."); got != line {
			t.Errorf("%s: %q, want %q", site, got, line)
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
