package caddymodule

import (
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/stepup-gateway/caddy-stepup/internal/gate"
)

func init() {
	caddy.RegisterModule(Scrub{})
}

// Scrub stands before the error routes of a server that has a step_up, and
// deletes what a client may not say to an application (S08): an error of a handler
// in front, such as a refusal by basic_auth, never came by step_up. The first
// step_up of the server puts it there; no configuration names it.
type Scrub struct{}

// CaddyModule returns the module's id.
func (Scrub) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.step_up_scrub", New: func() caddy.Module { return new(Scrub) }}
}

// Provision refuses one that stands in no server.
func (Scrub) Provision(ctx caddy.Context) error {
	if _, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); !ok {
		return errors.New("step_up_scrub is put before the error routes of a server by step_up itself: remove it from the configuration")
	}
	return nil
}

// ServeHTTP scrubs a request and passes it on.
func (Scrub) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	return next.ServeHTTP(w, gate.Scrub(r))
}

// Interface guards
var (
	_ caddy.Provisioner           = Scrub{}
	_ caddyhttp.MiddlewareHandler = Scrub{}
)
