package identity_test

import (
	"net/http/httptest"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/identity"
)

// A name that Check would refuse is one that HeaderNames may have, in every
// spelling, so that nothing is overlooked where no name may be one.
func TestS21HeaderNamesHaveAll(t *testing.T) {
	p := identity.NewPlaces([]identity.Credential{{Kind: identity.Header, Name: "_odd."}, {Kind: identity.Header, Name: "x"}}, nil)
	names := p.HeaderNames()
	for _, k := range append([]identity.WellKnownPlace{
		{Credential: identity.Credential{Kind: identity.Header, Name: "_odd."}},
		{Credential: identity.Credential{Kind: identity.Header, Name: "X"}},
	}, identity.WellKnown...) {
		if k.Kind != identity.Header {
			continue
		}
		for _, spelling := range spellingsOf(k.Name) {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header = map[string][]string{spelling: {"secret"}}
			if p.Check(r, nil) != nil && !names.May(spelling) {
				t.Errorf("%s is refused, and may not be one", spelling)
			}
		}
		if !names.May(k.Name) {
			t.Errorf("%s is missing", k.Name)
		}
	}
	if names.May("Accept-Language") && names.May("User-Agent") && names.May("Referer") {
		t.Error("everything may be one, so nothing is gained")
	}
}

// spellingsOf are some that servers take for the same.
func spellingsOf(name string) (all []string) {
	for _, dash := range "-_." {
		for _, lower := range []byte{0, 0x20} {
			b := []byte(name)
			for i, c := range b {
				switch {
				case c == '-' || c == '_' || c == '.':
					b[i] = byte(dash)
				case 'A' <= c && c <= 'Z':
					b[i] |= lower
				case 'a' <= c && c <= 'z' && lower == 0:
					b[i] &^= 0x20
				}
			}
			all = append(all, string(b), name)
		}
	}
	return all
}
