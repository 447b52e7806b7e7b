// Package portal is HTTP for people: the pages under [Prefix] and the same verbs
// as JSON under its api/. It promises that
//
//   - nobody is shown or does anything without being identified, and everything
//     is about that person alone;
//   - nothing is changed but by POST, PATCH or DELETE that come from the site
//     itself (rule S10): every form carries a token bound to the browser, every
//     JSON body its media type;
//   - pages are served only as documents, never cached, and work without scripts
//     (S11);
//   - where a browser is sent afterwards was written down by the gateway before,
//     and lies on the site (S09);
//   - no code, secret or token gets into an error or an address (S13).
//
// The gate hands it every request whose raw path lies under the prefix. It holds
// no state: package ceremony decides, packages pages and problem say it. Which
// requests need a step-up is none of its business.
package portal

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/deadline"
	"github.com/stepup-gateway/caddy-stepup/internal/identity"
	"github.com/stepup-gateway/caddy-stepup/internal/inbound"
	"github.com/stepup-gateway/caddy-stepup/internal/pages"
	"github.com/stepup-gateway/caddy-stepup/internal/problem"
)

// Prefix begins the path of everything served here.
const Prefix = "/.step-up/"

var (
	// ErrNobody is what Options.Identify gives where nobody is signed in.
	ErrNobody = identity.ErrNobody
	// ErrAmbiguous is what Options.Identify gives where the request names more
	// than one person, or one in ways that differ (S21).
	ErrAmbiguous = identity.ErrAmbiguous
	// ErrInvalid is what Options.Identify returns if the user's id cannot be kept.
	ErrInvalid = identity.ErrInvalid
)

// Action is an action type that a person may step up for ahead of time.
type Action struct {
	Demand grants.Demand
	Label  string
	// RequestBound tells that its grants are bound to one request, and so come
	// with that request only.
	RequestBound bool
}

// Options make a portal. All are needed but Issuer, Brand, Actions and Asks.
type Options struct {
	Service *ceremony.Service
	Issuer  string       // shown on the pages
	Brand   *pages.Brand // how the pages look; nil: as they are
	// Identify tells who is asking, with Principal.Browser zero where the
	// request has no browser cookie. Errors other than ErrNobody and
	// ErrAmbiguous mean that it cannot be told now.
	Identify func(*http.Request) (ceremony.Principal, error)
	// Server answers where a request came in. A challenge is passed only on its own
	// site.
	Server inbound.Server
	// PlainHTTP allows requests that are not Secure.
	PlainHTTP bool
	Actions   map[string]Action
	// Asks tells whether the browser that sent r would be asked for a proof on a
	// page of the site, a path and query that begins with base (see inbound.Server). Nil:
	// never.
	Asks func(r *http.Request, who ceremony.Principal, base, page string) bool
	Now  func() time.Time
	// Failed is told what made an answer "unavailable"; it gets no secrets.
	Failed func(context.Context, error)
}

// Portal is an http.Handler for the paths under [Prefix].
type Portal struct {
	o      Options
	cross  *http.CrossOriginProtection
	routes []route
	client servedScript
}

// New makes a portal.
func New(o Options) (*Portal, error) {
	if o.Service == nil || o.Identify == nil || o.Server == nil || o.Now == nil || o.Failed == nil {
		return nil, errors.New("portal: an option is missing")
	}
	if o.Asks == nil {
		o.Asks = func(*http.Request, ceremony.Principal, string, string) bool { return false }
	}
	p := &Portal{o: o, cross: http.NewCrossOriginProtection()}
	p.routes, p.client = routes(), newClient(o.Issuer, o.Brand)
	return p, nil
}

// ServeHTTP answers every request; none is left for others.
func (p *Portal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	deadline.Begin(w, r)
	pages.ProtectHeaders(w.Header())
	v := &visit{portal: p, w: w, r: r, site: where{p.o.Server.Origin(r), p.o.Server.Base(r), p.o.Server.Secure(r)}}
	path, under := strings.CutPrefix(r.URL.EscapedPath(), Prefix)
	rest, api := strings.CutPrefix(path, "api/")
	v.api = under && api || path == "api"
	if v.api {
		path = rest
	}

	if r.URL.EscapedPath()+"/" == Prefix {
		_ = v.redirect(v.url(""))
		return
	}
	serve, ids, allowed := p.find(v.api, r.Method, path)
	switch {
	case under && !v.api && path == "client.js" && (r.Method == http.MethodGet || r.Method == http.MethodHead) && (v.site.Secure || p.o.PlainHTTP):
		p.client.serve(w, r)
		return
	case !under || len(allowed) == 0:
		v.refuse(problem.NotFound)
		return
	case serve == nil:
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		v.refuse(problem.MethodNotAllowed)
		return
	case !v.site.Secure && !p.o.PlainHTTP:
		v.refuse(problem.HTTPSRequired)
		return
	case !v.api && !isDocument(r):
		v.message(http.StatusForbidden, pages.NotADocument, v.url(""))
		return
	}
	if err := p.o.Service.RolledBack(r.Context()); err != nil {
		v.fail(err)
		return
	}
	if err := p.cross.Check(r); err != nil {
		v.refuse(problem.CrossOrigin)
		return
	}
	who, err := p.o.Identify(r)
	if err != nil || who.IsZero() {
		v.fail(identityError(err))
		return
	}
	v.who, v.who.Site, v.who.Lang = who, v.site.Origin, v.language()
	v.rememberBrowser()
	v.ids = ids
	if err := serve(v); err != nil {
		v.fail(err)
	}
}

// identityError is never nil: nobody, whatever came with it, does not pass (S01).
func identityError(err error) error {
	if err == nil {
		return ErrNobody
	}
	return err
}

// isDocument tells that what asks is a window, not a frame, image, script or
// fetch. Old browsers and other clients do not say, and pass.
func isDocument(r *http.Request) bool {
	dest := r.Header["Sec-Fetch-Dest"]
	return len(dest) == 0 || len(dest) == 1 && dest[0] == "document"
}

// fromBrowser tells that a browser sent r.
func fromBrowser(r *http.Request) bool {
	if len(r.Header["Origin"]) > 0 {
		return true
	}
	for name := range r.Header {
		if strings.HasPrefix(name, "Sec-Fetch-") {
			return true
		}
	}
	return false
}

var _ http.Handler = (*Portal)(nil)
