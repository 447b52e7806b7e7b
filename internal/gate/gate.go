// Package gate is the way of a request through the gateway, on net/http alone:
// scrub, match, identify, check, pass or challenge.
//
// It promises that a request reaches the application only where no reading of
// it is protected, or where the one action that its readings ask for, or each of
// the actions that its fields may ask for, was granted to who is asking. Whatever goes wrong on the way (no identity, a
// failing store, a matcher's error, a panic) ends in a refusal. Refusals are
// written here and never returned as errors: a server may have an error handler
// that forwards the request after all.
//
//	g, err := gate.New(gate.Options{…})
//	…
//	err := g.ServeHTTP(w, r, next) // next is the application
//
// The request's Header is changed in place: what clients may not say is deleted,
// what the application may know is added. Requests for the gateway's own pages
// go to Options.Portal.
//
// It does not know the server it runs in, does not verify any proof, and keeps
// nothing of its own between requests.
package gate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/cookies"
	"github.com/stepup-gateway/caddy-stepup/internal/deadline"
	"github.com/stepup-gateway/caddy-stepup/internal/pages"
	"github.com/stepup-gateway/caddy-stepup/internal/readings"
)

// DefaultPrefix is where the gateway's own pages are.
const DefaultPrefix = "/.step-up/"

var (
	// ErrNobody is what Options.Identify returns where nobody is signed in. The
	// client is told to sign in; any other error is a failure of the source.
	ErrNobody = errors.New("nobody is signed in")
	// ErrAmbiguousIdentity is what Options.Identify returns where the request
	// carries two credentials: the application might see another user than the
	// gateway (S21). The client is told that its request is ambiguous.
	ErrAmbiguousIdentity = errors.New("request carries two credentials")
	// ErrInvalidIdentity is what Options.Identify returns if the user's id cannot
	// be kept: it is too long, or its spelling is not certain.
	ErrInvalidIdentity = errors.New("the user id cannot be used")
)

// Identify tells who is asking: the subject, its user in the form in which it is
// stored, and the session where the source has one. Tenant, browser and address
// are the gate's to fill in. It is asked for matched requests only.
type Identify func(*http.Request) (ceremony.Principal, error)

// Rule protects one action. Rules are tried in order.
type Rule struct {
	Demand grants.Demand
	// Label is the operator's name for the action, for people.
	Label string
	// Match tells whether the request is one of the rule's; nil takes every
	// request. It is called with the request of one reading, and must judge by
	// nothing that a client can spell in two ways but path and method. It may
	// not read the body or change the request. An error refuses the request.
	Match func(*http.Request) (bool, error)
	// Near reports whether Match holds for a path at which an application may do
	// the same as at the request's, such as another format of it. It is asked
	// where Match does not hold. Such a rule's demand holds, and with it that of
	// the next rule that matches. Nil knows of no such path.
	Near func(*http.Request) (bool, error)
	// Unsafe narrows the rule to requests that may change something: all
	// methods but GET, HEAD, OPTIONS and TRACE, and every upgrade.
	Unsafe bool
	// SafeMethods are further methods that Unsafe takes for safe, in upper case.
	// A request is spared only if every reading of its method is safe, and it asks
	// for no upgrade.
	SafeMethods []string
	// Except are paths that the rule leaves alone, compared with their case. A
	// star at the end stands for any rest; other patterns are those of
	// path.Match. Only a request all of whose readings are excepted is.
	Except []string
	// Fields narrow the rule to requests that have all of them, in query or body;
	// each must be there with one of its values, or, if it is turned around, with
	// none of the harmless ones alone. They are looked at last. Where
	// it cannot be told what a body holds, the rule's demand holds, and those of
	// the rules behind it.
	Fields []readings.Field
	// Show are the fields that the challenge shows to the person. A grant of such
	// a rule is bound to that one request, so it is no good for any other.
	Show []readings.Field
	// UsesMethod tells that Match depends on the method. Method overrides are
	// looked for only where some rule does, or is Unsafe.
	UsesMethod bool
	// UsesHost reports that Match depends on the host. Other readings of the host
	// are looked for only where some rule does.
	UsesHost bool
	// Observe makes the rule one that is only watched: Options.Observed is told
	// of the requests that it would have decided, and they go on as if it were
	// not there.
	Observe bool
	// Line says where the operator wrote the rule, for Explain.
	Line string
}

// Options make a Gate. Tenant, Rules, Ceremony, Identify, Secure and Portal are
// required.
type Options struct {
	Tenant string
	// Name tells this gate from others behind the same [Front]: what it holds is
	// carried on with by a gate of the name. It stays the same when the
	// configuration is loaded anew.
	Name string
	// Prefix is where the gateway's own pages are, beginning and ending with a
	// slash; empty means DefaultPrefix.
	Prefix string
	// Issuer names the gateway on its pages; may be empty.
	Issuer string
	// Brand is how those look; nil: as they are.
	Brand    *pages.Brand
	Rules    []Rule
	Ceremony *ceremony.Service
	Identify Identify
	// Secure tells whether the client came over HTTPS.
	Secure func(*http.Request) bool
	// AllowPlainHTTP serves protected requests over plain HTTP too.
	AllowPlainHTTP bool
	// ClientAddress is the client's address for the audit log; nil takes
	// http.Request.RemoteAddr.
	ClientAddress func(*http.Request) string
	// Original gives the request target as the client sent it, where something
	// in front of the gate may have rewritten it: both are readings of the
	// request. It is called once for each request. Nil means that nothing does.
	Original func(*http.Request) (target string, ok bool)
	// WithReading gives a copy of the request with another path and method,
	// for Match. Nil copies the request and its URL.
	WithReading func(r *http.Request, path, method string) *http.Request
	// Unclean returns further requests in which Match is asked for the reading
	// that r is, made by WithReading: a server's matchers may resolve dots or merge
	// slashes before they compare, and an application may not. A rule matches the
	// reading if it matches any of them. Nil returns none.
	Unclean func(r *http.Request) []*http.Request
	// Portal serves the gateway's own pages. It gets requests whose raw path
	// begins with Prefix, and Prefix without its last slash.
	Portal http.Handler
	// MaxHeld bounds a request that is held until its step-up is passed, in
	// bytes of its body; 0 means 1 MiB, less than 0 that none is held. A gate
	// that holds requests needs a [Front] before it.
	MaxHeld int64
	// Restored gives the request that stands for a held one, in the server's own
	// terms: with the target as the client first sent it, and asked for by
	// Original afterwards. Nil returns it as it is.
	Restored func(r *http.Request, original string) *http.Request
	// AllowMethods are further methods that are let through beside those
	// registered with IANA.
	AllowMethods []string
	// AllowUpgrades are further protocols, besides websocket, that a request may
	// upgrade its connection to. No rule sees what is sent inside.
	AllowUpgrades []string
	// Conn gives the client's connection, which is closed where an answer over
	// HTTP/1 must end; see ending. Nil: it ends with the application's next write.
	Conn func(*http.Request) net.Conn
	// Undialed tells of an error returned by next that it says: no connection
	// to the application could be made. Nil: never known, so no one-time grant
	// is ever given back.
	Undialed func(error) bool
	// Count is told what became of every matched request, and of those refused
	// before a rule was found, with an empty action. It is on the hot path. Nil
	// counts nothing.
	Count func(action string, outcome Outcome)
	// Decided is told the position in Rules, from 0, of the rule that decided a
	// request. It is on the hot path. Nil counts nothing.
	Decided func(rule int)
	// Observed is told of every request that an observing rule would have
	// decided. Nil drops it.
	Observed func(*http.Request, Observation)
	// Uncovered is told of every request that may change something and falls
	// under no rule, observing ones included. Excepted tells that it would have
	// fallen under one but for its Except. Nil spares the search.
	Uncovered func(r *http.Request, excepted bool)
	// Audit receives refused grants with their cause; challenges begun and
	// grants spent are reported by Ceremony. Nil drops them.
	Audit func(context.Context, ceremony.Event)
	// Failed is told what went wrong where a request was refused for a reason
	// that the operator must look into. Nil drops it.
	Failed func(r *http.Request, doing string, err error)
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Outcome is what became of a matched request, a word for metrics.
type Outcome string

// The outcomes.
const (
	Passed     Outcome = "passed"     // on a live time-based grant
	Spent      Outcome = "spent"      // on a one-time grant
	GivenBack  Outcome = "given_back" // the application was not reached, the one-time grant is good again
	Challenged Outcome = "challenged" // a proof was asked for
	Refused    Outcome = "refused"    // no identity, plain HTTP, cross-site, ambiguous, too early
	Failed     Outcome = "failed"     // the store or the identity source did not answer
	// WouldChallenge counts what an observing rule met, besides the outcome
	// that the request has by the rules that are enforced.
	WouldChallenge Outcome = "would_challenge"
)

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
	except []pattern
	// settles reports that no enforced rule behind asks for another action: once
	// a reading has the rule's fields, others cannot ask for more.
	settles bool
	places  []readings.Place // of its fields
}

// New makes a Gate.
func New(o Options) (*Gate, error) {
	if o.Tenant == "" || o.Ceremony == nil || o.Identify == nil || o.Secure == nil || o.Portal == nil {
		return nil, errors.New("gate: an option is missing")
	}
	if len(o.Rules) == 0 {
		return nil, errors.New("gate: without a rule nothing would be protected")
	}
	if o.Prefix == "" {
		o.Prefix = DefaultPrefix
	}
	if len(o.Prefix) < 3 || o.Prefix[0] != '/' || !strings.HasSuffix(o.Prefix, "/") {
		return nil, fmt.Errorf("gate: prefix %q must begin and end with a slash", o.Prefix)
	}
	if o.ClientAddress == nil {
		o.ClientAddress = func(r *http.Request) string { return r.RemoteAddr }
	}
	if o.Original == nil {
		o.Original = func(*http.Request) (string, bool) { return "", false }
	}
	if o.WithReading == nil {
		o.WithReading = withReading
	}
	if o.Unclean == nil {
		o.Unclean = func(*http.Request) []*http.Request { return nil }
	}
	if o.MaxHeld == 0 {
		o.MaxHeld = 1 << 20
	}
	if o.Restored == nil {
		o.Restored = func(r *http.Request, _ string) *http.Request { return r }
	}
	if o.Conn == nil {
		o.Conn = func(*http.Request) net.Conn { return nil }
	}
	if o.Undialed == nil {
		o.Undialed = func(error) bool { return false }
	}
	if o.Decided == nil {
		o.Decided = func(int) {}
	}
	if o.Observed == nil {
		o.Observed = func(*http.Request, Observation) {}
	}
	if o.Count == nil {
		o.Count = func(string, Outcome) {}
	}
	if o.Audit == nil {
		o.Audit = func(context.Context, ceremony.Event) {}
	}
	if o.Failed == nil {
		o.Failed = func(*http.Request, string, error) {}
	}
	if o.Now == nil {
		o.Now = time.Now
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
	r, sent := scrub(r, g.upgrades)
	hinted := sent.hinted
	v := visit{g: g, w: w, r: r, early: sent.early}
	v.original, _ = g.o.Original(r)
	if refusal := g.bars(r, v.asked(), sent.channel); refusal != nil {
		v.refuse(refusal)
		return nil
	}
	onward, inside := next, r.Body
	next = func(w http.ResponseWriter, r *http.Request) error { return pass(w, r, sent.channel, inside, onward) }
	if r.Method == http.MethodConnect {
		r = withoutBody(r)
		v.r = r
	}
	if own := g.own(r, v.original); own != nil {
		v.r = own
		return v.portal()
	}
	if c := claimOf(r); c != nil {
		return v.resume(c, next)
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
		return next(w, r)
	}
	v.rule, v.also, v.untold, v.hinted = j.rule, j.also, j.untold, hinted
	return v.protected(next)
}
