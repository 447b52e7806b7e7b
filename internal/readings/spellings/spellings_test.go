package spellings

import "testing"

func TestOf(t *testing.T) {
	seen := map[string]bool{}
	first := ""
	for s := range Of("/admin/secret") {
		if first == "" {
			first = s
		}
		if seen[s] {
			t.Fatalf("%q comes twice", s)
		}
		seen[s] = true
		for i := 0; i < len(s); i++ {
			if s[i] <= ' ' || s[i] > '~' {
				t.Fatalf("%q cannot be sent in a request line", s)
			}
		}
	}
	if first != "/admin/secret" {
		t.Errorf("first = %q", first)
	}
	if len(seen) < 2000 {
		t.Errorf("only %d spellings", len(seen))
	}
	n := 0
	for s := range Of("/admin/secret") { // the same again, and stoppable
		if !seen[s] {
			t.Fatalf("%q is new", s)
		}
		if n++; n == 3000 {
			break
		}
	}
}
