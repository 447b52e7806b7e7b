package gate

import (
	"errors"
	"net/http"
	"strings"
	"sync"

	"github.com/stepup-gateway/caddy-stepup/internal/identity"
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
	// Identity asks who is asking, as the rule would, once for a request and only
	// if it is called: the identity source may ask the application. What it
	// answers changes nothing.
	Identity func() (says Presence, user string)
}

// Presence is what identifying a request came to, a word for logs.
type Presence string

// The presences.
const (
	Present      Presence = "present"
	Absent       Presence = "absent"       // nobody
	TwoFound     Presence = "ambiguous"    // several credentials, or one that nobody vouches for
	Unusable     Presence = "unusable"     // a user id that cannot be kept
	Unidentified Presence = "unidentified" // the identity source failed
)

// undemanded tells of a request that passes without a proof.
func (v *visit) undemanded(d *decision, excepted bool, hinted hints) {
	switch {
	case len(v.observed) > 0:
		watched := *v // of its own: v stays off the heap for all other requests
		v.tellObserved(sync.OnceValues(watched.wouldIdentify))
	case v.g.o.Uncovered != nil && d.mayChange(v.r, v.original, hinted):
		v.g.o.Uncovered(v.r, excepted)
	}
}

func (v *visit) tellObserved(identity func() (Presence, string)) {
	for _, rl := range v.observed {
		action := rl.Demand.Action.String()
		v.g.o.Counter(action, WouldChallenge)()
		v.g.o.Observed(v.r, Observation{Rule: rl.number - 1, Action: action, Identity: identity})
	}
}

// wouldIdentify asks for the identity of a request that needs none. The body is left
// out: a credential in it would have to be read before the request is passed on.
func (v *visit) wouldIdentify() (says Presence, user string) {
	defer func() {
		if recover() != nil { // a guest's own; see Gate
			says, user = Unidentified, ""
		}
	}()
	r := withoutBody(v.r)
	r.ContentLength = 0
	who, err := v.g.o.Identify(r, Sent{Original: v.original, Bare: v.bare, Observed: true})
	switch {
	case errors.Is(err, identity.ErrAmbiguous):
		return TwoFound, ""
	case errors.Is(err, identity.ErrInvalid):
		return Unusable, ""
	case errors.Is(err, identity.ErrNobody) || err == nil && who.User == "":
		return Absent, ""
	case err != nil || who.Tenant != "" && who.Tenant != v.g.o.Tenant:
		return Unidentified, ""
	}
	return Present, who.User
}

// presence is what identifying a request came to that needs it anyway.
func (v *visit) presence(r *refusal) func() (Presence, string) {
	says, user := Present, v.who.User
	switch r {
	case nil:
	case nobody:
		says, user = Absent, ""
	case twoCredentials:
		says, user = TwoFound, ""
	case invalidIdentity:
		says, user = Unusable, ""
	default:
		says, user = Unidentified, ""
	}
	return func() (Presence, string) { return says, user }
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
