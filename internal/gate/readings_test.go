package gate_test

import (
	"bufio"
	"fmt"
	"net/http"
	"path"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/internal/gate"
	"github.com/stepup-gateway/caddy-stepup/internal/readings/spellings"
)

// Every spelling of two protected paths goes through the gate to real handlers
// that read paths differently. None may serve a protected resource
// without its grant, nor with the other's.
func TestS06Spellings(t *testing.T) {
	pay := ceremonytest.Demand("PAY", grants.TimeBased, 10*60e9)
	rules := []gate.Rule{{Demand: admin, Match: below("/admin")}, {Demand: pay, Match: below("/pay")}}
	s := newSite(t, func(o *gate.Options) { o.Rules = rules })

	var served atomic.Value // the resource that the application served last
	resource := func(p string) {
		p = strings.ToLower(p)
		for _, r := range []string{"/admin/secret", "/pay/now"} {
			if p == r {
				served.Store(r)
			}
		}
	}
	mux := http.NewServeMux()
	for _, p := range []string{"/admin/secret", "/pay/now"} {
		mux.HandleFunc(p, func(http.ResponseWriter, *http.Request) { resource(p) })
	}
	apps := map[string]http.Handler{
		"ServeMux": mux,
		"URL.Path": http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { resource(r.URL.Path) }),
		"cleaned":  http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { resource(path.Clean("/" + r.URL.Path)) }),
		"Windows": http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			segments := strings.Split(strings.ReplaceAll(r.URL.Path, `\`, "/"), "/")
			for i, seg := range segments {
				if seg != "." && seg != ".." {
					segments[i] = strings.TrimRight(seg, ". ")
				}
			}
			resource(path.Clean(strings.Join(segments, "/")))
		}),
		"parameters off": http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			segments := strings.Split(r.URL.Path, "/")
			for i := range segments {
				segments[i], _, _ = strings.Cut(segments[i], ";")
			}
			resource(path.Clean(strings.Join(segments, "/")))
		}),
	}
	next := func(w http.ResponseWriter, r *http.Request) error {
		for _, app := range apps {
			app.ServeHTTP(nullWriter{}, r)
		}
		return nil
	}
	g := s.Gate
	cookie := map[string]string{
		"":              "",
		"/admin/secret": grantCookie(admin, s.token("alice", admin)),
		"/pay/now":      grantCookie(pay, s.token("alice", pay)),
	}
	n, reached, own := 0, 0, 0
	for _, p := range []string{"/admin/secret", "/pay/now"} {
		for target := range spellings.Of(p) {
			n++
			for holds, c := range cookie {
				if (holds == "" || holds == p) && n%5 > 0 {
					continue // a grant for the other resource is worth no less than none
				}
				served.Store("")
				// As the server reads it; what it refuses reaches nobody.
				r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + target + " HTTP/1.1\r\nHost: h\r\nX-User: alice\r\nCookie: " + c + "\r\n\r\n")))
				if err != nil {
					continue
				}
				_ = g.ServeHTTP(nullWriter{}, r, next)
				switch got := served.Load(); {
				case got == "":
				case got == holds:
					own++
				default:
					t.Errorf("with a grant for %q, %q opened %s", holds, target, got)
				}
				reached++
			}
		}
	}
	if n < 4000 || own < 100 {
		t.Errorf("%d spellings sent, %d of them reached a resource with its own grant: the test proves little", n, own)
	}
	t.Logf("%d spellings, %d requests, %d reached a resource with its own grant", n, reached, own)
}

type nullWriter struct{}

func (nullWriter) Header() http.Header         { return http.Header{} }
func (nullWriter) Write(b []byte) (int, error) { return len(b), nil }
func (nullWriter) WriteHeader(int)             {}

// tooMany is a target of more than 64 readings.
var tooMany = "/%" + strings.Repeat("25", 80) + "2e"

// What can be read as two protected resources is refused, whoever asks.
func TestS06TwoActionsAreRefused(t *testing.T) {
	pay := ceremonytest.Demand("PAY", grants.TimeBased, 10*60e9)
	s := newSite(t, func(o *gate.Options) {
		o.Rules = []gate.Rule{{Demand: admin, Match: below("/admin")}, {Demand: pay, Match: below("/pay")}}
	})
	both := grantCookie(admin, s.token("alice", admin)) + "; " + grantCookie(pay, s.token("alice", pay))
	for target, status := range map[string]int{
		"/admin/..;/pay":      400,
		"/admin/%2e%2e/pay":   400,
		"/admin/../x":         200, // no rule and one action: that action
		"/x/../admin":         200,
		"/admin%00/../../pay": 400,
		tooMany:               400,
	} {
		s.expect(s.do("GET", target, "", "Cookie", both), status, status == 200)
		s.expect(s.do("GET", target, ""), map[int]int{200: 401, 400: 400}[status], false)
	}
	a := s.do("GET", "/admin/%2e%2e/pay", "", with()...)
	s.expect(a, 400, false)
	if !strings.Contains(a.Header.Get("Content-Type"), "html") {
		t.Error(a.Header)
	}
}

// A target that was rewritten on its way is read as both.
func TestS06OriginalTarget(t *testing.T) {
	s := newSite(t, func(o *gate.Options) {
		o.Server = rewritten{}
	})
	s.expect(s.do("GET", "/index.php", "", "X-Orig", "/admin/x"), 401, false)
	s.expect(s.do("GET", "/admin/x", "", "X-Orig", "/page"), 401, false)
	s.expect(s.do("GET", "/index.php", "", "X-Orig", "/page"), 200, true)
	s.expect(s.do("GET", "/x", "", "X-Orig", "/x?_method=DELETE"), 401, false)
	a := s.do("GET", "/index.php?q=admin", "", with("X-Orig", "/admin/x?y=1")...)
	if d := s.challengeOf(a, "alice", ""); d.ReturnTo != "/admin/x?y=1" {
		t.Error(d.ReturnTo)
	}
	// Inside handle_path links and return targets keep the prefix, exceptions
	// are written without it.
	a = s.do("GET", "/admin?x", "", with("X-Orig", "/app/admin?x")...)
	if d := s.challengeOf(a, "alice", ""); d.ReturnTo != "/app/admin?x" || !strings.HasPrefix(a.Header.Get("Location"), "/app/.step-up/challenge/") {
		t.Error(d.ReturnTo, a.Header)
	}
	a = s.do("GET", "/admin", "", with("X-Orig", "//evil.example/admin")...)
	if d := s.challengeOf(a, "alice", ""); d.ReturnTo != "/" || !strings.HasPrefix(a.Header.Get("Location"), "/.step-up/challenge/") {
		t.Error(d.ReturnTo, a.Header)
	}
	s.expect(s.do("POST", "/login", "", "X-Orig", "/app/login"), 200, true)
	s.expect(s.do("POST", "/login", "", "X-Orig", "/profile"), 401, false)
	// The gateway's pages are found behind a front controller.
	if a := s.do("GET", "/index.php?x", "", "X-Orig", "/.step-up/challenge/x?y"); a.body != "portal /.step-up/challenge/x?y" {
		t.Error(a.Status, a.body)
	}
	if a := s.do("GET", "/.step-up/", "", "X-Orig", "/app/.step-up/"); a.body != "portal /.step-up/" {
		t.Error(a.Status, a.body)
	}
}

// The gateway's own pages by their raw path; whatever else could be read as one of
// them is for nobody.
func TestOwnPages(t *testing.T) {
	s := newSite(t)
	for target, want := range map[string]int{
		"/.step-up/":                    200,
		"/.step-up":                     200,
		"/.step-up?x":                   200,
		"/.step-up/challenge/x":         200,
		"/.step-up/../admin":            200, // the portal knows no such page
		"/.step-up/%2e%2e/":             200,
		"/%2estep-up/":                  404,
		"/%2e%73tep-up/challenge/x":     404,
		"//.step-up/":                   404,
		"/./.step-up/":                  404,
		"/x/../.step-up/":               404,
		"/.STEP-UP/":                    404,
		"/.Step-Up":                     404,
		"/x/..;/.step-up/api/me":        404,
		"/%252estep-up/":                404,
		"http://other.example/.step-up": 404,
	} {
		a := s.do("GET", target, "")
		s.expect(a, want, false)
		if portal := strings.HasPrefix(a.body, "portal "); portal != (want == 200) {
			t.Errorf("%s: %s", target, a.body)
		}
	}
	s.expect(s.do("GET", "/.step-upx", ""), 200, true)
	s.expect(s.do("GET", "/step-up/", ""), 200, true)
}

// Methods are read in all ways that frameworks know.
func TestS07MethodReadings(t *testing.T) {
	remove := ceremonytest.Demand("REMOVE", grants.TimeBased, 10*60e9)
	s := newSite(t, func(o *gate.Options) {
		o.Rules = append([]gate.Rule{{Demand: remove, Match: methodAnd("DELETE", below("/items")), UsesMethod: true}}, usualRules()...)
		o.AllowMethods = []string{"FROB"}
	})
	form := "application/x-www-form-urlencoded"
	for _, tt := range []struct {
		name, method, target, body string
		headers                    []string
		want                       string // the action; "ambiguous"; "" passes
	}{
		{"get", "GET", "/items/1", "", nil, ""},
		{"sent", "DELETE", "/items/1", "", nil, "REMOVE"},
		{"header on get", "GET", "/items/1", "", []string{"X-HTTP-Method-Override", "delete"}, "REMOVE"},
		{"header on post", "POST", "/items/1", "", []string{"X-HTTP-Method-Override", "DELETE"}, "ambiguous"},
		{"other header", "GET", "/items/1", "", []string{"X-Method-Override", "Delete"}, "REMOVE"},
		{"unreadable header", "GET", "/items/1", "", []string{"X-HTTP-Method-Override", "\xff"}, "REMOVE"},
		{"unknown method", "POST", "/items/1", "", []string{"X-HTTP-Method-Override", "FROBNICATE"}, "REMOVE"},
		{"unreadable header elsewhere", "GET", "/other", "", []string{"X-HTTP-Method-Override", "\xff"}, "CHANGE"},
		{"tunneled", "GET", "/items/1", "", []string{"X-Tunneled-Method", "DELETE"}, "REMOVE"},
		{"Restlet's query", "POST", "/items/1?method=DELETE", "", nil, "ambiguous"},
		{"no method in it", "POST", "/items/1?method=list", "", nil, "CHANGE"},
		{"underscores", "GET", "/items/1", "", []string{"X_Http_Method", "DELETE"}, "REMOVE"},
		{"query", "GET", "/items/1?_method=delete", "", nil, "REMOVE"},
		{"query, escaped", "GET", "/items/1?%5fmeth%6fd=delete", "", nil, "REMOVE"},
		{"form on get", "GET", "/items/1", "a=b&_method=delete", []string{"Content-Type", form}, "REMOVE"},
		{"form on post", "POST", "/items/1", "_method=delete", []string{"Content-Type", form}, "ambiguous"},
		{"harmless form", "POST", "/items/1", "a=b", []string{"Content-Type", form}, "CHANGE"},
		{"unreadable form", "GET", "/items/1", "a=b", []string{"Content-Type", form, "Content-Encoding", "gzip"}, "REMOVE"},
		{"unreadable form elsewhere", "POST", "/other", "a=b", []string{"Content-Type", form, "Content-Encoding", "gzip"}, "CHANGE"},
		{"unreadable form, excepted", "POST", "/login", "a=b", []string{"Content-Type", form, "Content-Encoding", "gzip"}, ""},
		{"upgrade", "GET", "/socket", "", []string{"Upgrade", "websocket", "Connection", "Upgrade"}, "CHANGE"},
		{"safe override of post", "POST", "/other", "", []string{"X-HTTP-Method-Override", "GET"}, "CHANGE"},
		{"allowed method", "FROB", "/other", "", nil, "CHANGE"},
		{"head", "HEAD", "/admin", "", nil, "ADMIN"},
	} {
		a := s.do(tt.method, tt.target, tt.body, append([]string{"Accept", "application/json"}, tt.headers...)...)
		got := a.Header.Get("WWW-Authenticate")
		_, got, _ = strings.Cut(got, `acr_values="`)
		got, _, _ = strings.Cut(got, `"`)
		if strings.Contains(a.body, "ambiguous_request") {
			got = "ambiguous"
		}
		if reached := len(s.takeReached()) > 0; got != tt.want || reached != (tt.want == "") {
			t.Errorf("%s: asked for %q, want %q (%s)", tt.name, got, tt.want, a.Status)
		}
	}
	for _, method := range []string{"get", "Post", "FOO", "QUERY", "PRI"} {
		if status := s.raw(method + " /items/1 HTTP/1.1\r\nHost: h\r\nX-User: alice\r\n\r\n"); status != 405 && status != 400 && status != 505 || len(s.takeReached()) > 0 {
			t.Errorf("%s: %d", method, status)
		}
	}
	// A body that was looked through arrives whole.
	body := strings.Repeat("x=y&", 1000)
	s.expect(s.do("POST", "/other", body, "Content-Type", form, "Cookie", grantCookie(change, s.token("alice", change))), 200, true)
}

// The body that the application reads is the one that was sent.
func TestBodyStaysWhole(t *testing.T) {
	s := newSite(t)
	body := strings.Repeat("x=y&", 100_000) // longer than what is looked through
	got := 0
	front := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = s.Gate.ServeHTTP(w, r, func(_ http.ResponseWriter, r *http.Request) error {
			b := make([]byte, 64)
			for {
				n, err := r.Body.Read(b)
				got += n
				if err != nil {
					return nil
				}
			}
		})
	}))
	for _, length := range []int{0, 10, 250 << 10, len(body)} {
		got = 0
		status := sendRaw(t, front, fmt.Sprintf("POST /login HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", length, body[:length]))
		if status != 200 || got != length {
			t.Errorf("status %d, %d of %d bytes", status, got, length)
		}
	}
}

// Explain says what the gate does.
func TestExplain(t *testing.T) {
	s := newSite(t)
	for _, tt := range []struct{ method, target, want string }{
		{"GET", "/", "pass"},
		{"GET", "/admin", "step_up ADMIN TIME_BASED"},
		{"HEAD", "/x/..;/admin", "step_up ADMIN TIME_BASED"},
		{"POST", "/transfer", "step_up TRANSFER ONE_TIME_USE"},
		{"POST", "/transfer?_method=put", "ambiguous_request"},
		{"POST", "/login", "pass"},
		{"FOO", "/", "method_not_allowed"},
		{"GET", "/.step-up/", "own_page"},
		{"GET", "//.step-up/", "not_found"},
		{"GET", tooMany, "ambiguous_request"},
	} {
		r, err := http.NewRequest(tt.method, "https://app.test/", nil)
		if err != nil {
			t.Fatal(err)
		}
		u, err := r.URL.Parse(strings.Replace(tt.target, "//", "/.//", 1))
		if err != nil {
			t.Fatal(err)
		}
		r.URL, r.RequestURI = u, tt.target
		e := s.Gate.Explain(r)
		got := strings.TrimSpace(e.Outcome + " " + e.Action + " " + e.GrantType)
		if got != tt.want {
			t.Errorf("%s %.40s: %s, want %s\n%+v", tt.method, tt.target, got, tt.want, e.Readings)
		}
		for _, one := range e.Readings {
			if (one.Rule == 0) != (one.Line == "") {
				t.Errorf("%+v", one)
			}
		}
	}
	if len(s.Events()) > 0 {
		t.Error("explaining begins something")
	}
}
