package config

import "testing"

// The bounds of held forms are checked against the size of one, in whatever order
// they are set, and what is left out fits.
func TestS26BoundsOfHeldForms(t *testing.T) {
	for _, test := range []struct {
		held Held
		ok   bool
	}{
		{Held{}, true},
		{Held{Size: 2 << 20}, true},
		{Held{InFlight: HeldCost(1 << 20), PerMinute: 1 << 20}, true},
		{Held{InFlight: HeldCost(1<<20) - 1}, false},
		{Held{PerMinute: 1<<20 - 1}, false},
		{Held{Size: 2 << 20, InFlight: HeldCost(2<<20) - 1}, false},
		{Held{Size: 2 << 20, PerMinute: 1 << 20}, false},
		// Also small forms are looked into.
		{Held{Size: 1 << 10, InFlight: HeldCost(LookedInto), PerMinute: LookedInto}, true},
		{Held{Size: 1 << 10, InFlight: HeldCost(LookedInto) - 1}, false},
		{Held{Size: 1 << 10, PerMinute: LookedInto - 1}, false},
		{Held{InFlight: 16<<30 + 1}, false},
		{Held{PerMinute: -1}, false},
		{Held{InFlight: -1}, false},
	} {
		if err := (Limits{Held: test.held}).Validate(); test.ok != (err == nil) {
			t.Errorf("%+v: %v", test.held, err)
		}
	}
	all := Limits{}.withDefaults()
	if err := all.Validate(); err != nil || all.Held.InFlight != 32<<20 || all.Held.PerMinute != 32<<20 {
		t.Error(err, all.Held)
	}
	if err := (Limits{Held: Held{Size: 2 << 20}}).withDefaults().Validate(); err != nil {
		t.Error(err)
	}
}
