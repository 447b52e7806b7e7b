package gate

import (
	"net/http"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/internal/readings"
)

// What follows is watching: it tells what rules would do, and what no rule looks
// at. Observing rules stand in the same list as the others, and judge takes them
// out: nothing in one of them (a method it asks for, a matcher that fails) changes
// what becomes of a request.

// Observation is a request that an observing rule would have decided.
type Observation struct {
	Rule   int // position in Options.Rules, from 0
	Action string
	// Identity tells whether anybody was signed in. It is known only where an
	// enforced rule asked.
	Identity Presence
}

// Presence tells whether a request had an identity, a word for logs.
type Presence string

// The presences.
const (
	NotAsked Presence = "not_asked"
	Present  Presence = "present"
	Absent   Presence = "absent" // nobody, or the identity source failed
)

// undemanded tells of a request that passes without a proof.
func (v *visit) undemanded(d *decision, excepted bool, hinted hints) {
	switch {
	case len(v.observed) > 0:
		v.tellObserved(NotAsked)
	case v.g.o.Uncovered != nil && d.mayChange(v.r, v.original, hinted):
		v.g.o.Uncovered(v.r, excepted)
	}
}

func (v *visit) tellObserved(who Presence) {
	for _, rl := range v.observed {
		action := rl.Demand.Action.String()
		v.g.o.Counter(action, WouldChallenge)()
		v.g.o.Observed(v.r, Observation{Rule: rl.number - 1, Action: action, Identity: who})
	}
}

// presence tells by what identifying came to.
func presence(r *refusal) Presence {
	if r == nil {
		return Present
	}
	return Absent
}

// mayChange tells of a request whether one of its readings is unsafe. A method
// that the body of a GET names is found only where some rule asked for it: no
// body is read for this alone.
func (d *decision) mayChange(r *http.Request, original string, hinted hints) bool {
	if !readings.SafeMethod(r.Method) || r.Method == http.MethodConnect || len(r.Header["Upgrade"]) > 0 {
		return true
	}
	var form readings.Form
	if d.g.usesMethod {
		form = d.body.peek.Form()
	}
	if hinted&namesMethod == 0 && asSent(r) && form == (readings.Form{}) && strings.IndexByte(original, '%') < 0 && !containsFold(original, "method") {
		return false
	}
	_, query, _ := strings.Cut(original, "?")
	m, err := readings.MethodsOf(r, form, query)
	return err != nil || m.Unsafe || m.CannotTell
}
