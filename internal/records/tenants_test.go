package records

import (
	"slices"
	"strings"
	"testing"
)

func TestDiffers(t *testing.T) {
	db := newDB(&DB{core: newCore(nil, nil, [32]byte{1}, fenceState{})})
	print := func(source, user string, settings ...string) *Print {
		f := Fingerprint{Source: source, UserID: user, Settings: map[string]string{}}
		for _, s := range settings {
			name, value, _ := strings.Cut(s, "=")
			f.Settings[name] = value
		}
		p := db.printOf("staff", &f)
		return &p
	}
	for _, c := range []struct {
		a, b *Print
		want []string
	}{
		{print("jwt", "fold", "issuer=a"), print("jwt", "fold", "issuer=a"), nil},
		{print("jwt", "fold", "issuer=b"), print("jwt", "fold", "issuer=a"), []string{"identity jwt differs in issuer"}},
		{print("jwt", "fold", "issuer=a", "user=sub"), print("jwt", "fold", "issuer=a"), []string{"identity jwt differs in user"}},
		{print("jwt", "fold"), print("jwt", "fold", "issuer=a"), []string{"identity jwt differs in issuer"}},
		{print("whoami", "exact"), print("jwt", "fold"), []string{"identity is whoami, and was jwt", "user_id is exact, and was fold"}},
		// What one of them does not know is no difference.
		{print("", "fold"), print("jwt", "fold", "issuer=a"), nil},
		{print("jwt", "", "issuer=a"), print("", "exact"), nil},
	} {
		if got := c.a.Differs(c.b); !slices.Equal(got, c.want) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	if a, b := print("jwt", "fold", "x=1"), print("jwt", "fold", "x=2"); a.ID(db) == b.ID(db) {
		t.Error("two fingerprints have one id")
	}
	joined := print("", "fold").over(*print("jwt", "", "issuer=a"))
	if got := joined.Differs(print("jwt", "fold", "issuer=a")); len(got) > 0 || joined.Source != "jwt" || joined.UserID != "fold" {
		t.Errorf("%+v: %q", joined, got)
	}
}
