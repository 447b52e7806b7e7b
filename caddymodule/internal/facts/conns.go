package facts

import (
	"context"
	"net"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// connKey finds a request's connection in its context.
type connKey struct{}

// RememberConns makes the server of the site that is being provisioned remember
// the connection of each request, at the cost of one context for each connection.
// Calling it for several sites of one server is harmless.
func RememberConns(ctx caddy.Context) {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return // no HTTP server: the handler is only looked at
	}
	server.RegisterConnContext(func(ctx context.Context, conn net.Conn) context.Context {
		if ctx.Value(connKey{}) != nil {
			return ctx
		}
		return context.WithValue(ctx, connKey{}, conn)
	})
}

// Conn returns the connection that a request came over; nil over HTTP/3, which
// has none.
func Conn(r *http.Request) net.Conn {
	conn, _ := r.Context().Value(connKey{}).(net.Conn)
	return conn
}
