// Package backendapi is HTTP for servers: four documented APIs over one core. It
// promises that
//
//   - every request is answered here, with JSON: unknown paths are 404 and wrong
//     methods 405; nothing falls through to an application, and nothing
//     redirects;
//   - nothing is told or done without an API key, or where a call takes it a
//     user's own token; a key acts in its own tenant alone, within its scopes, and
//     mints grants for its own action types only;
//   - a refusal is 400 or above, whatever the cause, and says nothing that is not
//     the caller's to know (S02, S18);
//   - keys that are none are few: those of one address are limited before any is
//     looked up, but for keys that were good before;
//   - nothing is cached, and no code, token, secret or phone number gets into an
//     error (S13).
//
// Each documented API is a dialect: a file of its own with its routes, its calls
// and the shape of its refusals. What they have in common stands in the other
// files: finding the route (routes.go), who is asking (authenticate.go), what was
// sent (body.go) and what is answered (answer.go).
//
// It holds no state but the addresses that bad keys came from, and the digests of
// good ones. Package ceremony
// decides; browsers and people are package portal's.
package backendapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/apikeys"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/deadline"
	"github.com/stepup-gateway/caddy-stepup/internal/identity"
	"github.com/stepup-gateway/caddy-stepup/internal/inbound"
)

var (
	// ErrNobody is what Options.Identify gives where a request carries no user's
	// token, or none that is good.
	ErrNobody = identity.ErrNobody
	// ErrAmbiguous is what Options.Identify gives where a request names more than
	// one user, or one in ways that differ (S21).
	ErrAmbiguous = identity.ErrAmbiguous
)

// Options make an API. All are needed but Identify, BaseURL, PlainHTTP, Named
// and Refused.
type Options struct {
	Service *ceremony.Service
	// Issuer names the service to people.
	Issuer string
	// Form gives a user id in the form in which the tenant keeps its user ids. It
	// fails for what can be nobody's id.
	Form func(tenant, user string) (string, error)
	// Demand is what a rule of one of the tenant's sites asks today for the action
	// type; false where none does.
	Demand func(tenant, action string) (grants.Demand, bool)
	// Identify tells whom a user's own token names. Where it is nil no such tokens
	// are taken. Errors other than ErrNobody and ErrAmbiguous mean that it cannot
	// be told now.
	Identify func(*http.Request) (grants.Subject, error)
	// Server answers for the requests: the client's address is for the limit on
	// bad keys and the audit, and requests that did not come over HTTPS are refused
	// unless PlainHTTP is set, since a key that was sent in the clear is nobody's
	// secret.
	Server    inbound.Server
	PlainHTTP bool
	// BaseURL begins the addresses that are told to clients, as
	// https://host[/path]; empty means the one that the request was sent to.
	BaseURL string
	// Session is what session tokens are grants for. They are TIME_BASED.
	Session grants.Demand
	Now     func() time.Time
	// Named is told the action types that an API key names which is used. Nil drops
	// them.
	Named func(actions []string)
	// Refused is told of calls that were refused for who made them. Strangers choose
	// how many there are. Nil drops them.
	Refused func(context.Context, ceremony.Event)
	// Failed is told what made an answer "unavailable"; it gets no secrets.
	Failed func(context.Context, error)
}

func (o *Options) check() error {
	if o.Service == nil || o.Issuer == "" || o.Form == nil || o.Demand == nil || o.Server == nil ||
		o.Now == nil || o.Failed == nil {
		return errors.New("backendapi: an option is missing")
	}
	s := o.Session
	if s.Action.String() == "" || apikeys.IsReserved(s.Action.String()) || s.Use != grants.TimeBased || s.TTL <= 0 || s.TTL > grants.MaxTTL {
		return errors.New("backendapi: sessions must be time-based grants for an action type of the operator's")
	}
	return nil
}

// API is an http.Handler that answers every request.
type API struct {
	o      Options
	routes []route
	bad    *badKeys
	cross  *http.CrossOriginProtection
}

// New makes an API.
func New(o Options) (*API, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	o.Session.SessionToken = true
	return &API{o: o, routes: routes(), bad: newBadKeys(), cross: http.NewCrossOriginProtection()}, nil
}

// ServeHTTP answers every request; none is left for others.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{api: a, w: w, r: r}
	defer c.recoverPanic()
	path := r.URL.EscapedPath()
	c.dialect = dialectOf(path)
	deadline.Begin(c.w, c.r)
	if err := a.serve(c, path); err != nil {
		c.reportRefusal(err)
		c.fail(err)
	}
}

func (a *API) serve(c *call, path string) error {
	found, ids, allowed := a.find(c.r.Method, path)
	switch {
	case len(allowed) == 0:
		return &refusal{status: http.StatusNotFound, code: "not_found", detail: "There is no such path."}
	case found == nil:
		c.w.Header().Set("Allow", joinMethods(allowed))
		return &refusal{status: http.StatusMethodNotAllowed, code: "method_not_allowed", detail: "This path does not take the method."}
	}
	c.route, c.dialect, c.ids = found, found.dialect, ids
	if !a.o.PlainHTTP && !a.o.Server.Secure(c.r) {
		return &refusal{status: http.StatusForbidden, code: "https_required", detail: "Use HTTPS."}
	}
	if err := c.authenticate(); err != nil {
		return err
	}
	return found.serve(c)
}

var _ http.Handler = (*API)(nil)
