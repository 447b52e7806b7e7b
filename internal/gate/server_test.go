package gate_test

import (
	"net"
	"net/http"
)

// server is the tests' gate.Server: HTTPS but for requests that say otherwise.
type server struct{}

func (server) Secure(r *http.Request) bool           { return r.Header.Get("X-Plain") == "" }
func (server) Client(r *http.Request) string         { return r.RemoteAddr }
func (server) Original(*http.Request) (string, bool) { return "", false }
func (server) Conn(*http.Request) net.Conn           { return nil }

// rewritten is a server in front of whose gate a request may have been rewritten.
type rewritten struct{ server }

func (rewritten) Original(r *http.Request) (string, bool) {
	o := r.Header.Get("X-Orig")
	return o, o != ""
}
