package identity_test

import (
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

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
		"ΓΙΏΡΓΟΣ":                "γιώργοσ",
		"Иван":                   "иван",
		"Åsa":                    "åsa",
		"山田":                     "山田",
		"क़ासिम":                 "क़ासिम",
		"\tAlice\r\n":            "alice",
		"DOMAIN\\Alice":          "domain\\alice",
		"CN=Alice,O=Acme":        "cn=alice,o=acme",
		"":                       "",
		"   ":                    "",
		"a\x00b":                 "",
		"a\nb":                   "",
		"\xff":                   "",
		strings.Repeat("a", 256): strings.Repeat("a", 256),
		strings.Repeat("a", 257): "",
		strings.Repeat("Ⱥ", 128): "", // its small letter is longer
	} {
		got, err := identity.Folded(in)
		if got != want || (err == nil) != (want != "") || err != nil && !errors.Is(err, identity.ErrUser) {
			t.Errorf("%q gave %q, %v; want %q", in, got, err, want)
		}
	}
}

// TestS21FoldedRefusesOtherSpellings: whom such an id names depends on who compares,
// so it is neither itself nor the plain one.
func TestS21FoldedRefusesOtherSpellings(t *testing.T) {
	for _, id := range []string{
		"\u212aelly", "\u017fam", "stra\u00dfe", "STRA\u1e9eE", "\ufb01nn", "alice\u00a0", "\u00a0alice", "al\u00a0ice", "alice\u2003", "alice\u3000",
		"alice\u200b", "\ufeffalice", "al\u00adice", "al\u200dice", "\u202ealice", "alice\ufe0f", "\u3164alice", "\uff41lice", "\U0001d41alice", "\u24d0lice",
		"\u0131an", "\u0130an", "\u212bsa", "\u2126mega", "\u00b5", "\u03c2", "\u0149", "\u01f0", "\u01c5", "\u2167", "\u00aa", "a\u00b2", "\uf900", "\u1e9b", "\u0345x",
	} {
		for _, id := range []string{id, "  " + id + " "} {
			if got, err := identity.Folded(id); got != "" || !errors.Is(err, identity.ErrSpelling) {
				t.Errorf("%q gave %q, %v", id, got, err)
			}
		}
		if got, err := identity.Exact(id); got != id || err != nil {
			t.Errorf("exact: %q gave %q, %v", id, got, err)
		}
	}
}

// TestS21FoldedIsNotWider: ids that are one now were one before, so that no two
// people become one.
func TestS21FoldedIsNotWider(t *testing.T) {
	for c := rune(' '); c <= unicode.MaxRune; c++ {
		id := "a" + string(c)
		folded, err := identity.Folded(id)
		if err != nil || !utf8.ValidRune(c) {
			continue
		}
		if wide := identity.WideFold(folded); wide != identity.WideFold(id) {
			t.Errorf("%q (%U) is %q, once %q", id, c, folded, identity.WideFold(id))
		}
		if again, err := identity.Folded(folded); again != folded || err != nil {
			t.Errorf("%q (%U) folds to %q, and that to %q, %v", id, c, folded, again, err)
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
	for _, s := range []string{"Alice", "Jose\u0301", "Straße", "ŉ", "\u0345\u0301", "İ", "Ⱥ\u0301", "ΐ", "ǰ", " x\u00a0"} {
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
