package gate_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/gate"
)

// A real proxy sends on what the gate lets through; the application behind it
// tells what it got.
func newProxied(t *testing.T, edits ...func(*gate.Options)) (*site, *[]*http.Request, string) {
	t.Helper()
	got := &[]*http.Request{}
	upstream := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // trailers come behind the body
		*got = append(*got, r)
	}))
	to, err := url.Parse(upstream)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	s := newSite(t, edits...)
	front := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = s.Gate.ServeHTTP(w, r, func(w http.ResponseWriter, r *http.Request) error {
			proxy.ServeHTTP(w, r)
			return nil
		})
	}))
	return s, got, front
}

// Nothing that a client says in the gateway's name reaches the application, on
// requests with and without a rule; and no client can unsay what the gateway says.
func TestS08Scrub(t *testing.T) {
	s, got, front := newProxied(t)
	cookie := grantCookie(admin, s.token("alice", admin))
	for name, lines := range map[string]string{
		"plain":             "Step-Up-User: root\r\nStep-Up-Evil: 1\r\n",
		"case":              "STEP-UP-EVIL: 1\r\nstep-up-user: root\r\n",
		"underscores":       "Step_Up_User: root\r\nstep_up-evil: 1\r\n",
		"dots":              "Step.Up.User: root\r\n",
		"other marks":       "Step!Up~User: root\r\nStep'Up`Evil: 1\r\n",
		"repeated":          "Step-Up-User: a\r\nStep-Up-User: b\r\n",
		"another path":      "X-Original-URL: /admin\r\nX-Rewrite-URL: /admin\r\nx_original_url: /admin\r\nX.Rewrite_URL: /x\r\n",
		"connection":        "Connection: close, Step-Up-User, step_up_action,,Step-Up-Method\r\n",
		"connection, twice": "Connection: Step-Up-User\r\nConnection: Step-Up-Auth-Time\r\n",
		"trailer":           "Trailer: Step-Up-User\r\n",
	} {
		for _, target := range []string{"/", "/admin"} {
			*got = nil
			status := sendRaw(t, front, "GET "+target+" HTTP/1.1\r\nHost: h\r\nX-User: alice\r\nCookie: "+cookie+"\r\n"+lines+"\r\n")
			if status != 200 || len(*got) != 1 {
				t.Fatalf("%s: status %d, %d requests", name, status, len(*got))
			}
			r := (*got)[0]
			want := map[string]bool{}
			if target == "/admin" {
				want = map[string]bool{"Step-Up-User": true, "Step-Up-Action": true, "Step-Up-Method": true, "Step-Up-Amr": true, "Step-Up-Auth-Time": true}
				if u := r.Header["Step-Up-User"]; len(u) != 1 || u[0] != "alice" {
					t.Errorf("%s: the application hears of user %q", name, u)
				}
			}
			for h := range r.Header {
				f := strings.Map(func(c rune) rune {
					if c >= 'a' && c <= 'z' {
						return c
					}
					return '-'
				}, strings.ToLower(h))
				if (strings.HasPrefix(f, "step-up") || f == "x-original-url" || f == "x-rewrite-url" || f == "trailer") && !want[h] {
					t.Errorf("%s on %s: %s: %q reached the application", name, target, h, r.Header[h])
				}
				delete(want, h)
			}
			if len(want) > 0 {
				t.Errorf("%s on %s: the application does not hear %v", name, target, want)
			}
		}
	}
}

// What Connection takes away from the application, it takes away from the gate: a
// body is judged by the type under which the application gets it.
func TestS07ConnectionNamesTheType(t *testing.T) {
	_, got, front := newProxied(t)
	for _, connection := range []string{"Content-Type", "close, content-type", "keep-alive, CONTENT-TYPE ,x", "te\r\nConnection: Content-Type"} {
		for header, want := range map[string]int{"Connection": 401, "X-Connection": 200} {
			body := "_method=post"
			status := sendRaw(t, front, fmt.Sprintf("GET /transfer HTTP/1.1\r\nHost: h\r\nX-User: alice\r\nContent-Type: application/octet-stream\r\n%s: %s\r\nContent-Length: %d\r\n\r\n%s",
				header, strings.ReplaceAll(connection, "\r\nConnection", "\r\n"+header), len(body), body))
			if status != want {
				t.Errorf("%s: %s: status %d, want %d", header, connection, status, want)
			}
		}
	}
	*got = nil
	if status := sendRaw(t, front, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close, X-Secret\r\nX-Secret: 1\r\nX-Other: 1\r\n\r\n"); status != 200 || len(*got) != 1 {
		t.Fatalf("status %d, %d requests", status, len(*got))
	}
	if h := (*got)[0].Header; len(h["X-Secret"]) > 0 || len(h["X-Other"]) != 1 {
		t.Error(h)
	}
}

// Trailers, announced and not, chunked and over HTTP/1 as they are.
func TestS08Trailers(t *testing.T) {
	s, got, front := newProxied(t)
	cookie := grantCookie(change, s.token("alice", change))
	for _, announce := range []string{"", "Trailer: Step-Up-User\r\n", "Trailer: X-Sum, Step-Up-User\r\nTE: trailers\r\n"} {
		for _, target := range []string{"/login", "/profile"} {
			*got = nil
			status := sendRaw(t, front, "POST "+target+" HTTP/1.1\r\nHost: h\r\nX-User: alice\r\nContent-Type: application/json\r\nCookie: "+cookie+
				"\r\nTransfer-Encoding: chunked\r\n"+announce+"\r\n2\r\n{}\r\n0\r\nStep-Up-User: root\r\nX-Sum: 1\r\n\r\n")
			if status != 200 || len(*got) != 1 {
				t.Fatalf("status %d, %d requests", status, len(*got))
			}
			if tr := (*got)[0].Trailer; len(tr) > 0 {
				t.Errorf("after %q trailers reached the application: %v", announce, tr)
			}
		}
	}

	// The application in the same process, which reads trailers itself.
	s.back.Store(s.newGate())
	s.Gate = s.back.Load()
	inner := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = s.Gate.ServeHTTP(w, r, func(w http.ResponseWriter, r *http.Request) error {
			_, _ = io.Copy(io.Discard, r.Body)
			_, err := fmt.Fprint(w, len(r.Trailer), len(r.Header["Trailer"]))
			return err
		})
	}))
	c, err := net.Dial("tcp", strings.TrimPrefix(inner, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "POST /login HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: Step-Up-User\r\n\r\n1\r\nx\r\n0\r\nStep-Up-User: root\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := io.ReadAll(res.Body); string(text) != "0 0" {
		t.Errorf("trailers in process: %s", text)
	}
}

// Over HTTP/2 trailers travel otherwise.
func TestS08TrailersHTTP2(t *testing.T) {
	s := newSite(t)
	var trailers http.Header
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = s.Gate.ServeHTTP(w, r, func(_ http.ResponseWriter, r *http.Request) error {
			_, _ = io.Copy(io.Discard, r.Body)
			trailers = r.Trailer
			return nil
		})
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	r, err := http.NewRequest("POST", srv.URL+"/login", io.NopCloser(strings.NewReader("x")))
	if err != nil {
		t.Fatal(err)
	}
	r.Trailer = http.Header{"Step-Up-User": {"root"}}
	res, err := srv.Client().Do(r)
	if err != nil || res.ProtoMajor != 2 || res.StatusCode != 200 {
		t.Fatal(res, err)
	}
	res.Body.Close()
	if len(trailers) > 0 {
		t.Error(trailers)
	}
}
