package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/database"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/facts"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/metrics"
	"github.com/stepup-gateway/caddy-stepup/config"
	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/backendapi"
	"github.com/stepup-gateway/caddy-stepup/internal/clock"
)

func init() {
	caddy.RegisterModule(API{})
}

// API is the API for servers in one site: they enroll users, verify codes and
// check grants with a key that `caddy step-up keys create` made. It ends every
// request that it sees. Mount it where servers reach it and the public does not.
type API struct {
	config.API

	// IdentityRaw tells whom a user's own token names, in the calls that take one
	// beside an API key; a module of the namespace step_up.identity. Default:
	// such tokens are not taken.
	IdentityRaw json.RawMessage `json:"identity,omitempty" caddy:"namespace=step_up.identity inline_key=source"`

	// Source tells where these settings stand in a Caddyfile. The Caddyfile's
	// adapter writes it, for messages. Default: unknown.
	Source config.Source `json:"source,omitempty"`

	identity IdentitySource // nil where users' own tokens are not taken
	form     func(user string) (string, error)
	handler  http.Handler
	logger   *zap.Logger
}

// CaddyModule returns the module's id.
func (API) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.step_up_api", New: func() caddy.Module { return new(API) }}
}

var (
	errWhoseUsers = errors.New("step_up_api does not know whose users `identity` names: add `tenant NAME`, that of your site, which is `tenant default` where it names none")
	errNoUsers    = errors.New("tenant says whose users `identity` names, and there is no identity: a key has a tenant of its own; remove tenant")
)

// check returns the first thing that is wrong, as a sentence. Like the site's it
// is not called Validate.
func (h *API) check() error {
	if err := h.API.Validate(); err != nil {
		return err
	}
	switch identified := len(h.IdentityRaw) > 0; {
	case identified && h.Tenant == "":
		return errWhoseUsers
	case !identified && h.Tenant != "" && h.UserID == "":
		return errNoUsers
	}
	return nil
}

// Provision builds the API.
func (h *API) Provision(ctx caddy.Context) error {
	h.logger = ctx.Logger()
	return placeOf(ctx, h, h.Source).Refused(h.provision(ctx))
}

func (h *API) provision(ctx caddy.Context) error {
	if err := h.check(); err != nil {
		return err
	}
	app, err := stepUp(ctx)
	if err != nil {
		return err
	}
	if err := app.joinAPI(h); err != nil {
		return err
	}
	said := h.API.WithDefaults()
	session, err := sessionDemand(said.SessionToken)
	if err != nil {
		return err
	}
	metrics.Labels.Allow(session.Action.String())
	options := backendapi.Options{
		Service:   app.service,
		Issuer:    app.App.WithDefaults().Issuer,
		Form:      app.form,
		Demand:    app.demand,
		Server:    facts.Server{},
		BaseURL:   said.BaseURL,
		PlainHTTP: app.AllowPlainHTTP,
		Session:   session,
		Named:     func(actions []string) { metrics.Labels.Allow(actions...) },
		Now:       clock.Now,
		Refused:   app.auditRefused,
		Failed:    h.failed,
	}
	if len(h.IdentityRaw) > 0 {
		if h.identity, err = identitySource(ctx, h, h.IdentityRaw); err != nil {
			return err
		}
		h.form = func(user string) (string, error) { return app.form(said.Tenant, user) }
		options.Identify = h.identify
	}
	h.handler, err = backendapi.New(options)
	return err
}

func sessionDemand(s config.SessionToken) (grants.Demand, error) {
	action, err := grants.NewAction(s.Action)
	return grants.Demand{Action: action, Use: grants.TimeBased, TTL: time.Duration(s.TTL)}, err
}

func (h *API) failed(_ context.Context, err error) {
	database.LogRefusal(h.logger, "a call of the API for servers failed", err)
}

// ServeHTTP answers every request, and returns no error: one would run the site's
// handle_errors, where a reverse_proxy would let an application answer a call that
// was refused.
//
// The access log would have the address of a QR code, and whoever reads it in time
// the secret in it (S13); that log's copy of a request cannot be changed, so it
// is left out there and a line without the id is written instead.
func (h *API) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	if !backendapi.ShowsSecret(r) {
		h.handler.ServeHTTP(w, r)
		return nil
	}
	caddyhttp.SetVar(r.Context(), caddyhttp.LogSkipVar, true)
	answer := caddyhttp.NewResponseRecorder(w, nil, nil)
	h.handler.ServeHTTP(answer, r)
	h.logger.Info("a QR code was asked for", zap.String("method", r.Method), zap.String("host", r.Host),
		zap.String("client_ip", facts.Client(r)), zap.Int("status", answer.Status()))
	return nil
}

// identify tells whom a user's own token names.
func (h *API) identify(r *http.Request) (grants.Subject, error) {
	who, err := h.identity.Identify(r)
	subject := who.Subject
	switch {
	case err != nil:
		return grants.Subject{}, err
	case subject.Tenant != "" && subject.Tenant != h.Tenant:
		return grants.Subject{}, ErrNobody // somebody, but not of this tenant
	}
	if subject.User, err = h.form(subject.User); err != nil {
		return grants.Subject{}, err
	}
	return grants.Subject{Tenant: h.Tenant, User: subject.User}, nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*API)(nil)
	_ caddyhttp.MiddlewareHandler = (*API)(nil)
)
