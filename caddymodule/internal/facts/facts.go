// Package facts returns what Caddy's server knows of a request: whether it came
// over HTTPS, from which address and over which connection, and what the client
// asked for before handlers in front rewrote it.
package facts

import (
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// OriginalTarget returns the request target as the client sent it, where rewrite
// and its like have changed it since.
func OriginalTarget(r *http.Request) (string, bool) {
	original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	if !ok || original.RequestURI == r.RequestURI {
		return "", false
	}
	return original.RequestURI, true
}

// Trusted reports whether a request came from a proxy that the operator trusts.
func Trusted(r *http.Request) bool {
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	return trusted
}

// Secure reports whether the client came over HTTPS, to us or to a proxy in front
// that the operator trusts. Of several proxies in a row the first is the one that
// the client came to; a WebSocket's scheme is one, too, to proxies that say so.
func Secure(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	proto := r.Header["X-Forwarded-Proto"]
	if len(proto) != 1 || !Trusted(r) {
		return false
	}
	first, _, _ := strings.Cut(proto[0], ",")
	first = strings.Trim(first, " \t")
	return strings.EqualFold(first, "https") || strings.EqualFold(first, "wss")
}

// Client returns the client's address, as trusted proxies in front report it.
func Client(r *http.Request) string {
	address, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	return address
}
