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

// Secure reports whether the client came over HTTPS, to us or to a proxy in front
// that the operator trusts.
func Secure(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	proto := r.Header["X-Forwarded-Proto"]
	return trusted && len(proto) == 1 && strings.EqualFold(proto[0], "https")
}

// Client returns the client's address, as trusted proxies in front report it.
func Client(r *http.Request) string {
	address, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	return address
}
