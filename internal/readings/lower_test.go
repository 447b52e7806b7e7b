package readings

import (
	"strings"
	"testing"
)

// lowerASCII changes the capitals of ASCII and nothing else, wherever they stand.
func TestLowerASCII(t *testing.T) {
	reference := func(s string) string {
		return strings.Map(func(c rune) rune {
			if 'A' <= c && c <= 'Z' {
				return c + 'a' - 'A'
			}
			return c
		}, s)
	}
	for at := range 24 {
		for c := range 256 {
			// Neighbors of every class: a carry into the next byte would show.
			for _, fill := range []string{"a", "Z", "@", "[", "`", "{", "\x00", "\x7f"} {
				b := []byte(strings.Repeat(fill, 24))
				b[at] = byte(c)
				want := make([]byte, len(b))
				for i, v := range b {
					want[i] = lowerByte[v]
				}
				if got := lowerASCII(string(b)); got != string(want) {
					t.Fatalf("lowerASCII(%q) = %q, want %q", b, got, want)
				}
			}
		}
	}
	const mixed = "Content-Disposition: FORM-DATA; name=\"Betrag in Ä\"; \u212a\u017f"
	for n := range len(mixed) {
		if s := strings.ToValidUTF8(mixed[n:], ""); lowerASCII(s) != reference(s) {
			t.Errorf("lowerASCII(%q) = %q, want %q", s, lowerASCII(s), reference(s))
		}
	}
	if s := strings.Repeat("no capitals ", 9); testing.AllocsPerRun(9, func() { lowerASCII(s) }) != 0 {
		t.Error("a text without capitals is copied")
	}
}
