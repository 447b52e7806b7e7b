// Package grants holds the rules of step-up grants as pure functions of their
// inputs and the time: what a demand asks, what a grant proves, and when the
// one satisfies the other.
//
// A [Demand] is what a rule asks for one action type. [Issue] makes the
// [Grant] that answers it and the [Token] that the browser keeps; only the
// token's SHA-256 ever reaches a store. [Grant.Check] checks a grant against
// today's demand, so that a grant is never good beyond what its rule says now,
// whoever minted it and whenever.
//
// The package knows nothing of HTTP, Caddy or storage. That a one-time grant
// is used once is the store's promise, made durable by package ceremony.
package grants

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"
)

// ErrNoGrant is the one answer to every unusable grant: absent, malformed,
// expired, another subject's, another action's, spent or out of its demand.
// One answer for all, so that nobody learns which it was (S02); the cause is
// for the audit log and is found with [CauseOf].
var ErrNoGrant = errors.New("no valid step-up grant")

// ErrBadToken reports that a string is not a grant token at all.
var ErrBadToken = errors.New("not a grant token")

// MaxTTL is the longest that any grant may hold.
const MaxTTL = 24 * time.Hour

// Use says how often a grant may be used.
type Use uint8

// The two uses. The zero value is no use at all and satisfies nothing.
const (
	OneTimeUse Use = iota + 1 // good for exactly one request
	TimeBased                 // good for any number of requests until it expires
)

// String returns the name used in every API: ONE_TIME_USE or TIME_BASED.
func (u Use) String() string {
	switch u {
	case OneTimeUse:
		return "ONE_TIME_USE"
	case TimeBased:
		return "TIME_BASED"
	}
	return "NONE"
}

// ParseUse reads the name that [Use.String] returns.
func ParseUse(s string) (Use, error) {
	switch s {
	case "ONE_TIME_USE":
		return OneTimeUse, nil
	case "TIME_BASED":
		return TimeBased, nil
	}
	return 0, fmt.Errorf("grant type %q is neither ONE_TIME_USE nor TIME_BASED", s)
}

// Subject is who is asking: a user of a tenant. Both are in the form in which
// they are stored, folded where the tenant folds its user ids.
type Subject struct{ Tenant, User string }

// IsZero reports whether nobody is named.
func (s Subject) IsZero() bool { return s.User == "" }

// Holder is a subject as it stands in a grant: a keyed digest, so that a
// stolen store names nobody. Package records makes it.
type Holder [32]byte

// Binding ties a grant to more than its subject. The zero value of a field
// leaves it unbound.
type Binding struct {
	// Session is a fingerprint of the identity source's session.
	Session [32]byte
	// Request is a digest of the one request or operation that was approved.
	Request [32]byte
}

// Demand is what a rule asks of anyone who takes an action.
type Demand struct {
	Action Action
	Use    Use
	// TTL is how long after the proof the grant is good, absolute and never
	// sliding; at most [MaxTTL].
	TTL time.Duration
	// Methods are the means of proof that the rule takes; none means any.
	Methods Methods
	// AcceptAPI reports that a grant does too which a server won for the subject
	// over the API. Such a grant knows no session.
	AcceptAPI bool
	// SessionToken reports whether the token of a grant that answers the demand
	// begins with [SessionPrefix].
	SessionToken bool
}

// Grant is proof that a holder passed a step-up for one action type. It has no
// pointers and stays under 128 bytes, so that a million of them in a map cost
// the garbage collector nothing.
type Grant struct {
	Holder  Holder
	Action  [16]byte // Action.Digest
	Session [16]byte // first half of Binding.Session; zero: unbound
	// Request is Binding.Request in full: who can choose both of two requests
	// could find a pair that agrees in half of it. Zero: unbound.
	Request [32]byte
	// AuthTime is when the proof was given, Expires when the grant ends, both
	// in nanoseconds since 1970.
	AuthTime, Expires int64
	Methods           Methods
	// Origin are the means of proof that vouched for the authenticator behind
	// the grant, while that is young (S24). A rule must take them too. Zero: the
	// authenticator is worth what it is.
	Origin Methods
	Use    Use
	// API reports that a server minted the grant over the backend API.
	API bool
}

// Issue makes a grant that answers d and the token for it. The caller persists
// the grant under token.ID() before it reveals the token.
func Issue(d Demand, h Holder, b Binding, by Methods, now time.Time) (Grant, Token) {
	var t Token
	rand.Read(t.raw[:]) // never fails: crypto/rand ends the program instead
	t.session = d.SessionToken
	return Grant{
		Holder:   h,
		Action:   d.Action.digest,
		Session:  half(b.Session),
		Request:  b.Request,
		AuthTime: now.UnixNano(),
		Expires:  now.Add(min(d.TTL, MaxTTL)).UnixNano(),
		Methods:  by,
		Use:      d.Use,
	}, t
}

func half(d [32]byte) [16]byte { return [16]byte(d[:16]) }

// refusal is ErrNoGrant with its cause, which only the audit log may see.
type refusal struct{ cause string }

func (r *refusal) Error() string   { return ErrNoGrant.Error() }
func (r *refusal) Is(t error) bool { return t == ErrNoGrant }

// Refusals are made once: a refused check allocates nothing.
var (
	refusedHolder  = &refusal{"other_subject"}
	refusedAction  = &refusal{"other_action"}
	refusedUse     = &refusal{"other_grant_type"}
	refusedExpired = &refusal{"expired"}
	refusedFuture  = &refusal{"not_yet_valid"}
	refusedAge     = &refusal{"older_than_demanded"}
	refusedMethod  = &refusal{"method_not_accepted"}
	refusedOrigin  = &refusal{"authenticator_too_new"}
	refusedSession = &refusal{"other_session"}
	refusedRequest = &refusal{"other_request"}
	refusedAPI     = &refusal{"minted_by_api"}
)

// ErrSpent is [ErrNoGrant] for a one-time grant that was used: as good as any
// other refusal, but for its cause.
var ErrSpent error = &refusal{"spent"}

// CauseOf returns why a check returned [ErrNoGrant]: a word for the audit log and
// metrics, "absent" if there was no grant at all.
func CauseOf(err error) string {
	var r *refusal
	if errors.As(err, &r) {
		return r.cause
	}
	return "absent"
}

// clockSkew is how far ahead of ours the clock may have been that issued a
// grant: several gateways share a store, and a clock may be set back.
const clockSkew = int64(5 * time.Second)

// Check reports whether g satisfies d for holder h under binding b at now: nil,
// or an error that is [ErrNoGrant] whatever the cause (S02). A grant that was
// bound must find the same binding; an unbound grant does not satisfy a bound
// request.
func (g *Grant) Check(d *Demand, h *Holder, b *Binding, now time.Time) error {
	t := now.UnixNano()
	switch {
	case subtle.ConstantTimeCompare(g.Holder[:], h[:]) != 1:
		return refusedHolder
	case g.Action != d.Action.digest:
		return refusedAction
	case g.Use != d.Use || g.Use == 0:
		return refusedUse
	case t >= g.Expires:
		return refusedExpired
	case g.AuthTime > t+clockSkew:
		return refusedFuture
	case d.TTL <= 0 || t-g.AuthTime >= int64(min(d.TTL, MaxTTL)):
		return refusedAge
	case !d.Methods.Accepts(g.Methods):
		return refusedMethod
	case !d.Methods.Accepts(g.Methods | g.Origin):
		return refusedOrigin
	case g.API && !d.AcceptAPI:
		return refusedAPI
	case g.Session != half(b.Session) && !(g.API && g.Session == [16]byte{}):
		return refusedSession
	case g.Request != b.Request:
		return refusedRequest
	}
	return nil
}

// Vouch reports whether g proves to a server, which knows neither sessions nor
// requests, that holder h stepped up for the action: nil, or an error that is
// [ErrNoGrant]. A grant that a rule asked for is checked against what the rule
// asks today; nil where there is no rule. Of a grant of a server's own making only
// what vouched for its authenticator is (S24).
func (g *Grant) Vouch(a Action, today *Demand, h *Holder, now time.Time) error {
	d := Demand{Action: a, Use: g.Use, TTL: MaxTTL, AcceptAPI: true}
	if today != nil && !g.API {
		d.Use, d.TTL, d.Methods = today.Use, today.TTL, today.Methods
	}
	if today != nil && g.API && g.Origin != 0 && !today.Methods.Accepts(g.Origin) {
		return refusedOrigin
	}
	unbound := *g // of the request it must be: else it is good for that one only
	unbound.Session = [16]byte{}
	return unbound.Check(&d, h, &Binding{}, now)
}
