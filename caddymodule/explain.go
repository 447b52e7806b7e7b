package caddymodule

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// siteFor returns the handler that a's configuration leads r to.
func (a *App) siteFor(r *http.Request) (*Handler, error) {
	module, err := a.ctx.AppIfConfigured("http")
	if err != nil {
		return nil, caddy.APIError{HTTPStatus: http.StatusNotFound, Err: err}
	}
	servers := module.(*caddyhttp.App).Servers
	names := make([]string, 0, len(servers))
	for name := range servers {
		names = append(names, name)
	}
	slices.Sort(names)
	port := (&url.URL{Host: r.Host}).Port()
	for _, exact := range []bool{true, false} { // a server on the URL's port first
		for _, name := range names {
			if exact && (port == "" || !slices.ContainsFunc(servers[name].Listen, func(l string) bool { return strings.HasSuffix(l, ":"+port) })) {
				continue
			}
			if h := walk(servers[name].Routes, r); h != nil {
				return h, nil
			}
		}
	}
	return nil, errNoSite
}

var errNoSite = caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errors.New("no site with step_up serves that URL, so no rule looks at it")}

// walk follows the routes that match r.
func walk(routes caddyhttp.RouteList, r *http.Request) *Handler {
	for _, route := range routes {
		if ok, err := route.MatcherSets.AnyMatchWithError(r); err != nil || !ok {
			continue
		}
		for _, handler := range route.Handlers {
			if h, ok := handler.(*Handler); ok {
				return h
			}
			if h := walk(inside(handler), r); h != nil {
				return h
			}
		}
	}
	return nil
}
