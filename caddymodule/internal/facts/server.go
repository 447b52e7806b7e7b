package facts

import (
	"net"
	"net/http"

	"github.com/stepup-gateway/caddy-stepup/internal/inbound"
)

// Server is Caddy's server as the gateway asks it.
type Server struct{}

// Secure is of a inbound.Server.
func (Server) Secure(r *http.Request) bool { return Secure(r) }

// Origin is of a inbound.Server.
func (Server) Origin(r *http.Request) string { return inbound.Origin(r, Secure(r)) }

// Base is of a inbound.Server.
func (Server) Base(r *http.Request) string {
	original, ok := OriginalTarget(r)
	if !ok {
		return ""
	}
	return inbound.Base(original, r.RequestURI)
}

// Client is of a inbound.Server.
func (Server) Client(r *http.Request) string { return Client(r) }

// Original is of a inbound.Server.
func (Server) Original(r *http.Request) (string, bool) { return OriginalTarget(r) }

// Conn is of a inbound.Server.
func (Server) Conn(r *http.Request) net.Conn { return Conn(r) }

// Interface guard
var _ inbound.Server = Server{}
