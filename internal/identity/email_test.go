package identity_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/identity"
)

func TestEmail(t *testing.T) {
	long := strings.Repeat("a", 60) + "@" + strings.Repeat(strings.Repeat("b", 60)+".", 3) + "example"
	for text, want := range map[string]string{
		"alice@example.com":                         "alice@example.com",
		"Alice+Bank@EXAMPLE.com":                    "Alice+Bank@example.com",
		"o'neil_-x@sub.example.co.uk":               "o'neil_-x@sub.example.co.uk",
		long:                                        long,
		long + "." + strings.Repeat("c", 30):        "",
		strings.Repeat("a", 65) + "@example.com":    "",
		"":                                          "",
		"alice":                                     "",
		"@example.com":                              "",
		"alice@":                                    "",
		"alice@@example.com":                        "",
		"alice@example.com,bob@example.com":         "",
		"alice@example.com, bob@example.com":        "",
		"alice@example.com;bob@example.com":         "",
		"alice@example.com bob@example.com":         "",
		"Alice <alice@example.com>":                 "",
		"<alice@example.com>":                       "",
		`"alice"@example.com`:                       "",
		"alice(work)@example.com":                   "",
		"alice@example.com\r\nBcc: bob@example.com": "",
		"alice@example.com\n":                       "",
		"alice\x00@example.com":                     "",
		" alice@example.com":                        "",
		"alice@[192.0.2.1]":                         "",
		"alice..b@example.com":                      "",
		".alice@example.com":                        "",
		"alice@example..com":                        "",
		"alicé@example.com":                         "",
		"alice@exämple.com":                         "",
		"{number}@example.com":                      "",
	} {
		got, err := identity.Email(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
		if err != nil && !errors.Is(err, identity.ErrEmail) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzEmail(f *testing.F) {
	for _, s := range []string{"alice@example.com", "a@b,c@d", "a@b\r\nRCPT TO:<c@d>", `"a b"@c`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := identity.Email(s)
		if err != nil {
			return
		}
		if len(got) > identity.MaxEmail || strings.Count(got, "@") != 1 || strings.ContainsAny(got, "\r\n ,;<>\"") || !strings.EqualFold(got, s) {
			t.Errorf("%q: %q", s, got)
		}
		if again, err := identity.Email(got); again != got || err != nil {
			t.Errorf("%q: %q, %v", got, again, err)
		}
	})
}
