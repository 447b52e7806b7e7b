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
// deletes what a client may not say to an application (S08, S23): an error of a handler
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

// ServeHTTP scrubs a request and passes it on, without any upgrade. A CONNECT would
// open one whatever its headers say, so it is answered with the error's status.
func (Scrub) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if r.Method == http.MethodConnect {
		status := http.StatusMethodNotAllowed
		if err, ok := r.Context().Value(caddyhttp.ErrorCtxKey).(error); ok {
			if failed, ok := errors.AsType[caddyhttp.HandlerError](err); ok && failed.StatusCode >= 400 {
				status = failed.StatusCode
			}
		}
		w.WriteHeader(status)
		return nil
	}
	r.Header.Del("Upgrade")
	return gate.Scrub(w, r, nil, next.ServeHTTP)
}

// Interface guards
var (
	_ caddy.Provisioner           = Scrub{}
	_ caddyhttp.MiddlewareHandler = Scrub{}
)
