package grants

import (
	"math/bits"
	"testing"
)

// TestKindsAreTold: what finds a row finds one, and every bit has its worth.
func TestKindsAreTold(t *testing.T) {
	names, types, offers := map[string]bool{}, map[string]bool{}, map[string]bool{}
	var all Methods
	for _, k := range Kinds() {
		if k.Methods == 0 || all&k.Methods != 0 || k.Methods&Unvouched != 0 {
			t.Errorf("%s: bits %b", k.Name, k.Methods)
		}
		all |= k.Methods
		for _, seen := range []struct {
			in   map[string]bool
			word string
		}{{names, k.Name}, {types, k.Type}, {offers, k.Offer}} {
			if seen.word != "" && seen.in[seen.word] {
				t.Errorf("%s: %q stands twice", k.Name, seen.word)
			}
			seen.in[seen.word] = true
		}
		if k.Name == "" || k.Way == 0 || (k.Type == "") != (k.Offer == "") || (k.Type == "") != (k.Label == "") || (k.Type == "") != (k.Way == ByList) {
			t.Errorf("%+v", k)
		}
		var worth Methods
		for _, w := range k.worth {
			worth |= w.method
			if bits.OnesCount16(uint16(w.method)) != 1 || w.strength < 1 || w.strength >= complete || w.amr == "" || w.method.AMR() != w.amr || KindOf(w.method).Name != k.Name {
				t.Errorf("%s: %+v", k.Name, w)
			}
		}
		if worth != k.Methods {
			t.Errorf("%s: bits %b have a worth", k.Name, worth)
		}
		if m, err := ParseMethod(k.Name); err != nil || m != k.Methods || m.String() != k.Name || KindOf(m).Name != k.Name {
			t.Errorf("%s: read as %v, %v", k.Name, m, err)
		}
		if k.Type != "" && KindOfType(k.Type).Name != k.Name {
			t.Errorf("%s: its type is another's", k.Name)
		}
	}
	for _, none := range []Methods{0, Unvouched, TOTP | SMS} {
		if k := KindOf(none); k.Name != "" {
			t.Errorf("%b is %s", none, k.Name)
		}
	}
	if k := KindOfType(""); k.Name != "" {
		t.Errorf("no type is %s", k.Name)
	}
}

// TestS24StrengthIsInOneOrder: the weakest of a set counts, nothing vouched for is
// the weakest, and nothing is stronger than the empty set.
func TestS24StrengthIsInOneOrder(t *testing.T) {
	order := []Methods{Unvouched, RecoveryCode, SMS, TOTP, SyncedPasskey, BoundPasskey, 0}
	for i, a := range order {
		for j, b := range order {
			if got := a.StrongerThan(b); got != (i > j) {
				t.Errorf("%b stronger than %b: %v", a, b, got)
			}
		}
	}
	if (BoundPasskey | RecoveryCode).StrongerThan(SMS) || !TOTP.StrongerThan(TOTP|SMS) {
		t.Error("the strongest of a set counts")
	}
	if got := TOTP.Weaker(); got != RecoveryCode|SMS|Email {
		t.Errorf("weaker than an app: %b", got)
	}
}
