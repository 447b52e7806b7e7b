package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/place"
	"github.com/stepup-gateway/caddy-stepup/config"
	"github.com/stepup-gateway/caddy-stepup/internal/coverage"
)

// checkComposition judges the routes of the server that h is in (S28), once, when
// the first step_up of the server is loaded. What is wrong is refused; a way around
// a step_up is warned of, and what a client may not say to the application is
// deleted on it too.
func (h *Handler) checkComposition(ctx caddy.Context, app *App) error {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || frontOf(server) != nil {
		return nil // no server, or judged already
	}
	routes := routesOf(server.Routes)
	app.hosts.Add(routes)
	c, err := coverage.Follow(routes)
	if err != nil {
		return h.misplaced(ctx, server, err)
	}
	app.foresee(ctx, server)
	for _, way := range c.Around() {
		h.around = true
		h.logger.Warn("requests reach the application without passing step_up: put step_up before the handle and route blocks of the site, and name what needs no proof by `except`",
			zap.String("at", h.place.At("")), zap.String("step_up", way.StepUp), zap.Strings("upstreams", way.Upstreams), zap.String("way_around", way.Matched))
	}
	if server.Errors == nil {
		return nil
	}
	ways, err := c.AroundByErrors(routesOf(server.Errors.Routes))
	if err != nil {
		return h.misplaced(ctx, server, fmt.Errorf("in handle_errors: %w", err))
	}
	for _, way := range ways {
		h.logger.Warn("handle_errors passes requests that were refused, by basic_auth for example, to the application with their method and path, and past step_up: answer them with `respond`, rewrite them to a page of errors, or put step_up before reverse_proxy there too",
			zap.String("at", h.place.At("")), zap.String("step_up", way.StepUp), zap.String("upstream", way.Upstreams[0]))
	}
	// It is provisioned after the server's routes.
	server.Errors.Routes = append(caddyhttp.RouteList{{HandlersRaw: []json.RawMessage{json.RawMessage(`{"handler":"step_up_scrub"}`)}}}, server.Errors.Routes...)
	return nil
}

// toldElsewhere are findings that are warned of where one site is loaded.
var toldElsewhere = map[string]bool{"observes-only": true, "email-no-address": true, "codes-to-file": true}

// foresee warns of what the whole configuration shows to be a mistake, with its
// place: what `caddy step-up check` reports to those who ask.
func (a *App) foresee(ctx caddy.Context, server *caddyhttp.Server) {
	findings, err := a.foresight.Look(ctx, server)
	if err != nil {
		a.logger.Warn("looking for mistakes in the whole configuration failed", zap.Error(err))
	}
	for _, f := range findings {
		if !toldElsewhere[f.Code] {
			a.logger.Warn(f.Problem+": "+f.Advice, zap.String("at", f.At), zap.String("finding", f.Code))
		}
	}
}

// misplaced adds to a refusal the place of the step_up that it is about, which need
// not be h.
func (h *Handler) misplaced(ctx caddy.Context, server *caddyhttp.Server, err error) error {
	if wrong := (*coverage.RouteError)(nil); errors.As(err, &wrong) {
		return place.Place{Path: "apps.http.servers." + nameOf(ctx, server) + wrong.Path, Source: wrong.Source}.Refused(err)
	}
	return err
}

// routesOf reads a server's routes. Caddy has loaded the matchers, and the
// handlers of the routes in front of the first step_up; all else is still JSON.
func routesOf(list caddyhttp.RouteList) []coverage.Route {
	var all []coverage.Route
	for _, r := range list {
		one := coverage.Route{Group: r.Group, Handle: r.HandlersRaw, Terminal: r.Terminal}
		for _, set := range r.MatcherSetsRaw {
			one.Match = append(one.Match, set)
		}
		for _, set := range r.MatcherSets {
			one.Match = append(one.Match, matchersOf(set))
		}
		for _, h := range r.Handlers {
			one.Handle = append(one.Handle, loaded(h))
		}
		all = append(all, one)
	}
	return all
}

// matchersOf is a set of matchers that were loaded already. A not forgets its JSON
// then.
func matchersOf(set caddyhttp.MatcherSet) map[string]json.RawMessage {
	matchers := map[string]json.RawMessage{}
	for _, m := range set {
		module, ok := m.(caddy.Module)
		if !ok {
			continue
		}
		var said any = m
		if not, ok := m.(*caddyhttp.MatchNot); ok {
			sets := []map[string]json.RawMessage{}
			for _, inner := range not.MatcherSets {
				sets = append(sets, matchersOf(inner))
			}
			said = sets
		}
		raw, _ := json.Marshal(said)
		matchers[module.CaddyModule().ID.Name()] = raw
	}
	return matchers
}

// loaded is the JSON of a handler that was loaded already.
func loaded(h caddyhttp.MiddlewareHandler) json.RawMessage {
	said := map[string]any{"handler": caddy.GetModuleName(h)}
	if s, ok := h.(*caddyhttp.Subroute); ok {
		said["routes"] = routesOf(s.Routes)
	} else if raw, err := json.Marshal(h); err == nil {
		var fields map[string]any
		_ = json.Unmarshal(raw, &fields)
		for name, value := range fields {
			said[name] = value
		}
		said["handler"] = caddy.GetModuleName(h)
	}
	raw, _ := json.Marshal(said)
	return raw
}

// placeOf finds out where a handler stands, while it is provisioned: Caddy does not
// tell, so the routes of the server are searched for the one with its settings.
func placeOf(ctx caddy.Context, handler caddyhttp.MiddlewareHandler, source config.Source) place.Place {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || len(source) > 0 {
		return place.Place{Source: source}
	}
	at := "apps.http.servers." + nameOf(ctx, server)
	lists := map[string]caddyhttp.RouteList{".routes": server.Routes}
	if front := frontOf(server); front != nil {
		lists[".routes"] = front.routes
	}
	if server.Errors != nil {
		lists[".errors.routes"] = server.Errors.Routes
	}
	for name, list := range lists {
		if path := place.Find(routesOf(list), at+name, caddy.GetModuleName(handler), handler); path != "" {
			return place.Place{Path: path}
		}
	}
	return place.Place{Path: at}
}

// nameOf is a server's name in the configuration.
func nameOf(ctx caddy.Context, server *caddyhttp.Server) string {
	for _, module := range ctx.Modules() {
		if app, ok := module.(*caddyhttp.App); ok {
			for name, s := range app.Servers {
				if s == server {
					return name
				}
			}
		}
	}
	return "?"
}
