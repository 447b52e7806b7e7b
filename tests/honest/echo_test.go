package honest_test

import (
	"io"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	caddy.RegisterModule(new(echo))
	httpcaddyfile.RegisterHandlerDirective("honest_echo", func(httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) { return new(echo), nil })
	httpcaddyfile.RegisterDirectiveOrder("honest_echo", httpcaddyfile.Before, "respond")
}

// seen is what the application sees of a request.
var seen = []string{"Cookie", "Authorization", "Content-Type", "Accept", "Upgrade", "Destination", "Overwrite", "X-Http-Method-Override", "Range", "If-Match", "Depth", "Origin", "X-Requested-With"}

// echo is an application that answers with what it got.
type echo struct{}

func (*echo) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.honest_echo", New: func() caddy.Module { return new(echo) }}
}

func (*echo) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	var b strings.Builder
	b.WriteString(r.Method + " " + r.RequestURI)
	for _, name := range seen {
		b.WriteString("\n" + strings.Join(r.Header[name], ","))
	}
	b.WriteString("\n")
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	w.WriteHeader(299)
	_, err = w.Write(append([]byte(b.String()), body...))
	return err
}
