package portal

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/deadline"
)

// Bodies that do not end are not waited for, whoever sends them and wherever to.
func TestS19BodiesMustEnd(t *testing.T) {
	s := newSite(t)
	handler := s.server.Config.Handler
	synctest.Test(t, func(t *testing.T) {
		for path, status := range map[string]int{
			"api/totp":           422, // the body is read
			"api/totp-of-nobody": 404, // and here it is not
			"nowhere":            404,
			"enroll":             422,
		} {
			theirs, ours := net.Pipe()
			server := &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0)}
			listener := oneConn{make(chan net.Conn, 1)}
			listener.conns <- ours
			go server.Serve(listener)
			begun := time.Now()
			media := "application/json"
			if path == "enroll" {
				media = "application/x-www-form-urlencoded"
			}
			go fmt.Fprintf(theirs, "POST %s%s HTTP/1.1\r\nHost: app.test\r\n%s: alice\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
				Prefix, path, asUser, media)
			got, err := http.ReadResponse(bufio.NewReader(theirs), nil)
			if err != nil {
				t.Fatal(path, err)
			}
			if took := time.Since(begun); got.StatusCode != status || took > deadline.Body {
				t.Error(path, got.Status, took)
			}
			theirs.Close()
			server.Close()
		}
	})
}

// oneConn is a listener with a connection of a test's own.
type oneConn struct{ conns chan net.Conn }

func (l oneConn) Accept() (net.Conn, error) {
	c, open := <-l.conns
	if !open {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (l oneConn) Close() error   { close(l.conns); return nil }
func (l oneConn) Addr() net.Addr { return &net.TCPAddr{} }
