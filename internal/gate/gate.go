// Package gate is the way of a request through the gateway, on net/http alone:
// scrub, match, identify, check, pass or challenge.
//
// It promises that a request reaches the application only where no reading of
// it is protected, or where the one action that its readings ask for, or each of
// the actions that its fields may ask for, was granted to who is asking. Whatever
// goes wrong on the way (no identity, a failing store, a matcher's error, a panic)
// ends in a refusal. Refusals are written here and never returned as errors: a
// server may have an error handler that forwards the request after all.
//
//	g, err := gate.New(gate.Options{…})
//	…
//	err := g.ServeHTTP(w, r, next) // next is the application
//
// The request's Header is changed in place: what clients may not say is deleted,
// what the application may know is added. Requests for the gateway's own pages
// go to Options.Portal.
//
// The way of a request on a live time-based grant, which leads through gate,
// readings, cookies, ceremony and records (and asks the server and the identity
// source that Options name):
//
//  1. scrub deletes what a client may not say.
//  2. Server.Original returns the target before it was rewritten.
//  3. Gate.bars refuses methods and targets that no rule could judge.
//  4. Gate.own and handleIn find requests for the portal, and for a held request.
//  5. decision.collect lists what the candidate rules say of each reading.
//  6. judge makes one judgment of the list: a rule whose demand holds.
//  7. visit.trusted refuses older copies of the database, and plain HTTP.
//  8. visit.know asks the identity source who is asking.
//  9. cookies.Find finds the token, and what has to be stripped.
//  10. Service.Check reads the grant from records and checks it against the demand.
//  11. The rule's counter counts, and Found.Strip removes the gateway's cookies.
//  12. visit.announce tells the application what the operator announces.
//  13. visit.pass calls the application.
//  14. ending makes the answer private, and ends it with the grant.
//
// Explain prints the list of step 5 for every reading, and observing rules are
// filtered from it in step 6.
//
// A form that needs a proof is held in turn by: heldrequest.Sent, what the client
// sent, which the Front notes before handlers change it; heldrequest.Packed, the
// whole request in one buffer; records.HeldRequest, its stored form; and, once the
// browser comes back, heldrequest.Request; and the http.Request that is restored of
// it, with the claim that the Front made for it in its context.
//
// The package does not know the server it runs in, does not verify any proof, and
// keeps nothing of a request once it was answered.
package gate

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/cookies"
	"github.com/stepup-gateway/caddy-stepup/internal/deadline"
	"github.com/stepup-gateway/caddy-stepup/internal/readings"
)

// DefaultPrefix is where the gateway's own pages are.
const DefaultPrefix = "/.step-up/"

// Gate is one site's gate. Its methods may be used concurrently.
type Gate struct {
	o        Options
	rules    []rule // in the operator's order
	prefix   string // with its last slash
	methods  map[string]bool
	upgrades map[string]bool // in lower case, besides websocket
	cross    *http.CrossOriginProtection
	// Some rule depends on the method, and some that is enforced.
	usesMethod, demandsMethod bool
	usesHost                  bool            // some rule that is enforced depends on the host
	looks                     bool            // some rule may need to look into bodies
	fields, shown             *readings.Table // of all rules
	observes                  bool            // some rule does
}

// rule is a Rule with what is computed once.
type rule struct {
	Rule
	number int // from 1
	cookie cookies.Name
	passed func() // counts
	except []pattern
	// settles reports that no enforced rule behind asks for another action: once
	// a reading has the rule's fields, others cannot ask for more.
	settles bool
	places  []readings.Place // of its fields
}

// New makes a Gate.
func New(o Options) (*Gate, error) {
	if o.Tenant == "" || o.Ceremony == nil || o.Identify == nil || o.Server == nil || o.Portal == nil {
		return nil, errors.New("gate: an option is missing")
	}
	if len(o.Rules) == 0 {
		return nil, errors.New("gate: without a rule nothing would be protected")
	}
	if err := o.fill(); err != nil {
		return nil, err
	}
	g := &Gate{o: o, prefix: o.Prefix, methods: map[string]bool{}, upgrades: map[string]bool{}, cross: http.NewCrossOriginProtection()}
	for _, m := range o.AllowMethods {
		g.methods[m] = true
	}
	for _, u := range o.AllowUpgrades {
		g.upgrades[strings.ToLower(u)] = true
	}
	for i, r := range o.Rules {
		if r.Demand.Action.String() == "" || r.Demand.Use != grants.OneTimeUse && r.Demand.Use != grants.TimeBased || r.Demand.TTL <= 0 || r.Demand.TTL > grants.MaxTTL {
			return nil, fmt.Errorf("gate: the demand of rule %d is incomplete", i+1)
		}
		except, err := patterns(r.Except)
		if err != nil {
			return nil, err
		}
		g.rules = append(g.rules, rule{
			Rule: r, number: i + 1, cookie: cookies.Grant(o.Tenant, r.Demand.Action.String()), except: except,
			passed: o.Counter(r.Demand.Action.String(), Passed),
		})
		uses := r.UsesMethod || r.Unsafe
		g.usesMethod = g.usesMethod || uses
		g.looks = g.looks || uses || len(r.Fields) > 0
		g.usesHost = g.usesHost || r.UsesHost && !r.Observe
		g.demandsMethod = g.demandsMethod || uses && !r.Observe
	}
	var fields, shown []readings.Field
	for i := range g.rules {
		fields, shown = append(fields, g.rules[i].Fields...), append(shown, g.rules[i].Show...)
		g.observes = g.observes || g.rules[i].Observe
	}
	g.fields, g.shown = readings.NewTable(fields...), readings.NewShowTable(shown...)
	for i := range g.rules {
		rl := &g.rules[i]
		for j := range rl.Fields {
			rl.places = append(rl.places, g.fields.Place(&rl.Fields[j]))
		}
		rl.settles = rl.Observe || !slices.ContainsFunc(g.rules[i+1:], func(behind rule) bool { return !behind.Observe && !sameAction(rl, &behind) })
	}
	return g, nil
}

// ServeHTTP lets a request through to next or answers it. It returns what next
// returned, and nil where next was not called.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request, next func(http.ResponseWriter, *http.Request) error) error {
	r, sent := scrub(r, g.upgrades, &g.o.Credentials)
	hinted := sent.hinted
	v := visit{g: g, w: w, r: r, early: sent.early, bare: !sent.credential, next: next, channel: sent.channel, inside: r.Body}
	v.original, _ = g.o.Server.Original(r)
	if refusal := g.bars(r, v.asked(), sent.channel); refusal != nil {
		v.refuse(refusal)
		return nil
	}
	if r.Method == http.MethodConnect {
		r = withoutBody(r)
		v.r = r
	}
	if own := g.own(r, v.original); own != nil {
		v.r = own
		return v.portal()
	}
	if c := claimOf(r); c != nil {
		return v.resume(c)
	}
	if _, ok := handleIn(r, v.asked()); ok {
		return v.unclaimed()
	}
	d := g.deciding(r, v.original)
	if v.rule = d.surely(r, v.original, hinted); v.rule != nil {
		ok := v.knownFirst()
		if v.room != nil {
			defer v.release()
		}
		if !ok {
			return nil
		}
	}
	if g.looks && r.ContentLength != 0 {
		d.body.peek.Timed(&deadline.Reading{W: w, R: r, Size: maxBody})
	}
	j, err := d.decide(r, v.original, hinted)
	v.observed = j.observed
	switch {
	case err != nil:
		v.refuseUndecided(err)
		return nil
	case j.rule == nil:
		v.undemanded(&d, j.excepted, hinted)
		cookies.Strip(r.Header)
		return v.pass(w, r)
	}
	v.rule, v.also, v.untold, v.hinted = j.rule, j.also, j.untold, hinted
	return v.protected()
}

// pass leaves a request to the application.
func (v *visit) pass(w http.ResponseWriter, r *http.Request) error {
	return pass(w, r, v.channel, v.inside, v.next)
}
