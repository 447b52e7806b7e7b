package caddymodule_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// grantFor is how long the grants of these tests are good.
const grantFor = 5 * time.Second

// longLived is an application whose answers do not end by themselves.
func longLived(t *testing.T) *httptest.Server {
	t.Helper()
	stop := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		drip := func(b []byte) {
			for {
				if _, err := w.Write(b); err != nil {
					return
				}
				http.NewResponseController(w).Flush()
				select {
				case <-time.After(50 * time.Millisecond):
				case <-r.Context().Done():
					return
				case <-stop:
					return
				}
			}
		}
		switch kind := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]; kind {
		case "echo":
			echo(w)
		case "silent":
			w.Header().Set("Content-Type", "text/event-stream")
			w.WriteHeader(http.StatusOK)
			http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
			case <-stop:
			}
		case "events":
			w.Header().Set("Content-Type", "text/event-stream")
			drip([]byte("data: x\n\n"))
		case "parts":
			w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary=x")
			drip(make([]byte, 10_000))
		case "late":
			time.Sleep(grantFor + 500*time.Millisecond)
			io.WriteString(w, "done")
		default:
			io.WriteString(w, "short")
		}
	}))
	t.Cleanup(s.Close)
	t.Cleanup(func() { close(stop) })
	return s
}

// echo switches to a protocol that sends back what it gets, by the handshake of
// RFC 6455 as far as a proxy looks at it.
func echo(w http.ResponseWriter) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
	io.Copy(conn, rw)
}

// What a time-based grant opened is closed when it ends, through the real
// reverse_proxy and encode: WebSockets, streams that send or are silent. Other
// answers come whole, also late.
func TestLongConnectionsEndWithTheGrant(t *testing.T) {
	app := longLived(t)
	b := newBed(t)
	site := func(name, proxy string) string {
		return "handle /" + name + "/* {\n reverse_proxy " + strings.TrimPrefix(app.URL, "http://") + " {\n" + proxy + "\n}\n}\n"
	}
	b.Load(strings.Replace(b.config(keyFile, `protect LIVE /plain/* /flush/* {
	grant time_based `+grantFor.String()+`
}
protect ONCE /once/* {
	grant one_time 2s
}
`, "encode gzip\n"+site("plain", "")+site("flush", "flush_interval -1")+site("once", "")),
		"metrics\n", "metrics\nservers {\nprotocols h1 h2c\n}\n", 1))
	alice := b.enroll("alice")

	request := func(path string, grant *http.Cookie) string {
		return "GET " + path + " HTTP/1.1\r\nHost: localhost:" + b.Port + "\r\nX-Test-User: alice\r\nCookie: " + grant.Name + "=" + grant.Value + "\r\n"
	}
	const upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	open := func(path string, grant *http.Cookie, more string) (net.Conn, *bufio.Reader, *http.Response) {
		t.Helper()
		conn, err := net.Dial("tcp", "localhost:"+b.Port)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(grantFor + 3*time.Second))
		io.WriteString(conn, request(path, grant)+more+"\r\n")
		in := bufio.NewReader(conn)
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		return conn, in, resp
	}

	grant := alice.win("LIVE")
	end := time.Now().Add(grantFor)
	type closed struct {
		path string
		err  error
		at   time.Time
	}
	closings, n := make(chan closed), 0
	for _, how := range []string{"plain", "flush"} {
		for _, kind := range []string{"silent", "events", "parts"} {
			path := "/" + how + "/" + kind
			_, _, resp := open(path, grant, "")
			if resp.StatusCode != http.StatusOK {
				t.Fatalf("%s: %s", path, resp.Status)
			}
			n++
			go func() {
				_, err := io.Copy(io.Discard, resp.Body)
				closings <- closed{path, err, time.Now()}
			}()
		}
		path := "/" + how + "/echo"
		conn, in, resp := open(path, grant, upgrade)
		if resp.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("%s: %s", path, resp.Status)
		}
		io.WriteString(conn, "hello\n")
		if line, err := in.ReadString('\n'); line != "hello\n" {
			t.Fatalf("%s: %q, %v", path, line, err)
		}
		n++
		go func() {
			_, err := in.ReadByte()
			if err == io.EOF {
				err = io.ErrUnexpectedEOF // an end is an end here
			}
			closings <- closed{path, err, time.Now()}
		}()
	}
	// Over HTTP/2 many requests share a connection, and only a stream is ended.
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: &protocols}
	defer transport.CloseIdleConnections()
	over2 := func(path string) (*http.Response, error) {
		r, err := http.NewRequest("GET", b.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Test-User", "alice")
		r.AddCookie(grant)
		return transport.RoundTrip(r)
	}
	for _, kind := range []string{"silent", "events", "parts"} {
		resp, err := over2("/plain/" + kind)
		if err != nil || resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 {
			t.Fatal(resp, err)
		}
		n++
		go func() {
			_, err := io.Copy(io.Discard, resp.Body)
			closings <- closed{"HTTP/2 " + kind, err, time.Now()}
		}()
	}
	late := make(chan string)
	go func() {
		resp, answer := alice.do("GET", "/plain/late", nil, grant)
		late <- fmt.Sprint(resp.StatusCode, answer["text"])
	}()
	if resp, answer := alice.do("GET", "/plain/short", nil, grant); resp.StatusCode != http.StatusOK || answer["text"] != "short" {
		t.Errorf("a short answer: %d %v", resp.StatusCode, answer)
	}

	for range n {
		c := <-closings
		if off := c.at.Sub(end); off < -500*time.Millisecond || off > 500*time.Millisecond {
			t.Errorf("%s is closed %v after the grant's end: %v", c.path, off, c.err)
		}
		if c.err == nil {
			t.Errorf("%s looks complete", c.path)
		}
	}
	if got := <-late; got != "200done" {
		t.Errorf("a late answer: %q", got)
	}
	if resp, _ := alice.do("GET", "/plain/short", nil, grant); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("after the end: %d", resp.StatusCode)
	}

	if resp, err := over2("/open"); err != nil || resp.ProtoMajor != 2 {
		t.Errorf("another request on the connection of the streams: %v, %v", resp, err)
	}

	// A one-time grant opens one connection, whole.
	once := alice.win("ONCE")
	conn, in, resp := open("/once/echo", once, upgrade)
	if resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(resp.Status)
	}
	conn.SetDeadline(time.Now().Add(2500 * time.Millisecond))
	_, err := in.ReadByte()
	if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
		t.Errorf("the connection of a one-time grant: %v", err)
	}
	if _, _, resp := open("/once/echo", once, upgrade); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a one-time grant opens another: %s", resp.Status)
	}
	// Caddy, when it stops, says goodbye on connections that it still proxies
	// while it may be copying to them, which the race detector sees. So this one
	// ends first.
	conn.Close()
	time.Sleep(500 * time.Millisecond)
}
