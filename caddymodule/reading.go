package caddymodule

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// withReading makes the request that Caddy's matchers are run on for one reading
// of r: the same request with another path and method, and a replacer of its own,
// so that {http.request.uri.path} in an expression is the reading's path and not
// the one that was sent. What the handlers in front have set, such as
// {http.auth.user.id} and variables, is seen as it is; nothing that a matcher sets
// gets back to r. The copy has no body.
func withReading(r *http.Request, path, method string) *http.Request {
	u := *r.URL
	u.Path, u.RawPath = path, ""
	c := *r
	c.URL, c.Method, c.RequestURI, c.Body = &u, method, u.RequestURI(), http.NoBody

	// PrepareRequest takes the copy for a request that has just come in.
	prepared, repl := prepare(r, &c)
	ctx := prepared.Context()
	if original := r.Context().Value(caddyhttp.OriginalRequestCtxKey); original != nil {
		ctx = context.WithValue(ctx, caddyhttp.OriginalRequestCtxKey, original)
	}
	if vars, ok := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any); ok {
		ctx = context.WithValue(ctx, caddyhttp.VarsCtxKey, maps.Clone(vars))
	}
	ctx = context.WithValue(ctx, caddy.ReplacerCtxKey, repl)
	*prepared = *prepared.WithContext(ctx) // the replacer holds on to this pointer
	return prepared
}

// prepare equips a request in the place of the sent one with a replacer of its own. It
// knows the request by what it says, and all else as the handlers in front have
// set it.
func prepare(sent, instead *http.Request) (*http.Request, *caddy.Replacer) {
	before, _ := sent.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	server, _ := sent.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	repl := caddy.NewReplacer()
	prepared := caddyhttp.PrepareRequest(instead, repl, nil, server)
	if before != nil {
		repl.Map(func(key string) (any, bool) {
			if strings.HasPrefix(key, "http.request.") {
				return nil, false // the request's own, or nothing
			}
			return before.Get(key)
		})
	}
	return prepared, repl
}

// restored makes a held request one of Caddy's: {http.request.*} and the original
// address are those of the request that was held, so that a handler behind us
// sees no trace of how the browser came back. Everything else, such as what
// routes were taken already, stays the live request's.
func restored(r *http.Request, original string) *http.Request {
	live := r.Context()
	prepared, repl := prepare(r, r)
	ctx := context.WithValue(live, caddy.ReplacerCtxKey, repl)
	if was, ok := live.Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		was.Method, was.RequestURI, was.URL = r.Method, r.RequestURI, r.URL
		if u, err := url.ParseRequestURI(original); err == nil {
			was.RequestURI, was.URL = original, u
		}
		ctx = context.WithValue(ctx, caddyhttp.OriginalRequestCtxKey, was)
	}
	*prepared = *prepared.WithContext(ctx)
	return prepared
}
