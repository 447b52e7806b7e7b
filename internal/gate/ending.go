package gate

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
)

// A time-based grant opens WebSockets and other upgrades, and streams of events or
// parts, until it ends; they are cut then, and never look complete to the client.
//
// Any other answer to a request that came in time ends by itself, also where the
// application begins it after the grant's end: an upload that was stored is not
// answered by a broken connection, after which the client would send it again. One
// that says nothing of its length could be a stream all the same, so that it is
// cut when it outlasts the grant by lateness.
//
// A grant that is revoked, or whose session ends, opens nothing any more; what it
// has opened before runs until the grant would have ended by itself. A one-time
// grant has no end to wait for: it opens one request or connection, whole.

// lateness is how long an answer of unknown length may outlast its grant, or
// the moment at which it began if that was later.
const lateness = time.Hour

// ending is the answer to a request on a time-based grant. Answers of a known
// length, which most are, cost no timer; others start one as they begin.
type ending struct {
	http.ResponseWriter
	r      *http.Request
	g      *Gate
	end    time.Time
	cancel context.CancelFunc // of r's context; nil where the server ends it
	begun  bool
	timer  *time.Timer // nil: nothing to cut

	cut  atomic.Bool // what is written now reaches nobody
	mu   sync.Mutex  // between the timer and the end of the handler
	over bool        // the handler has returned: the connection may serve another request

	words [2]string // see perPerson
	told  [2]string // see announce
}

// until returns when a grant no longer satisfies the rule, in nanoseconds since 1970.
func (rl *rule) until(g *grants.Grant) int64 {
	return min(g.Expires, g.AuthTime+int64(rl.Demand.TTL))
}

// ending makes the answer for who comes with the grant.
func (v *visit) ending(g *grants.Grant) *ending {
	e := &ending{ResponseWriter: v.w, r: v.r, g: v.g, end: time.Unix(0, v.rule.until(g))}
	if v.r.ProtoMajor > 2 {
		// A deadline does not end a stream of HTTP/3 while its handler waits for
		// the application, as it does one of HTTP/2.
		var ctx context.Context
		ctx, e.cancel = context.WithCancel(v.r.Context())
		e.r = v.r.WithContext(ctx)
	}
	return e
}

// whileGranted calls next with an answer that ends with the grant.
func (v *visit) whileGranted(who *ceremony.Principal, g *grants.Grant) error {
	e := v.ending(g)
	defer e.stop()
	v.announce(who, g, e.told[:0])
	return e.finish(v.pass(e, e.r))
}

// finish is for when the handler has returned. A server completes what a handler
// leaves, so a cut answer must be aborted.
func (e *ending) finish(err error) error {
	if e.cut.Load() {
		panic(http.ErrAbortHandler)
	}
	if !e.begun {
		perPerson(e.Header(), &e.words)
	}
	return err
}

// stop frees what the answer holds.
func (e *ending) stop() {
	if e.cancel != nil {
		e.cancel()
	}
	if e.timer == nil {
		return
	}
	e.timer.Stop()
	e.mu.Lock()
	e.over = true
	e.mu.Unlock()
}

// ready begins the answer where that is still to be done, and reports whether it
// may go on.
func (e *ending) ready(status int) bool {
	if !e.begun {
		perPerson(e.Header(), &e.words)
		e.begin(status)
	}
	return !e.cut.Load()
}

// begin decides, once the answer's header is known, by when it must be over.
func (e *ending) begin(status int) {
	e.begun = true
	endless := e.endless(status)
	if !endless && (status == http.StatusNoContent || status == http.StatusNotModified || e.r.Method == http.MethodHead || len(e.Header()["Content-Length"]) == 1) {
		return
	}
	left := e.end.Sub(e.g.o.Now())
	if !endless {
		left = max(left, 0) + lateness
	}
	if e.r.ProtoMajor > 1 {
		// The server resets the stream then. This is the handler's goroutine, as
		// writers in between may demand; one that knows no deadlines leaves it
		// to abort.
		_ = http.NewResponseController(e.ResponseWriter).SetWriteDeadline(time.Now().Add(left))
	}
	if left <= 0 {
		e.abort()
		return
	}
	e.timer = time.AfterFunc(left, e.abort)
}

// endless reports whether an answer runs until somebody ends it: an upgrade, or
// a stream by its type or by what it says to proxies (X-Accel-Buffering).
func (e *ending) endless(status int) bool {
	h := e.Header()
	switch {
	case status == http.StatusSwitchingProtocols, e.r.Method == http.MethodConnect:
		return true
	case short(h):
		return false
	}
	for _, v := range h["X-Accel-Buffering"] {
		if strings.EqualFold(v, "no") {
			return true
		}
	}
	for _, v := range h["Content-Type"] {
		kind, _, _ := strings.Cut(v, ";")
		kind = strings.ToLower(strings.TrimSpace(kind))
		if streams[kind] || strings.HasPrefix(kind, "application/grpc") || len(h["Content-Length"]) == 0 && (strings.HasPrefix(kind, "audio/") || strings.HasPrefix(kind, "video/")) {
			return true
		}
	}
	return len(h["Incremental"]) > 0
}

// streams are the types of answers without an end.
var streams = map[string]bool{
	"text/event-stream": true, "multipart/x-mixed-replace": true,
	"application/x-ndjson": true, "application/ndjson": true, "application/jsonl": true, "application/json-seq": true,
	"application/stream+json": true, "application/x-json-stream": true, "application/connect+json": true, "application/connect+proto": true,
}

// abort ends the answer, and over HTTP/1 the connection with it.
func (e *ending) abort() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over {
		return
	}
	e.cut.Store(true)
	if e.cancel != nil {
		e.cancel()
	}
	if e.r.ProtoMajor > 1 {
		return
	}
	if conn := e.g.o.Server.Conn(e.r); conn != nil {
		conn.Close()
	}
}

// shortAnswer is how many bytes a short answer has at most.
const shortAnswer = 64 << 10

// short reports whether an answer says of itself that it is.
func short(h http.Header) bool {
	length := h["Content-Length"]
	if len(length) != 1 {
		return false
	}
	n, err := strconv.ParseUint(length[0], 10, 63)
	return err == nil && n <= shortAnswer
}

// WriteHeader implements http.ResponseWriter.
func (e *ending) WriteHeader(status int) {
	switch {
	case status == http.StatusSwitchingProtocols && !e.begun:
		perPerson(e.Header(), &e.words)
		e.begin(status)
	case status >= 200:
		e.ready(status)
	}
	if !e.cut.Load() {
		e.ResponseWriter.WriteHeader(status)
	}
}

// Write implements http.ResponseWriter.
func (e *ending) Write(b []byte) (int, error) {
	if !e.ready(http.StatusOK) {
		return 0, os.ErrDeadlineExceeded
	}
	return e.ResponseWriter.Write(b)
}

// ReadFrom implements io.ReaderFrom, so that the server's own is still used.
func (e *ending) ReadFrom(from io.Reader) (int64, error) {
	if !e.ready(http.StatusOK) {
		return 0, os.ErrDeadlineExceeded
	}
	return io.Copy(e.ResponseWriter, from)
}

// FlushError is what http.ResponseController looks for: a flush may be what
// begins the answer.
func (e *ending) FlushError() error {
	if !e.ready(http.StatusOK) {
		return os.ErrDeadlineExceeded
	}
	return http.NewResponseController(e.ResponseWriter).Flush()
}

// Hijack is what http.ResponseController looks for. The connection closes with
// the grant, also where it outlives its handler.
func (e *ending) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	left := e.end.Sub(e.g.o.Now())
	if left <= 0 {
		e.abort()
		return nil, nil, os.ErrDeadlineExceeded
	}
	conn, rw, err := http.NewResponseController(e.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	e.begun = true
	if e.timer != nil {
		e.timer.Stop() // of the 101 that came before
	}
	timed := &timedConn{Conn: conn}
	timed.timer = time.AfterFunc(left, func() { conn.Close() })
	if half, ok := conn.(halfCloser); ok {
		return &timedHalfConn{timed, half}, rw, nil
	}
	return timed, rw, nil
}

// Unwrap lets http.ResponseController find the rest.
func (e *ending) Unwrap() http.ResponseWriter { return e.ResponseWriter }

// timedConn is a connection that a timer closes.
type timedConn struct {
	net.Conn
	timer *time.Timer
}

// Close implements net.Conn.
func (c *timedConn) Close() error {
	c.timer.Stop()
	return c.Conn.Close()
}

// halfCloser is a connection that can be closed in one direction.
type halfCloser interface{ CloseWrite() error }

// timedHalfConn is one that proxies may close so.
type timedHalfConn struct {
	*timedConn
	halfCloser
}

// Interface guards.
var (
	_ http.ResponseWriter = (*ending)(nil)
	_ http.Hijacker       = (*ending)(nil)
	_ io.ReaderFrom       = (*ending)(nil)
)
