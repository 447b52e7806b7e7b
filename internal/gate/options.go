package gate

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/identity"
	"github.com/stepup-gateway/caddy-stepup/internal/inbound"
	"github.com/stepup-gateway/caddy-stepup/internal/pages"
	"github.com/stepup-gateway/caddy-stepup/internal/readings"
)

// Identify tells who is asking, or fails with identity.ErrNobody, which tells the
// client to sign in; identity.ErrAmbiguous, where the application might see another
// user than the gateway (S21); or identity.ErrInvalid. Any other error is a failure
// of the source. It returns the subject, its user in the form in which it is
// stored, and the session where the source has one. Tenant, browser and address
// are the gate's to fill in. It is asked for matched requests only.
//
// sent is what the gate found on the way.
type Identify func(r *http.Request, sent Sent) (ceremony.Principal, error)

// Sent is what is known of a request as the client sent it.
type Sent struct {
	// Original is its target, where it was rewritten; see Server.Original.
	Original string
	// Bare reports that none of its header fields has a name that
	// Options.Credentials may have.
	Bare bool
	// Observed reports that the request is passed on whatever is found.
	Observed bool
}

// Rule protects one action. Rules are tried in order.
type Rule struct {
	Demand grants.Demand
	// Label is the operator's name for the action, for people.
	Label string
	// Match reports whether the request is one of the rule's; nil takes every
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
	// ShowLabels are what the challenge calls them, by their names.
	ShowLabels map[string]string
	// UsesMethod reports that Match depends on the method. Method overrides are
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

// Options make a Gate. Tenant, Rules, Ceremony, Identify, Server and Portal are
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
	// Credentials are the names of header fields that Identify looks for in all
	// requests, besides those that it reads by their names. The gate goes over all
	// names anyway.
	Credentials identity.Filter
	// Server answers what only the server knows of a request.
	Server inbound.Server
	// AllowPlainHTTP serves protected requests over plain HTTP too.
	AllowPlainHTTP bool
	// WithReading returns a copy of the request with another path and method,
	// for Match. Nil copies the request and its URL.
	WithReading func(r *http.Request, path, method string) *http.Request
	// Unclean returns further requests in which Match is asked for the reading
	// that r is, made by WithReading: a server's matchers may resolve dots or merge
	// slashes before they compare, and an application may not. A rule matches the
	// reading if it matches any of them. Nil returns none.
	Unclean func(r *http.Request) []*http.Request
	// Candidates returns the positions in Rules, from 0, of those whose Match or
	// Near may hold for a request by its path; both are certain not to hold, without
	// an error, for all others. It is asked about requests whose path can be read
	// in one way only. Nil: all rules may.
	Candidates func(*http.Request) readings.Set
	// Portal serves the gateway's own pages. It gets requests whose raw path
	// begins with Prefix, and Prefix without its last slash.
	Portal http.Handler
	// MaxHeld bounds a request that is held until its step-up is passed, in
	// bytes of its body; 0 means 1 MiB, less than 0 that none is held. A gate
	// that holds requests needs a [Front] before it.
	MaxHeld int64
	// Restored returns the request that stands for a held one, in the server's own
	// terms: with the target as the client first sent it, and asked for by
	// Original afterwards. Nil returns it as it is.
	Restored func(r *http.Request, original string) *http.Request
	// AllowMethods are further methods that are let through beside those
	// registered with IANA.
	AllowMethods []string
	// AllowUpgrades are further protocols, besides websocket, that a request may
	// upgrade its connection to. No rule sees what is sent inside.
	AllowUpgrades []string
	// Undialed tells of an error returned by next that it says: no connection
	// to the application could be made. Nil: never known, so no one-time grant
	// is ever given back.
	Undialed func(error) bool
	// Counter returns what counts the requests of an action type that had the
	// outcome: every matched request, and those refused before a rule was found,
	// with an empty action. It is asked once for what is on the hot path. Nil counts
	// nothing.
	Counter func(action string, outcome Outcome) (count func())
	// Announce is what the application is told of a request that was granted. The
	// zero value tells nothing.
	Announce Announced
	// Decided is told the position in Rules, from 0, of the rule that decided a
	// request. It is on the hot path. Nil counts nothing.
	Decided func(rule int)
	// Observed is told of every request that an observing rule would have
	// decided. Nil drops it.
	Observed func(*http.Request, Observation)
	// Uncovered is told of every request that may change something and falls
	// under no rule, observing ones included. Excepted reports that it would have
	// fallen under one but for its Except. Nil spares the search.
	Uncovered func(r *http.Request, excepted bool)
	// Audit receives refused grants with their cause; challenges begun and
	// grants spent are reported by Ceremony. Nil drops them.
	Audit func(context.Context, ceremony.Event)
	// Failed is told what went wrong where a request was refused for a reason
	// that the operator must look into. Nil drops it.
	Failed func(r *http.Request, doing string, err error)
	// Lasting is told of requests that were refused for what may be a mistake in the
	// configuration. Nil drops it.
	Lasting func(*http.Request, Lasting)
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Lasting is a reason to refuse a request that may refuse all.
type Lasting int

// The reasons.
const (
	PlainHTTP Lasting = iota + 1 // the client did not come over HTTPS
	Nobody                       // the identity source names nobody
)

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

// fill sets what was left out.
func (o *Options) fill() error {
	if o.Prefix == "" {
		o.Prefix = DefaultPrefix
	}
	if len(o.Prefix) < 3 || o.Prefix[0] != '/' || !strings.HasSuffix(o.Prefix, "/") {
		return fmt.Errorf("gate: prefix %q must begin and end with a slash", o.Prefix)
	}
	if o.Lasting == nil {
		o.Lasting = func(*http.Request, Lasting) {}
	}
	if o.WithReading == nil {
		o.WithReading = withReading
	}
	if o.Unclean == nil {
		o.Unclean = func(*http.Request) []*http.Request { return nil }
	}
	if o.Candidates == nil {
		o.Candidates = func(*http.Request) readings.Set { return nil }
	}
	if o.MaxHeld == 0 {
		o.MaxHeld = 1 << 20
	}
	if o.Restored == nil {
		o.Restored = func(r *http.Request, _ string) *http.Request { return r }
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
	if o.Counter == nil {
		o.Counter = func(string, Outcome) func() { return func() {} }
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
	return nil
}
