package caddymodule

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/block"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/facts"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/lasting"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/place"
	"github.com/stepup-gateway/caddy-stepup/config"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/clock"
	"github.com/stepup-gateway/caddy-stepup/internal/coverage"
	"github.com/stepup-gateway/caddy-stepup/internal/gate"
	"github.com/stepup-gateway/caddy-stepup/internal/portal"
	"github.com/stepup-gateway/caddy-stepup/internal/problem"
)

func init() {
	caddy.RegisterModule(Handler{})
}

// Handler is the gateway in one site.
type Handler struct {
	config.Site

	// IdentityRaw tells who is asking, a module of the namespace
	// step_up.identity. Required.
	IdentityRaw json.RawMessage `json:"identity,omitempty" caddy:"namespace=step_up.identity inline_key=source"`

	// Source tells where these settings stand in a Caddyfile. The Caddyfile's
	// adapter writes it, for messages. Default: unknown.
	Source config.Source `json:"source,omitempty"`

	// named returns the matcher set that the Caddyfile defines under an @name.
	// It is set only while a Caddyfile is read.
	named func(caddyfile.Token) (config.Matchers, error)

	place    place.Place // where it stands in the configuration
	tenant   string
	source   string // IdentityRaw in a form that can be compared
	identity IdentitySource
	form     func(user string) (string, error) // the form in which user ids are kept
	carried  *carried                          // where requests carry credentials
	badEmail *sync.Once                        // tells of a mail address that is none
	service  *ceremony.Service
	actions  map[string]portal.Action // by action type
	around   bool                     // some way leads around it, see checkComposition
	gate     *gate.Gate
	observer *observer
	lasting  *lasting.Log
	logger   *zap.Logger
}

// CaddyModule returns the module's id.
func (Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.step_up", New: func() caddy.Module { return new(Handler) }}
}

// errNoIdentity refuses a site in which everybody would be nobody.
var errNoIdentity = errors.New("step_up does not know who is asking: add `identity placeholder {http.auth.user.id}`, with an authentication directive such as basic_auth or forward_auth in the site")

// check returns the first thing that is wrong with the site, as a sentence. It is
// not called Validate: Caddy calls that after Provision, when IdentityRaw has been
// loaded and cleared.
func (h *Handler) check() error {
	if len(h.IdentityRaw) == 0 {
		return errNoIdentity
	}
	return h.Site.Validate()
}

// Provision builds the site's gate.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.logger = ctx.Logger()
	h.place = placeOf(ctx, h, h.Source)
	return h.place.Refused(h.provision(ctx))
}

func (h *Handler) provision(ctx caddy.Context) error {
	h.lasting = lasting.New(h.logger)
	if err := h.check(); err != nil {
		return err
	}
	app, err := stepUp(ctx)
	if err != nil {
		return err
	}
	if err := h.checkComposition(ctx, app); err != nil {
		return err
	}
	if err := h.loadIdentity(ctx); err != nil {
		return err
	}
	if err := app.join(h); err != nil {
		return err
	}
	facts.RememberConns(ctx)
	held := app.App.WithDefaults().Limits.Held.Size
	switch behind, err := h.joinFront(ctx, app); {
	case err != nil:
		return err
	case !behind:
		h.logger.Warn("a step_up in a named route or in handle_errors holds no forms: whoever passes its challenge has to send the form again", zap.String("at", h.place.At("")), zap.String("tenant", h.tenant))
		held = -1
	}
	return h.build(ctx, app, held)
}

func (h *Handler) loadIdentity(ctx caddy.Context) error {
	var compact bytes.Buffer
	if err := json.Compact(&compact, h.IdentityRaw); err != nil {
		return fmt.Errorf("reading identity: %w", err)
	}
	h.source = compact.String()
	var err error
	h.badEmail = new(sync.Once)
	h.identity, err = identitySource(ctx, h, h.IdentityRaw)
	return err
}

// identitySource loads the guest of a handler's field IdentityRaw.
func identitySource(ctx caddy.Context, handler any, raw json.RawMessage) (IdentitySource, error) {
	module, err := block.Load(ctx, handler, "IdentityRaw", raw, "step_up.identity", "source", "identity")
	if err != nil {
		return nil, err
	}
	source, ok := module.(IdentitySource)
	if !ok {
		return nil, &config.PathError{Path: "identity", Err: fmt.Errorf("%T is no identity source", module)}
	}
	return source, nil
}

// build makes the gate, which holds requests up to a size, and the pages behind
// it.
func (h *Handler) build(ctx caddy.Context, app *App, held int64) error {
	said := h.Site.WithDefaults()
	h.tenant, h.service = said.Tenant, app.service
	h.form = formOf(said.UserID)
	if err := h.placeCredentials(said.Credentials, int(max(app.App.WithDefaults().Limits.Held.Size, 256<<10))); err != nil {
		return err
	}
	if err := offered(said.Rules, app.App.Methods()); err != nil {
		return err
	}
	rules, actions, err := compileRules(ctx, said.Rules)
	if err != nil {
		return err
	}
	h.actions = actions
	if said.ObservesOnly() {
		h.logger.Warn("all rules of a site have mode observe: nothing in it is protected: remove `mode observe` where a rule is to be enforced", zap.String("at", h.place.At("")), zap.String("tenant", h.tenant))
	}
	for i := range said.Rules {
		if by := said.Rules[i].ClientChosen(); len(by) > 0 {
			h.logger.Warn("a rule matches by what a client chooses: whoever leaves it out, or writes it in another way, leaves the rule; match by path, method or host, use form and json for the fields of a request, or put a rule without that matcher behind this one",
				zap.String("at", h.place.At(fmt.Sprintf("rules[%d]", i))), zap.String("tenant", h.tenant), zap.String("rule", describe(said.Rules[i])), zap.Strings("matchers", by))
		}
	}
	if len(said.AllowUpgrades) > 0 {
		h.logger.Warn("no rule sees what is sent inside a connection that was upgraded: whoever may send one such request may send anything that the protocol carries: name only those that the application needs",
			zap.String("at", h.place.At("allow_upgrades")), zap.String("tenant", h.tenant), zap.Strings("allow_upgrades", said.AllowUpgrades))
	}
	h.warnUnaddressed(app)
	h.observer = newObserver(h.tenant, rules, app.logger.Named("observe"), clock.Now)
	issuer := app.App.WithDefaults().Issuer
	pages, err := portal.New(portal.Options{
		Service:   app.service,
		Issuer:    issuer,
		Brand:     app.brand,
		Identify:  h.identifyForPortal,
		Server:    facts.Server{},
		PlainHTTP: app.AllowPlainHTTP,
		Actions:   actions,
		Asks: func(r *http.Request, who ceremony.Principal, base, page string) bool {
			return h.gate.Asks(r, who, base, page)
		},
		Now:    clock.Now,
		Failed: h.portalFailed,
	})
	if err != nil {
		return err
	}
	h.gate, err = gate.New(gate.Options{
		Tenant:         said.Tenant,
		Name:           h.name(),
		Issuer:         issuer,
		Brand:          app.brand,
		Rules:          rules,
		Ceremony:       app.service,
		Identify:       h.identifyRequest,
		Credentials:    h.carried.headerNames(),
		Server:         facts.Server{},
		AllowPlainHTTP: app.AllowPlainHTTP,
		WithReading:    withReading,
		Unclean:        func(r *http.Request) []*http.Request { return coverage.Unclean(r, withReading) },
		Candidates:     coverage.Candidates(said.Rules),
		Restored:       restored,
		MaxHeld:        held,
		Portal:         pages,
		AllowMethods:   said.AllowMethods,
		AllowUpgrades:  said.AllowUpgrades,
		Undialed:       undialed,
		Counter:        counterOf(said.Rules),
		Announce:       announced(said.Announce),
		Decided:        h.observer.decided,
		Observed:       h.observer.observed,
		Uncovered:      h.observer.uncovered,
		Audit:          app.audit,
		Failed:         h.gateFailed,
		Lasting:        h.refusedFor,
		Now:            clock.Now,
	})
	return err
}

// announced is what the gate announces of what is configured.
func announced(words []string) (a gate.Announced) {
	for _, w := range words {
		switch w {
		case config.AnnounceUser:
			a |= gate.AnnounceUser
		case config.AnnounceAction:
			a |= gate.AnnounceAction
		case config.AnnounceMethod:
			a |= gate.AnnounceMethod
		case config.AnnounceAMR:
			a |= gate.AnnounceAMR
		case config.AnnounceAuthTime:
			a |= gate.AnnounceAuthTime
		}
	}
	return a
}

// offered leaves in each rule the methods that there are, and refuses one that
// nobody could pass.
func offered(rules []config.Rule, methods []string) error {
	for i := range rules {
		if err := rules[i].CheckOffered(methods); err != nil {
			return err
		}
		rules[i].Methods = slices.DeleteFunc(slices.Clone(rules[i].Methods), func(m string) bool { return !slices.Contains(methods, m) })
	}
	return nil
}

// ServeHTTP asks for the proof, or passes the request on. It returns an error
// only where a handler behind it did: an error of our own would run the site's
// handle_errors, where a reverse_proxy would forward what was refused.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	o := onwards.Get().(*onward)
	o.next, o.taken = next, false
	defer h.refusePanic(o, w, r)
	err := h.gate.ServeHTTP(w, r, o.pass)
	o.next = nil
	return err
}

// onward is the way to the handlers behind us, and whether it was taken. Only the
// gate knows it, and only while it serves a request.
type onward struct {
	next  caddyhttp.Handler // nil: the gate has returned
	taken bool
	pass  func(http.ResponseWriter, *http.Request) error // serve
}

var onwards = sync.Pool{New: func() any {
	o := new(onward)
	o.pass = o.serve
	return o
}}

func (o *onward) serve(w http.ResponseWriter, r *http.Request) error {
	o.taken = true
	return o.next.ServeHTTP(w, r)
}

// refusePanic answers a request on which something of ours, or a matcher or an
// identity source of somebody else's, panicked (S01). Panics of the handlers
// behind, by which a reverse_proxy cuts a connection, are left alone.
func (h *Handler) refusePanic(o *onward, w http.ResponseWriter, r *http.Request) {
	if o.next == nil {
		onwards.Put(o)
		return
	}
	if o.taken {
		return
	}
	cause := recover()
	if cause == nil {
		return
	}
	if cause == http.ErrAbortHandler {
		panic(cause)
	}
	h.logger.Error("panic while deciding a request, which was refused",
		zap.String("tenant", h.tenant), zap.Any("panic", cause), zap.Stack("stack"))
	problem.Write(w, problem.Problem{Code: problem.Unavailable})
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.Validator             = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
