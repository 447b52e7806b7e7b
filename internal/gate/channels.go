package gate

import (
	"bufio"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
)

// One judged request is one request (S23). An upgrade or a tunnel carries others
// that no rule sees: HTTP/2 inside "Upgrade: h2c" reaches any path of the
// application, with any header. So every upgrade but a WebSocket is dropped, on
// requests with and without a rule, and the request goes on as what it is without
// it (RFC 9110 section 7.8 lets a server ignore one); CONNECT is refused, except
// for the extended CONNECT that opens a WebSocket (RFC 8441, RFC 9220); and a 101
// that nobody asked for opens nothing.

// webSocket is the one upgrade that is always let through: what is inside is
// messages, not requests. It has to be asked for as RFC 6455 has it: a server that
// switches without that handshake speaks something else under the name.
const webSocket = "websocket"

// passage reports whether the request may open a channel, and drops its Upgrade
// if it may not. connection holds its Connection fields.
func passage(r *http.Request, upgrade, connection []string, allowed map[string]bool) bool {
	if len(upgrade) == 1 && r.ProtoMajor == 1 && r.ProtoMinor == 1 && names(connection, "upgrade") {
		token := strings.ToLower(upgrade[0])
		switch {
		case len(token) != len(upgrade[0]): // some letter folds to one of ASCII
		case token != webSocket:
			if allowed[token] {
				return true
			}
		case r.Method == http.MethodGet && r.ContentLength == 0 && len(r.TransferEncoding) == 0:
			return true
		}
	}
	delete(r.Header, "Upgrade")
	return false
}

// shakesHands reports whether a request with an Upgrade has what makes a WebSocket's
// opening handshake of it (RFC 6455 section 4.2.1), once Connection has taken away
// what it names. Other protocols have none.
func shakesHands(h http.Header) bool {
	if up := h["Upgrade"]; len(up) != 1 || !strings.EqualFold(up[0], webSocket) {
		return true
	}
	key := h["Sec-Websocket-Key"]
	if len(key) != 1 || len(key[0]) != 24 || !version13(h) {
		return false
	}
	var nonce [18]byte
	n, err := base64.StdEncoding.Decode(nonce[:], []byte(key[0]))
	return err == nil && n == 16
}

// version13 reports whether the request asks for the version of WebSockets that
// there is.
func version13(h http.Header) bool {
	v := h["Sec-Websocket-Version"]
	return len(v) == 1 && v[0] == "13"
}

// tunnels reports whether a CONNECT is the one that opens a WebSocket. It has a
// version as the upgrade has, and no key (RFC 8441 section 5). Go's HTTP/2 server
// keeps :protocol among the headers, quic-go in Proto.
func tunnels(r *http.Request) bool {
	if !version13(r.Header) {
		return false
	}
	switch r.ProtoMajor {
	case 2:
		p := r.Header[":protocol"]
		return len(p) == 1 && p[0] == webSocket
	case 3:
		return r.Proto == webSocket
	}
	return false
}

// names reports whether one of the fields lists a token.
func names(fields []string, token string) bool {
	for _, field := range fields {
		for one := range strings.SplitSeq(field, ",") {
			if strings.EqualFold(strings.TrimSpace(one), token) {
				return true
			}
		}
	}
	return false
}

// opens reports whether a header could open a channel, or hide a second request
// in the body of this one: HTTP2-Settings (RFC 7540 section 3.2.1),
// Capsule-Protocol (RFC 9297), and framing under a name that only some servers
// take for it, as those do that turn names into variables.
func opens(name string) bool {
	switch len(name) {
	case len("http2-settings"):
		return folds(name, "http2-settings") || name != "Content-Length" && folds(name, "content-length")
	case len("capsule-protocol"):
		return folds(name, "capsule-protocol")
	case len("transfer-encoding"):
		return folds(name, "transfer-encoding")
	}
	return false
}

// bars returns why a request goes no further, whatever the rules say. target is
// its target as it was sent.
func (g *Gate) bars(r *http.Request, target string, channel bool) *refusal {
	switch {
	case !g.allows(r.Method), r.Method == http.MethodConnect && !channel:
		return methodNotAllowed
	case twoTargets(target):
		return ambiguous
	}
	return nil
}

// twoTargets reports whether a request's target has a space in it. Over HTTP/2 and
// 3 its query may, and the line that a proxy makes of it for HTTP/1.1 has two
// versions, or two targets, then: the application chooses.
func twoTargets(target string) bool { return strings.IndexByte(target, ' ') >= 0 }

// withoutBody returns a CONNECT as those see it who look for a body: it has none
// (RFC 9110 section 9.3.6), and the client sends what goes inside once it is
// answered.
func withoutBody(r *http.Request) *http.Request {
	r = r.WithContext(r.Context())
	r.Body = http.NoBody
	return r
}

// pass calls next for a request that may open a channel, or not. inside is the body
// that it came with.
func pass(w http.ResponseWriter, r *http.Request, channel bool, inside io.ReadCloser, next func(http.ResponseWriter, *http.Request) error) error {
	switch {
	case !channel:
		return answered(w, r, next)
	case r.Method == http.MethodConnect:
		r.Body = inside
	case !shakesHands(r.Header): // the rules judged it as the upgrade that it asks for
		delete(r.Header, "Upgrade")
		scrubConnection(r.Header, r.Header["Connection"], false)
		return answered(w, r, next)
	}
	return next(w, r)
}

// oneAnswer is the writer of a request that may open no channel: it has one
// answer, and its connection is not handed over. Without it Caddy's reverse_proxy
// copies both ways after a 101 that names no protocol.
type oneAnswer struct {
	http.ResponseWriter
	refused bool
}

// oneAnswers spares each request one. A handler may not use its writer once it
// has returned; one that does finds none.
var oneAnswers = sync.Pool{New: func() any { return new(oneAnswer) }}

// answered calls next with a writer that opens no channel.
func answered(w http.ResponseWriter, r *http.Request, next func(http.ResponseWriter, *http.Request) error) error {
	if r.ProtoMajor != 1 {
		return next(w, r) // nothing can be hijacked
	}
	one := oneAnswers.Get().(*oneAnswer)
	one.ResponseWriter, one.refused = w, false
	err := next(one, r)
	one.ResponseWriter = nil
	oneAnswers.Put(one) // not after a panic: a proxy's goroutines may still write
	return err
}

// errNoChannel is what a handler hears that would take over the connection.
var errNoChannel = errors.New("the request asked for no upgrade that is let through, so its connection is not handed over")

// WriteHeader implements http.ResponseWriter.
func (o *oneAnswer) WriteHeader(status int) {
	switch {
	case o.refused:
	case status == http.StatusSwitchingProtocols:
		o.refused = true
		h := o.Header()
		clear(h) // the application no longer speaks HTTP
		h["Cache-Control"], h["Content-Length"] = []string{"no-store"}, []string{"0"}
		o.ResponseWriter.WriteHeader(http.StatusBadGateway)
	default:
		o.ResponseWriter.WriteHeader(status)
	}
}

// Write implements http.ResponseWriter.
func (o *oneAnswer) Write(b []byte) (int, error) {
	if o.refused {
		return 0, errNoChannel
	}
	return o.ResponseWriter.Write(b)
}

// ReadFrom implements io.ReaderFrom, so that the server's own is still used.
func (o *oneAnswer) ReadFrom(from io.Reader) (int64, error) {
	if o.refused {
		return 0, errNoChannel
	}
	return io.Copy(o.ResponseWriter, from)
}

// FlushError is what http.ResponseController looks for.
func (o *oneAnswer) FlushError() error {
	if o.refused {
		return errNoChannel
	}
	return http.NewResponseController(o.ResponseWriter).Flush()
}

// Flush is what older handlers look for.
func (o *oneAnswer) Flush() { _ = o.FlushError() }

// Hijack is what http.ResponseController looks for.
func (o *oneAnswer) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, errNoChannel }

// Unwrap lets http.ResponseController find the rest.
func (o *oneAnswer) Unwrap() http.ResponseWriter { return o.ResponseWriter }

// Interface guards.
var (
	_ http.ResponseWriter = (*oneAnswer)(nil)
	_ http.Flusher        = (*oneAnswer)(nil)
	_ http.Hijacker       = (*oneAnswer)(nil)
	_ io.ReaderFrom       = (*oneAnswer)(nil)
)
