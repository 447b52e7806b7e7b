package gate_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/gate"
)

// One judged request is one request: what could make a channel of it does not
// reach the application, on requests with and without a rule, and the request
// goes on without it.
func TestS23NoChannelReachesTheApplication(t *testing.T) {
	s, got, front := newProxied(t, func(o *gate.Options) { o.AllowUpgrades = []string{"TCP"} })
	cookie := grantCookie(admin, s.token("alice", admin)) + "; " + grantCookie(change, s.token("alice", change))
	const connected = "Connection: Upgrade\r\n"
	for lines, upgrades := range map[string]bool{
		"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n": false,
		connected + "Upgrade: H2C\r\n":                              false,
		connected + "Upgrade: h2\r\n":                               false,
		connected + "Upgrade: HTTP/2.0\r\n":                         false,
		connected + "Upgrade: TLS/1.0\r\n":                          false,
		connected + "Upgrade: tls\r\n":                              false,
		connected + "Upgrade: foo\r\n":                              false,
		connected + "Upgrade: tcp/1\r\n":                            false,
		connected + "Upgrade: websocket, h2c\r\n":                   false,
		connected + "Upgrade: h2c,websocket\r\n":                    false,
		connected + "Upgrade: websocket/13\r\n":                     false,
		connected + "Upgrade: websocket\r\nUpgrade: h2c\r\n":        false,
		connected + "Upgrade: h2c\r\nUpgrade: websocket\r\n":        false,
		connected + "Upgrade:\r\n":                                  false,
		connected:                                                   false,
		"Connection: close\r\nUpgrade: websocket\r\n":               false,
		"Upgrade: websocket\r\n":                                    false,
		connected + "Upgrade: websocket\r\nContent-Length: 1\r\n":   false,
		"Capsule-Protocol: ?1\r\nHTTP2-Settings: AAA\r\n":           false,
		"Content_Length: 1\r\nTransfer_Encoding: chunked\r\n":       false,
		"Content.Length: 1\r\nTransfer.Encoding: chunked\r\n":       false,
		"Expect: 100-continue\r\nExpect: x\r\n":                     false,
		"Expect: x, 100-continue\r\n":                               false,
		connected + "Upgrade: websocket\r\n":                        true,
		connected + "Upgrade: WebSocket\r\n":                        true,
		"Connection: keep-alive, upgrade\r\nUpgrade: websocket\r\n": true,
		connected + "Upgrade: tcp\r\n":                              true,
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
	}{
		{1, "HTTP/1.1", "", false}, {2, "HTTP/2.0", "", false}, {3, "HTTP/3.0", "", false},
		{2, "HTTP/2.0", "websocket", true}, {3, "websocket", "", true},
		{2, "HTTP/2.0", "connect-udp", false}, {3, "connect-udp", "", false}, {3, "connect-ip", "", false},
		{3, "webtransport", "", false}, {2, "HTTP/2.0", "WebSocket", false}, {3, "HTTP/3.0", "websocket", false},
	} {
		r := httptest.NewRequest(http.MethodGet, "/admin", nil)
		r.Method, r.ProtoMajor, r.Proto = http.MethodConnect, c.major, c.proto
		r.Header.Set("X-User", "alice")
		r.Header.Set("Cookie", grantCookie(admin, s.token("alice", admin)))
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
	for upgrade, want := range map[string]int{"": 502, "Connection: Upgrade\r\nUpgrade: h2c\r\n": 502, "Connection: Upgrade\r\nUpgrade: websocket\r\n": 101} {
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
