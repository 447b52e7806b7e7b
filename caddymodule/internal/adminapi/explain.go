package adminapi

import (
	"bufio"
	"context"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/stepup-gateway/caddy-stepup/internal/cookies"
	"github.com/stepup-gateway/caddy-stepup/internal/gate"
)

// ExplainRequest asks what would become of a request.
type ExplainRequest struct {
	Method string `json:"method"`
	URL    string `json:"url"` // as a client would write it, with scheme and host
}

// ExplainAnswer tells how the request may be read, which rule decides each
// reading, and the outcome.
type ExplainAnswer struct {
	// Tenant is that of the site which the request would come to.
	Tenant string `json:"tenant"`
	gate.Explanation
	// Cookie is the name of the cookie that carries the grant which is demanded,
	// on a connection like the URL's.
	Cookie string `json:"cookie,omitempty"`
}

// explain finds the site by walking the routes of the running configuration as
// far as the handler, and asks its gate. Handlers in front are not run, so what
// they would rewrite or refuse is not seen.
func explain(_ context.Context, g Gateway, in ExplainRequest) (ExplainAnswer, error) {
	r, err := requestOf(in)
	if err != nil {
		return ExplainAnswer{}, err
	}
	site, err := g.Site(r)
	if err != nil {
		return ExplainAnswer{}, err
	}
	out := ExplainAnswer{Tenant: site.Tenant, Explanation: site.Explain(r)}
	if out.Action != "" {
		out.Cookie = cookies.Grant(site.Tenant, out.Action).On(strings.HasPrefix(in.URL, "https:"))
	}
	return out, nil
}

// requestOf makes the request that a server would read. The target is kept byte
// for byte: how it is spelled is what is asked about.
func requestOf(in ExplainRequest) (*http.Request, error) {
	scheme, rest, ok := strings.Cut(in.URL, "://")
	if !ok || scheme != "http" && scheme != "https" {
		return nil, refused("url must begin with http:// or https://, such as https://example.com/admin/")
	}
	host, target := rest, "/"
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		host, target = rest[:i], rest[i:]
		if target[0] == '?' {
			target = "/" + target
		}
	}
	if host == "" || strings.ContainsAny(in.Method+host+target, " \r\n") {
		return nil, refused("method and url must be as in a request line, without spaces or line breaks")
	}
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(in.Method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")))
	if err != nil {
		return nil, refused("no server would read that request: %w", err)
	}
	r.RemoteAddr = "192.0.2.1:1" // an address for documentation, RFC 5737
	return caddyhttp.PrepareRequest(r, caddy.NewReplacer(), nil, nil), nil
}
