package config_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/config"
)

// TestS20Observe: an observing rule takes nothing from later ones, and is itself
// refused where it would see nothing.
func TestS20Observe(t *testing.T) {
	rule := func(action, mode string, paths ...string) config.Rule {
		r := config.Rule{Action: action, Grant: config.GrantOneTime, Mode: mode, Any: len(paths) == 0}
		if !r.Any {
			raw, err := json.Marshal(paths)
			if err != nil {
				t.Fatal(err)
			}
			r.On = config.Matchers{"path": raw}
		}
		return r
	}
	for name, tc := range map[string]struct {
		rules []config.Rule
		wrong string // "" where they are good
	}{
		"alone":                          {[]config.Rule{rule("A", "observe")}, ""},
		"the same twice":                 {[]config.Rule{rule("A", "observe", "/x"), rule("B", "observe", "/x")}, ""},
		"the same, enforced":             {[]config.Rule{rule("A", "observe", "/x"), rule("B", "", "/x")}, ""},
		"around an enforced one":         {[]config.Rule{rule("A", "observe"), rule("B", "enforce", "/x")}, ""},
		"inside, in front":               {[]config.Rule{rule("A", "observe", "/x/y"), rule("B", "", "/x/*")}, ""},
		"inside, behind":                 {[]config.Rule{rule("A", "", "/x/*"), rule("B", "observe", "/x/y")}, "can never be reached"},
		"hidden by a third":              {[]config.Rule{rule("A", "observe", "/x"), rule("B", ""), rule("C", "", "/x")}, "can never be reached"},
		"two demands of one action type": {[]config.Rule{{Action: "A", Any: true, Grant: "time_based", Mode: "observe"}, rule("A", "", "/x")}, "another demand"},
		"an unknown mode":                {[]config.Rule{rule("A", "watch")}, "mode"},
	} {
		err := config.CheckRules(tc.rules)
		if (err == nil) != (tc.wrong == "") || err != nil && !strings.Contains(err.Error(), tc.wrong) {
			t.Errorf("%s: %v, want %q", name, err, tc.wrong)
		}
	}
	if !(config.Site{Rules: []config.Rule{rule("A", "observe")}}).ObservesOnly() {
		t.Error("a site whose one rule observes does not count as observing only")
	}
	if (config.Site{Rules: []config.Rule{rule("A", "observe", "/x"), rule("B", "")}}).ObservesOnly() {
		t.Error("a site with an enforced rule counts as observing only")
	}
}
