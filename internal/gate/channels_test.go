package gate_test

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/gate"
	"github.com/stepup-gateway/caddy-stepup/internal/readings"
)

// One judged request is one request: what could make a channel of it does not
// reach the application, on requests with and without a rule, and the request
// goes on without it.
func TestS23NoChannelReachesTheApplication(t *testing.T) {
	s, got, front := newProxied(t, func(o *gate.Options) { o.AllowUpgrades = []string{"TCP"} })
	cookie := grantCookie(admin, s.token("alice", admin)) + "; " + grantCookie(change, s.token("alice", change))
	const connected, version, key = "Connection: Upgrade\r\n", "Sec-WebSocket-Version: 13\r\n", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	const handshake = version + key
	for lines, upgrades := range map[string]bool{
		"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n": false,
		connected + "Upgrade: H2C\r\n":                            false,
		connected + "Upgrade: h2\r\n":                             false,
		connected + "Upgrade: HTTP/2.0\r\n":                       false,
		connected + "Upgrade: TLS/1.0\r\n":                        false,
		connected + "Upgrade: tls\r\n":                            false,
		connected + "Upgrade: foo\r\n":                            false,
		connected + "Upgrade: tcp/1\r\n":                          false,
		connected + "Upgrade: websocket, h2c\r\n":                 false,
		connected + "Upgrade: h2c,websocket\r\n":                  false,
		connected + "Upgrade: websocket/13\r\n":                   false,
		connected + "Upgrade: websocket\r\nUpgrade: h2c\r\n":      false,
		connected + "Upgrade: h2c\r\nUpgrade: websocket\r\n":      false,
		connected + "Upgrade:\r\n":                                false,
		connected:                                                 false,
		"Connection: close\r\nUpgrade: websocket\r\n":             false,
		"Upgrade: websocket\r\n":                                  false,
		connected + "Upgrade: websocket\r\nContent-Length: 1\r\n": false,
		"Capsule-Protocol: ?1\r\nHTTP2-Settings: AAA\r\n":         false,
		"Content_Length: 1\r\nTransfer_Encoding: chunked\r\n":     false,
		"Content.Length: 1\r\nTransfer.Encoding: chunked\r\n":     false,
		"Expect: 100-continue\r\nExpect: x\r\n":                   false,
		"Expect: x, 100-continue\r\n":                             false,
		// Handshakes that are none, under which something else may be meant.
		connected + "Upgrade: websocket\r\n":                                                             false,
		connected + "Upgrade: websocket\r\n" + version:                                                   false,
		connected + "Upgrade: websocket\r\n" + key:                                                       false,
		connected + "Upgrade: websocket\r\n" + handshake + key:                                           false,
		connected + "Upgrade: websocket\r\n" + handshake + version:                                       false,
		connected + "Upgrade: websocket\r\nSec-WebSocket-Version: 777\r\n" + key:                         false,
		connected + "Upgrade: websocket\r\nSec-WebSocket-Version: 13, 8\r\n" + key:                       false,
		connected + "Upgrade: websocket\r\nSec-WebSocket-Key: c2hvcnQ=\r\n" + version:                    false,
		connected + "Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZSEh\r\n" + version:    false,
		connected + "Upgrade: websocket\r\nSec-WebSocket-Key: ????????????????????????\r\n" + version:    false,
		"Connection: Upgrade, Sec-WebSocket-Key\r\nUpgrade: websocket\r\n" + handshake:                   false,
		"Connection: Upgrade\r\nConnection: sec-websocket-version\r\nUpgrade: websocket\r\n" + handshake: false,
		connected + "Upgrade: websoc\u212aet\r\n" + handshake:                                            false,
		connected + "Upgrade: web\u017focket\r\n" + handshake:                                            false,
		connected + "Upgrade: websocket\r\n" + handshake:                                                 true,
		connected + "Upgrade: WebSocket\r\nSec-WebSocket-Protocol: h2c\r\n" + handshake:                  true,
		"Connection: keep-alive, upgrade\r\nUpgrade: websocket\r\n" + handshake:                          true,
		connected + "Upgrade: tcp\r\n":                                                                   true,
	} {
		for _, target := range []string{"/", "/admin"} {
			*got = nil
			body := ""
			if strings.Contains(lines, "Content-Length: 1") {
				body = "x"
			}
			status := sendRaw(t, front, "GET "+target+" HTTP/1.1\r\nHost: h\r\nX-User: alice\r\nCookie: "+cookie+"\r\n"+lines+"\r\n"+body)
			if status != 200 || len(*got) != 1 {
				t.Fatalf("%q: status %d, %d requests", lines, status, len(*got))
			}
			h := (*got)[0].Header
			if reached := len(h["Upgrade"]) > 0; reached != upgrades {
				t.Errorf("%q on %s: Upgrade: %q reached the application", lines, target, h["Upgrade"])
			}
			if upgrades {
				continue
			}
			for name := range h {
				switch strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name)) {
				case "http2-settings", "capsule-protocol", "connection", "transfer-encoding", "expect":
					t.Errorf("%q on %s: %s: %q reached the application", lines, target, name, h[name])
				case "content-length":
					if name != "Content-Length" {
						t.Errorf("%q on %s: %s reached the application", lines, target, name)
					}
				}
			}
		}
	}
}

// CONNECT opens a tunnel, and so does the connection preface of HTTP/2; the
// extended CONNECT of HTTP/2 and 3 opens a WebSocket and nothing else.
func TestS23Tunnels(t *testing.T) {
	s, got, front := newProxied(t)
	for _, head := range []string{"CONNECT h:80 HTTP/1.1", "CONNECT / HTTP/1.1", "PRI * HTTP/2.0"} {
		if status := sendRaw(t, front, head+"\r\nHost: h:80\r\nX-User: alice\r\n\r\n"); status == 200 || len(*got) > 0 {
			t.Errorf("%s: status %d, %d requests", head, status, len(*got))
		}
	}
	for _, c := range []struct {
		major           int
		proto, protocol string
		opens           bool
		version         string // of WebSockets; 13 if empty
	}{
		{1, "HTTP/1.1", "", false, ""}, {2, "HTTP/2.0", "", false, ""}, {3, "HTTP/3.0", "", false, ""},
		{2, "HTTP/2.0", "websocket", true, ""}, {3, "websocket", "", true, ""},
		{2, "HTTP/2.0", "connect-udp", false, ""}, {3, "connect-udp", "", false, ""}, {3, "connect-ip", "", false, ""},
		{3, "webtransport", "", false, ""}, {2, "HTTP/2.0", "WebSocket", false, ""}, {3, "HTTP/3.0", "websocket", false, ""},
		{2, "HTTP/2.0", "websocket", false, "777"}, {2, "HTTP/2.0", "websocket", false, "13, 8"}, {3, "websocket", "", false, "8"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/admin", nil)
		r.Method, r.ProtoMajor, r.Proto = http.MethodConnect, c.major, c.proto
		r.Header.Set("X-User", "alice")
		r.Header.Set("Cookie", grantCookie(admin, s.token("alice", admin)))
		r.Header.Set("Sec-WebSocket-Version", cmp.Or(c.version, "13"))
		if c.protocol != "" {
			r.Header[":protocol"] = []string{c.protocol}
		}
		opens := false
		_ = s.Gate.ServeHTTP(httptest.NewRecorder(), r, func(http.ResponseWriter, *http.Request) error { opens = true; return nil })
		if opens != c.opens {
			t.Errorf("CONNECT over HTTP/%d for %q%q: passed on: %v", c.major, c.proto, c.protocol, opens)
		}
	}
}

// A 101 that answers a request without an upgrade opens no tunnel, nor does a
// handler that takes over the connection.
func TestS23NobodyAskedForA101(t *testing.T) {
	hijacked := make(chan error, 1)
	s := newSite(t)
	front := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = s.Gate.ServeHTTP(w, r, func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("X-App", "1")
			w.WriteHeader(http.StatusSwitchingProtocols)
			conn, _, err := http.NewResponseController(w).Hijack()
			hijacked <- err
			if err != nil {
				return nil
			}
			defer conn.Close()
			_, err = io.Copy(conn, conn)
			return err
		})
	}))
	for upgrade, want := range map[string]int{"": 502, "Connection: Upgrade\r\nUpgrade: h2c\r\n": 502, "Connection: Upgrade\r\nUpgrade: websocket\r\n": 502, "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n": 101} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(front, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(5 * time.Second))
		fmt.Fprint(conn, "GET /login HTTP/1.1\r\nHost: h\r\n"+upgrade+"\r\n")
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if failed := <-hijacked; res.StatusCode != want || (failed == nil) != (want == 101) || want != 101 && res.Header.Get("X-App") != "" {
			t.Errorf("%q: %s %v, hijacked: %v", upgrade, res.Status, res.Header, failed)
		}
	}
}

// Early data may be replayed, so what may change something waits for the
// handshake, on a time-based grant too (RFC 8470).
func TestS23UnsafeEarlyData(t *testing.T) {
	s, got, front := newProxied(t)
	cookie := grantCookie(change, s.token("alice", change)) + "; " + grantCookie(admin, s.token("alice", admin))
	for head, want := range map[string]int{
		"POST /profile HTTP/1.1\r\nEarly-Data: 1\r\nContent-Length: 0\r\n":                      425,
		"DELETE /admin HTTP/1.1\r\nEarly-Data: 1\r\n":                                           425,
		"GET /admin HTTP/1.1\r\nEarly-Data: 1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n": 425,
		"GET /admin?_method=delete HTTP/1.1\r\nEarly-Data: 1\r\n":                               425,
		"GET /admin HTTP/1.1\r\nEarly-Data: 1\r\nX-HTTP-Method-Override: DELETE\r\n":            425,
		"GET /admin HTTP/1.1\r\nEarly-Data: 1\r\n":                                              200,
		"POST /profile HTTP/1.1\r\nContent-Length: 0\r\n":                                       200,
	} {
		*got = nil
		if status := sendRaw(t, front, head+"Host: h\r\nX-User: alice\r\nCookie: "+cookie+"\r\n\r\n"); status != want || (len(*got) > 0) != (want == 200) {
			t.Errorf("%q: status %d, %d requests; want %d", head, status, len(*got), want)
		}
	}
}

// A client of HTTP/2 sends nothing inside a WebSocket before it is open: anyone who
// looks for a body, for fields or for credentials, must not wait for one.
func TestS23NoBodyBeforeTheWebSocketIsOpen(t *testing.T) {
	field, err := readings.FormField("op")
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, func(o *gate.Options) {
		o.Rules[1].Fields, o.Rules[1].Match = []readings.Field{field}, below("/transfer")
		o.Identify = func(r *http.Request, sent gate.Sent) (ceremony.Principal, error) {
			_, _ = io.Copy(io.Discard, r.Body) // as the search for an access_token does
			return identify(r, sent)
		}
	})
	for target, granted := range map[string]bool{"/admin": true, "/transfer?op=x": false, "/other": false} {
		body, client := io.Pipe()
		defer client.Close()
		r := httptest.NewRequest(http.MethodGet, target, body)
		r.Method, r.ProtoMajor, r.Proto, r.ContentLength = http.MethodConnect, 2, "HTTP/2.0", -1
		r.Header = http.Header{":protocol": {"websocket"}, "X-User": {"alice"}, "Sec-Websocket-Version": {"13"}}
		if granted {
			r.Header.Set("Cookie", grantCookie(admin, s.token("alice", admin)))
		}
		inside := make(chan string, 1)
		status := make(chan int, 1)
		go func() {
			w := httptest.NewRecorder()
			_ = s.Gate.ServeHTTP(w, r, func(w http.ResponseWriter, r *http.Request) error {
				b := make([]byte, 5)
				_, err := io.ReadFull(r.Body, b)
				inside <- string(b)
				return err
			})
			status <- w.Code
		}()
		if granted {
			go io.WriteString(client, "hello") // once the application reads
		}
		select {
		case code := <-status:
			if granted != (code == 200) || granted && <-inside != "hello" {
				t.Errorf("%s: status %d", target, code)
			}
		case <-time.After(5 * time.Second):
			t.Errorf("%s waits for a body", target)
		}
	}
}

// A space in a query, which HTTP/2 carries, makes two readings of the request line
// that a proxy writes: the version in it would be the client's choice, and with it
// the framing of what follows.
func TestS23OneRequestLine(t *testing.T) {
	s := newSite(t)
	cookie := grantCookie(admin, s.token("alice", admin))
	for target, want := range map[string]int{
		"/?a=b HTTP/1.0": 400, "/admin?a=b HTTP/0.9": 400, "/?a= ": 400, "/admin? ": 400, "/?a=b%20HTTP/1.0": 200, "/admin?a=b+c": 200,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		var err error
		if r.URL, err = url.ParseRequestURI(target); err != nil {
			t.Fatal(err)
		}
		r.RequestURI, r.ProtoMajor, r.Proto = target, 2, "HTTP/2.0"
		r.Header = http.Header{"X-User": {"alice"}, "Cookie": {cookie}}
		w := httptest.NewRecorder()
		_ = s.Gate.ServeHTTP(w, r, s.application)
		if reached := s.takeReached(); w.Code != want || (len(reached) > 0) != (want == 200) {
			t.Errorf("%q: status %d, %d requests; want %d", target, w.Code, len(reached), want)
		}
	}
}
