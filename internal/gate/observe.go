package gate

import (
	"net/http"
	"slices"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/internal/readings"
)

// What follows is watching: it tells what rules would do, and what no rule looks
// at. It runs after the decision, over a decision of its own, so that nothing in
// an observing rule (a method it asks for, a matcher that fails) can change what
// becomes of a request.

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

// watched are all rules of a site, for watching.
type watched struct {
	any        bool   // one of them observes
	rules      []rule // in the operator's order
	usesMethod bool
}

func (w *watched) add(rl rule) {
	w.any = w.any || rl.Observe
	w.rules = append(w.rules, rl)
	w.usesMethod = w.usesMethod || rl.UsesMethod || rl.Unsafe
}

// watching is a decision over all rules that goes on with what d knows of the
// body.
func (d *decision) watching() decision {
	w := &d.g.watched
	return decision{g: d.g, rules: w.rules, usesMethod: w.usesMethod, body: d.body}
}

// watch gives the observing rules that would decide a reading of the request,
// were they enforced; one that an enforced rule comes before does not. Errors do
// not count: what the request is refused for was decided already.
func (d *decision) watch(r *http.Request, original string, overrides bool) []*rule {
	all := d.watching()
	_, _ = all.decide(r, original, overrides)
	d.excepted = d.excepted || all.excepted
	return all.observed
}

// observe notes an observing rule of one reading.
func (d *decision) observe(rl *rule) {
	if !slices.Contains(d.observed, rl) {
		d.observed = append(d.observed, rl)
	}
	if d.tell != nil {
		d.tell(d.method, d.path, rl, false)
	}
}

// undemanded tells of a request that passes without a proof.
func (v *visit) undemanded(d *decision, overrides bool) {
	switch {
	case len(v.observed) > 0:
		v.tellObserved(NotAsked)
	case v.g.o.Uncovered != nil && d.mayChange(v.r, v.original, overrides):
		v.g.o.Uncovered(v.r, d.excepted)
	}
}

func (v *visit) tellObserved(who Presence) {
	for _, rl := range v.observed {
		action := rl.Demand.Action.String()
		v.g.o.Count(action, WouldChallenge)
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
func (d *decision) mayChange(r *http.Request, original string, overrides bool) bool {
	if !readings.SafeMethod(r.Method) || r.Method == http.MethodConnect || len(r.Header["Upgrade"]) > 0 {
		return true
	}
	var form readings.Form
	if d.usesMethod {
		form = d.body.peek.Form()
	}
	if !overrides && asSent(r) && form == (readings.Form{}) && strings.IndexByte(original, '%') < 0 && !containsFold(original, "method") {
		return false
	}
	_, query, _ := strings.Cut(original, "?")
	m, err := readings.Methods(r, form, query)
	return err != nil || m.Unsafe || m.CannotTell
}
