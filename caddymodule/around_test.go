package caddymodule_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// switching is an application that switches protocols unasked, and counts what
// comes through the channel.
func switching(t *testing.T) (addr string, channel chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	channel = make(chan string, 64)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(5 * time.Second))
				in := bufio.NewReader(conn)
				r, err := http.ReadRequest(in)
				if err != nil {
					return
				}
				channel <- "request " + r.Method + " " + r.RequestURI + " " + r.Header.Get("Upgrade") + r.Header.Get("Step-Up-User")
				io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n")
				if line, err := in.ReadString('\n'); err == nil {
					channel <- "channel " + line
				}
			}()
		}
	}()
	return l.Addr().String(), channel
}

// behind sends a request and, behind its answer, another one down the same
// connection. It returns the status of the first.
func (b *bed) behind(head string) int {
	b.t.Helper()
	conn, err := net.Dial("tcp", "localhost:"+b.Port)
	if err != nil {
		b.t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	io.WriteString(conn, head)
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	io.WriteString(conn, "GET /admin/secret HTTP/1.1\r\nHost: localhost:"+b.Port+"\r\nConnection: close\r\n\r\n")
	conn.SetReadDeadline(time.Now().Add(time.Second))
	io.Copy(io.Discard, in)
	return resp.StatusCode
}

// A way around step_up to the application behind it is told at load, and nobody
// speaks to the application in the gateway's name on it, or opens a channel. Sites
// of the server without a step_up are left alone.
func TestS08WaysAroundAreScrubbed(t *testing.T) {
	b := newBed(t)
	other, channel := switching(t)
	_, port, _ := strings.Cut(strings.TrimPrefix(b.app.URL, "http://"), ":")
	c := b.config(keyFile, protectAdmin, "")
	// The same application under another name of this machine.
	c = strings.Replace(c, "\tvars user", "\troute {\nreverse_proxy /public/* localhost:"+port+"\nvars user", 1)
	c = strings.TrimSuffix(c, "}\n") + "}\n}\nhttp://other.test:{{port}} {\nreverse_proxy " + other + "\n}\n"
	b.Load(c)
	if !strings.Contains(b.Log(), "without passing step_up") {
		t.Error("nothing was said at load")
	}
	for head, want := range map[string]int{
		"GET /public/x HTTP/1.1\r\nStep-Up-User: root\r\nStep-Up-Amr: otp\r\nX-Original-URL: /admin\r\n":                                              200,
		"GET /public/x HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nStep-Up-User: root\r\n": 200,
		"POST /public/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTrailer: Step-Up-User\r\n":                                                          200,
		"CONNECT /public/x HTTP/1.1\r\n": 405,
	} {
		before, body := len(b.app.requests()), ""
		if strings.Contains(head, "chunked") {
			body = "0\r\nStep-Up-User: root\r\n\r\n"
		}
		status := b.behind(head + "Host: localhost:" + b.Port + "\r\n\r\n" + body)
		got := b.app.requests()[before:]
		if status != want || len(got) > 0 != (want == 200) {
			t.Errorf("%q: status %d, %d requests", head, status, len(got))
			continue
		}
		for _, r := range got {
			for name := range r.Header {
				if strings.HasPrefix(name, "Step-Up") || name == "X-Original-Url" || name == "Upgrade" || name == "Http2-Settings" || name == "Trailer" {
					t.Errorf("%q: the application heard %s: %q", head, name, r.Header[name])
				}
			}
		}
	}
	b.behind("GET /x HTTP/1.1\r\nHost: other.test:" + b.Port + "\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nStep-Up-User: theirs\r\n\r\n")
	if got := <-channel; got != "request GET /x tcptheirs" {
		t.Errorf("another site: %s", got)
	}
}

// What is refused in front and passed on by handle_errors opens no channel either.
func TestS23HandleErrorsOpenNoChannel(t *testing.T) {
	b := newBed(t)
	to, channel := switching(t)
	b.Load(b.config(keyFile, protectAdmin, "basic_auth {\nalice $2a$04$wvVv5x3X1gWOUgsAsA4Ci.XDnRJ1dNrjkHxZzAoO4RZ1hQWWO2UIu\n}\nhandle_errors {\nreverse_proxy "+to+"\n}\n"))
	const handshake = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	for _, head := range []string{
		"GET /x HTTP/1.1\r\n", "GET /x HTTP/1.1\r\n" + handshake, "GET /x HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: foo\r\n",
	} {
		if status := b.behind(head + "Host: localhost:" + b.Port + "\r\n\r\n"); status == http.StatusSwitchingProtocols {
			t.Errorf("%q switched", head)
		}
	}
	if status := b.behind("CONNECT /x HTTP/1.1\r\nHost: localhost:" + b.Port + "\r\n\r\n"); status != http.StatusUnauthorized {
		t.Errorf("CONNECT: status %d", status)
	}
	for len(channel) > 0 {
		// The second request is refused by basic_auth, and passed on, as the first.
		if got := <-channel; got != "request GET /x " && got != "request GET /admin/secret " {
			t.Errorf("the application got %q", got)
		}
	}
}
