package identity_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/identity"
)

func TestFolded(t *testing.T) {
	for in, want := range map[string]string{
		"alice":                  "alice",
		"Alice":                  "alice",
		" alice ":                "alice",
		"ALICE@EXAMPLE.COM":      "alice@example.com",
		"Alice Cooper":           "alice cooper",
		"Jose\u0301":             "jos\u00e9",
		"JOSÉ":                   "jos\u00e9",
		"Straße":                 "strasse",
		"CN=Alice,O=Acme":        "cn=alice,o=acme",
		"":                       "",
		"   ":                    "",
		"a\x00b":                 "",
		"a\nb":                   "",
		"\xff":                   "",
		strings.Repeat("a", 256): strings.Repeat("a", 256),
		strings.Repeat("a", 257): "",
		strings.Repeat("ŉ", 128): "", // grows when folded
	} {
		got, err := identity.Folded(in)
		if got != want || (err == nil) != (want != "") || err != nil && !errors.Is(err, identity.ErrUser) {
			t.Errorf("%q gave %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestExact(t *testing.T) {
	for in, ok := range map[string]bool{"Alice": true, " a ": true, "": false, "a\tb": false, "\u0085": false, "\xc3": false} {
		if got, err := identity.Exact(in); (err == nil) != ok || ok && got != in {
			t.Errorf("%q gave %q, %v", in, got, err)
		}
	}
}

// A folded id is folded: otherwise one person could have two records.
func FuzzFolded(f *testing.F) {
	for _, s := range []string{"Alice", "Jose\u0301", "Straße", "ŉ", "\u0345\u0301", "İ", "ǰ", " x\u00a0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once, err := identity.Folded(s)
		if err != nil {
			return
		}
		twice, err := identity.Folded(once)
		if err != nil || twice != once {
			t.Errorf("%q folds to %q, and that to %q (%v)", s, once, twice, err)
		}
	})
}
