package gate

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/internal/readings"
)

// allows reports whether a method is let in at all. What an application makes of
// a method that nobody registered is nobody's guess (S07). The methods of RFC 5842
// and RFC 2068 that name another resource in their body or in Link have to be
// allowed by name: no rule could see what they act on.
func (g *Gate) allows(method string) bool {
	switch method {
	case "BIND", "UNBIND", "REBIND", "LINK", "UNLINK":
		return g.methods[method]
	}
	return readings.Registered(method) || g.methods[method]
}

// own returns the request for the portal where it is for one of the gateway's own
// pages: where its raw path, as it is or as the client sent it, lies under the
// prefix. A directive that sends every unknown path to a front controller would
// otherwise hide the pages.
func (g *Gate) own(r *http.Request, original string) *http.Request {
	if g.under(r.RequestURI) {
		return r
	}
	if !g.under(original) {
		return nil
	}
	u, err := url.ParseRequestURI(original)
	if err != nil {
		return nil
	}
	c := r.WithContext(r.Context())
	c.URL, c.RequestURI = u, original
	return c
}

// under reports whether a raw request target lies under the prefix, or is it
// without its last slash.
func (g *Gate) under(target string) bool {
	bare := g.prefix[:len(g.prefix)-1]
	if !strings.HasPrefix(target, bare) {
		return false
	}
	return len(target) == len(bare) || target[len(bare)] == '/' || target[len(bare)] == '?'
}

// hides reports whether one reading of a path lies under the prefix, in any case.
// Such a request is for nobody: not the portal's by its raw path, and the
// application must not be able to answer in the gateway's name.
func (g *Gate) hides(path string) bool {
	bare := g.prefix[:len(g.prefix)-1]
	if len(path) < len(bare) || path[1]|0x20 != bare[1]|0x20 || !strings.EqualFold(path[:len(bare)], bare) {
		return false
	}
	return len(path) == len(bare) || path[len(bare)] == '/'
}
