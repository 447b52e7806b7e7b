package config

import (
	"slices"
	"testing"
)

func TestAnnounce(t *testing.T) {
	for _, ok := range [][]string{nil, {"none"}, {"user"}, {"auth_time", "user", "action", "method", "amr"}} {
		if err := CheckAnnounce(ok); err != nil {
			t.Errorf("%q: %v", ok, err)
		}
	}
	for _, bad := range [][]string{{"users"}, {""}, {"user", "user"}, {"none", "user"}, {"user", "none"}, {"none", "none"}} {
		if CheckAnnounce(bad) == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if got := (Site{}).WithDefaults().Announce; !slices.Equal(got, []string{"user", "action"}) {
		t.Errorf("%q by default", got)
	}
}
