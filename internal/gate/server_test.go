package gate_test

import (
	"net"
	"net/http"

	"github.com/stepup-gateway/caddy-stepup/internal/inbound"
)

// server is the tests' inbound.Server: HTTPS but for requests that say otherwise.
type server struct{}

func (server) Secure(r *http.Request) bool           { return r.Header.Get("X-Plain") == "" }
func (server) Client(r *http.Request) string         { return r.RemoteAddr }
func (server) Original(*http.Request) (string, bool) { return "", false }
func (s server) Origin(r *http.Request) string       { return inbound.Origin(r, s.Secure(r)) }
func (server) Base(*http.Request) string             { return "" }
func (server) Conn(*http.Request) net.Conn           { return nil }

// rewritten is a server in front of whose gate a request may have been rewritten.
type rewritten struct{ server }

func (rewritten) Original(r *http.Request) (string, bool) {
	o := r.Header.Get("X-Orig")
	return o, o != ""
}

func (s rewritten) Base(r *http.Request) string {
	original, _ := s.Original(r)
	return inbound.Base(original, r.RequestURI)
}
