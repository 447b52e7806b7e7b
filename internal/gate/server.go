package gate

import (
	"net"
	"net/http"
)

// Server answers what only the server knows of a request that it received. Its
// methods change nothing and may be called more than once for a request.
type Server interface {
	// Secure reports whether the client came over HTTPS.
	Secure(*http.Request) bool
	// Client returns the client's address, for the audit log.
	Client(*http.Request) string
	// Original returns the request target as the client sent it, where something
	// in front of the gate may have rewritten it: both are readings of the
	// request.
	Original(*http.Request) (target string, ok bool)
	// Conn returns the client's connection, which is closed where an answer over
	// HTTP/1 must end; see ending. Nil, as over HTTP/3: the answer ends with the
	// application's next write.
	Conn(*http.Request) net.Conn
}
