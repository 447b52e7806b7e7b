package caddymodule

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/database"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/facts"
	"github.com/stepup-gateway/caddy-stepup/internal/coverage"
	"github.com/stepup-gateway/caddy-stepup/internal/gate"
)

func init() {
	caddy.RegisterModule(new(Front))
}

// Front stands before all routes of a server that has a step_up handler, so that
// a held request is seen by every handler as it was sent: by those that refuse,
// rewrite or route by method, and not as the GET by which the browser comes back
// for it. See package gate.
//
// The first step_up handler of a server puts it there while the configuration is
// loaded. It has no settings, and is not for configurations: one that names it is
// refused.
type Front struct {
	// routes are the server's own. They share their memory with the list that is
	// being provisioned, so that they are complete when the server starts.
	routes caddyhttp.RouteList
	front  *gate.Front
	// scrubs is set if some way leads around a step_up to the application behind it:
	// what a client may not say is deleted here then, and no upgrade is let
	// through but those that a step_up allows.
	scrubs   bool
	upgrades map[string]bool
	once     sync.Once
	pass     func(http.ResponseWriter, *http.Request) error // to the routes
}

// CaddyModule returns the module's id.
func (*Front) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.step_up_resume", New: func() caddy.Module { return new(Front) }}
}

var errFrontByHand = errors.New("step_up_resume is put before the routes of a server by step_up itself: remove it from the configuration")

// Provision refuses a front that a configuration names.
func (f *Front) Provision(ctx caddy.Context) error {
	lineage := ctx.Modules() // the last one is f
	if len(lineage) < 2 {
		return errFrontByHand
	}
	if _, ours := lineage[len(lineage)-2].(*Handler); !ours {
		return errFrontByHand
	}
	return nil
}

// joinFront puts h behind the front of its server. It reports whether it could: a
// handler that is not among the server's routes, but in a named route or in
// handle_errors, cannot.
func (h *Handler) joinFront(ctx caddy.Context, app *App) (bool, error) {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return true, nil // no HTTP server: the handler is only looked at
	}
	if !provisioning(server.Routes) {
		if front := frontOf(server); front == nil || !provisioning(front.routes) {
			return false, nil
		}
	}
	if frontOf(server) == nil {
		route := caddyhttp.Route{HandlersRaw: []json.RawMessage{json.RawMessage(`{"handler":"step_up_resume"}`)}}
		if err := route.Provision(ctx, nil); err != nil {
			return false, err
		}
		route.Handlers[0].(*Front).build(server.Routes, app, h.logger)
		server.Routes = caddyhttp.RouteList{route}
	}
	front := frontOf(server)
	front.scrubs = front.scrubs || h.around
	for _, name := range h.AllowUpgrades {
		front.upgrades[strings.ToLower(name)] = true
	}
	return true, nil
}

// frontOf returns the front of a server, nil where it has none.
func frontOf(server *caddyhttp.Server) *Front {
	if len(server.Routes) != 1 || len(server.Routes[0].Handlers) != 1 {
		return nil
	}
	front, _ := server.Routes[0].Handlers[0].(*Front)
	return front
}

// provisioning reports whether Caddy is at work on the handlers of a list of
// routes: one of them still has to be loaded.
func provisioning(routes caddyhttp.RouteList) bool {
	for i := range routes {
		if len(routes[i].HandlersRaw) > len(routes[i].Handlers) {
			return true
		}
	}
	return false
}

func (f *Front) build(routes caddyhttp.RouteList, app *App, logger *zap.Logger) {
	f.routes, f.upgrades = routes, map[string]bool{}
	f.front = gate.NewFront(gate.FrontOptions{
		Ceremony: app.service,
		Server:   facts.Server{},
		Leads:    f.leads,
		Restored: restored,
		Failed: func(r *http.Request, doing string, err error) {
			database.LogRefusal(logger, doing+" failed", err, zap.String("host", r.Host))
		},
	})
}

// ServeHTTP passes a request on to the server's routes.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	// Behind a server's routes stands the same handler for every request.
	f.once.Do(func() { f.pass = f.routes.Compile(next).ServeHTTP })
	if f.scrubs && f.leads(r, "") {
		return gate.Scrub(w, r, f.upgrades, func(w http.ResponseWriter, r *http.Request) error {
			return f.front.ServeHTTP(w, r, f.pass)
		})
	}
	return f.front.ServeHTTP(w, r, f.pass)
}

// leads reports whether the site that serves r has a step_up of the name, or any
// if it is empty. Only hosts are compared: what handlers in front make of the rest
// is not known before they have run.
func (f *Front) leads(r *http.Request, name string) bool {
	for _, route := range f.routes {
		only, serves := hosts(route, r)
		if !serves {
			continue
		}
		if f.has(route, name, 0) {
			return true
		}
		if only && route.Terminal {
			return false
		}
	}
	return false
}

// hosts reports whether a route serves the host of r, and whether it asks for
// nothing else.
func hosts(route caddyhttp.Route, r *http.Request) (only, serves bool) {
	if len(route.MatcherSets) == 0 {
		return true, true
	}
	for _, set := range route.MatcherSets {
		all, rest := true, false
		for _, m := range set {
			switch m := m.(type) {
			case *caddyhttp.MatchHost:
				ok, err := m.MatchWithError(r)
				all = all && (ok && err == nil)
			default:
				rest = true
			}
		}
		if all {
			serves, only = true, only || !rest
		}
	}
	return only, serves
}

// has reports whether a handler of the name stands somewhere in a route.
func (f *Front) has(route caddyhttp.Route, name string, depth int) bool {
	if depth > coverage.MaxNesting {
		return false
	}
	for _, handler := range route.Handlers {
		switch handler := handler.(type) {
		case *Handler:
			if name == "" || handler.name() == name {
				return true
			}
		default:
			for _, inner := range inside(handler) {
				if f.has(inner, name, depth+1) {
					return true
				}
			}
		}
	}
	return false
}

// inside are the routes in a handler, for those that look for a step_up.
func inside(handler caddyhttp.MiddlewareHandler) caddyhttp.RouteList {
	switch handler := handler.(type) {
	case *caddyhttp.Subroute:
		return handler.Routes
	case *Front:
		return handler.routes
	}
	return nil
}

// name tells a handler from others of its server, also after a reload: what it
// holds is carried on with by one that identifies the same people.
func (h *Handler) name() string {
	sum := sha256.Sum256([]byte("step-up site\x00" + h.tenant + "\x00" + h.source))
	return hex.EncodeToString(sum[:8])
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Front)(nil)
	_ caddyhttp.MiddlewareHandler = (*Front)(nil)
)
