//go:build components

package components

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// arrived is a request as it came out of the upstream's socket.
type arrived struct {
	*http.Request
	raw  string // every byte of it
	body []byte // without its transfer coding
}

// head is the request's own bytes before its body, line by line.
func (a arrived) head() []string {
	head, _, _ := strings.Cut(a.raw, "\r\n\r\n")
	return strings.Split(head, "\r\n")
}

// socket is an upstream that keeps every byte which comes out of its socket.
// POSTs are kept and answered with a word; all else gets a page.
type socket struct {
	addr string

	mu   sync.Mutex
	came []arrived
}

// newSocket listens. page gives the document at a target, which is answered to
// whatever is not a POST.
func newSocket(t *testing.T, page func(target string) string) *socket {
	t.Helper()
	s := new(socket)
	s.addr = listen(t, func(conn net.Conn) { s.serve(conn, page) })
	return s
}

// listen takes connections on a port of its own, and serves each connection in a goroutine.
// The test waits for them to end.
func listen(t *testing.T, serve func(net.Conn)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		conns.Wait()
	})
	conns.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { serve(conn) })
		}
	})
	return l.Addr().String()
}

// serve takes one request from a connection.
func (s *socket) serve(conn net.Conn, page func(target string) string) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	var raw bytes.Buffer
	r, err := http.ReadRequest(bufio.NewReader(io.TeeReader(conn, &raw)))
	if err != nil {
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	document := "<p>the application took it"
	if r.Method == http.MethodPost {
		s.mu.Lock()
		s.came = append(s.came, arrived{r, raw.String(), body})
		s.mu.Unlock()
	} else if page != nil {
		document = page(r.RequestURI)
	}
	document = "<!doctype html><title>application</title>" + document
	fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(document), document)
}

// take returns the POSTs that came since the last call.
func (s *socket) take() []arrived {
	s.mu.Lock()
	defer s.mu.Unlock()
	came := s.came
	s.came = nil
	return came
}

// one returns the only POST that came since the last call.
func (s *socket) one(t *testing.T) arrived {
	t.Helper()
	came := s.take()
	if len(came) != 1 {
		t.Fatalf("%d POSTs reached the upstream, want 1", len(came))
	}
	return came[0]
}

// none ends the test if a POST came since the last call.
func (s *socket) none(t *testing.T, when string) {
	t.Helper()
	if came := s.take(); len(came) != 0 {
		t.Fatalf("%s: %d POSTs reached the upstream:\n%.400s", when, len(came), came[0].raw)
	}
}
