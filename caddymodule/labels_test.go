package caddymodule_test

import (
	"fmt"
	"strings"
	"testing"
)

// A key that may ask for any action type makes up no series of a metric: what no
// rule, session setting or key names is counted as one.
func TestS26MetricsHaveNoInventedLabels(t *testing.T) {
	b := newBed(t)
	b.Load(b.withAPI(b.config(keyFile, rule("RULED", "grant time_based 10m\naccept api"), ""), "session_token SESSIONED"))
	alice := b.enroll("alice")
	anything := b.newServer("--tenant", "default", "--scope", "verify,grants", "--any-action")
	named := b.newServer("--tenant", "default", "--scope", "verify,grants", "--action", "KEYED", "--action", "wire transfer")
	const bogus = "sug_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	for i := range 50 {
		anything.check(alice.name, fmt.Sprintf("INVENTED_%d", i), bogus)
		anything.check(alice.name, fmt.Sprintf("INVENTED \"%d\", wörd\u00ades", i), bogus)
	}
	anything.try(alice.name, "INVENTED", timeBased, 60, "000000")
	anything.win(alice, "RULED", timeBased, 60)
	anything.win(alice, "SESSIONED", timeBased, 60)
	named.win(b.enroll("bob"), "KEYED", timeBased, 60)
	named.win(b.enroll("carol"), "wire transfer", timeBased, 60)
	_, answer := b.admin("GET", "/metrics", nil)
	metrics := answer["text"].(string)
	if strings.Contains(metrics, "INVENTED") {
		t.Error("action types that a client made up are labels")
	}
	for _, action := range []string{"other", "RULED", "SESSIONED", "KEYED", "wire transfer"} {
		if !strings.Contains(metrics, `step_up_decisions_total{action_type="`+action+`"`) {
			t.Errorf("no decision is counted for %s", action)
		}
	}
}
