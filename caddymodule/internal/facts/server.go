package facts

import (
	"net"
	"net/http"
)

// Server is Caddy's server as package gate asks it: a gate.Server.
type Server struct{}

// Secure is of a gate.Server.
func (Server) Secure(r *http.Request) bool { return Secure(r) }

// Client is of a gate.Server.
func (Server) Client(r *http.Request) string { return Client(r) }

// Original is of a gate.Server.
func (Server) Original(r *http.Request) (string, bool) { return OriginalTarget(r) }

// Conn is of a gate.Server.
func (Server) Conn(r *http.Request) net.Conn { return Conn(r) }
