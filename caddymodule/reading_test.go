package caddymodule_test

import (
	"crypto/tls"
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/stepup-gateway/caddy-stepup/caddymodule"
)

// The request of a reading has the reading's path and method wherever a matcher
// may look for them, and everything else as it was sent.
func TestWithReading(t *testing.T) {
	sent, err := http.NewRequest("POST", "http://example.com/sent?q=1", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	sent.RequestURI = "/sent?q=1"
	sent.Header.Set("X-Kind", "money")
	sent.TLS = &tls.ConnectionState{}
	repl := caddy.NewReplacer()
	sent = caddyhttp.PrepareRequest(sent, repl, nil, nil)
	caddyhttp.SetVar(sent.Context(), "mine", "set before")
	repl.Set("http.auth.user.id", "alice")
	sent.URL.Path, sent.RequestURI = "/rewritten", "/rewritten?q=1"

	read := caddymodule.WithReading(sent, "/read/../as", "DELETE")
	seen := read.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	for placeholder, want := range map[string]string{
		"http.request.uri.path":      "/read/../as",
		"http.request.method":        "DELETE",
		"http.request.uri.query.q":   "1",
		"http.request.header.X-Kind": "money",
		"http.request.host":          "example.com",
		"http.request.scheme":        "https",
		"http.request.orig_uri.path": "/sent",
		"http.request.orig_method":   "POST",
		"http.request.body":          "",
		"http.auth.user.id":          "alice",
		"http.vars.mine":             "set before",
	} {
		if got, _ := seen.GetString(placeholder); got != want {
			t.Errorf("{%s} is %q, want %q", placeholder, got, want)
		}
	}
	if read.URL.Path != "/read/../as" || read.Method != "DELETE" || read.URL.RawPath != "" {
		t.Errorf("the reading is %s %s (%s)", read.Method, read.URL.Path, read.URL.RawPath)
	}

	// What matchers leave behind stays in the reading.
	caddyhttp.SetVar(read.Context(), "mine", "set by a matcher")
	seen.Set("http.regexp.x.1", "captured")
	if got := caddyhttp.GetVar(sent.Context(), "mine"); got != "set before" {
		t.Errorf("a matcher changed a variable of the request to %q", got)
	}
	if _, known := repl.Get("http.regexp.x.1"); known {
		t.Error("a matcher's capture got into the request")
	}
	if sent.URL.Path != "/rewritten" || sent.Method != "POST" || sent.Body == http.NoBody {
		t.Errorf("the request was changed: %s %s", sent.Method, sent.URL.Path)
	}
}

// TestS06Matchers: rules see every reading of a path, by whatever matcher they
// are written.
func TestS06Matchers(t *testing.T) {
	for name, rule := range map[string]string{
		"token":       "protect P /secret/* {\ngrant one_time\n}\n",
		"path":        "protect P {\nmatch {\npath /secret/*\n}\ngrant one_time\n}\n",
		"named":       "protect P @secret {\ngrant one_time\n}\n",
		"regexp":      "protect P {\nmatch {\npath_regexp ^/secret(/|$)\n}\ngrant one_time\n}\n",
		"expression":  "protect P {\nmatch {\nexpression `path('/secret', '/secret/*')`\n}\ngrant one_time\n}\n",
		"placeholder": "protect P {\nmatch {\nexpression `{http.request.uri.path}.lowerAscii().startsWith('/secret')`\n}\ngrant one_time\n}\n",
		"not":         "protect P {\nmatch {\nnot path / /x /x/*\n}\ngrant one_time\n}\n",
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			b.Load(b.config(keyFile, rule, "@secret path /secret/*"))
			alice := &person{b: b, name: "alice"}
			for _, path := range []string{
				"/secret", "/secret/", "/secret/x", "/SECRET/x", "//secret/x", "/./secret/x", "/x/../secret/x", "/%73ecret/x",
				"/x/%2e%2e/secret/x", "/x/..%2fsecret/x", "/%2573ecret/x", "/secret;v=1/x", `/x/..%5csecret/x`, "/secret%2fx",
			} {
				before := len(b.app.requests())
				resp, answer := alice.do("GET", path, nil)
				if len(b.app.requests()) > before {
					t.Errorf("%s reached the application", path)
				} else if resp.StatusCode != 401 && resp.StatusCode != 400 {
					t.Errorf("%s gave %d %v", path, resp.StatusCode, answer)
				}
			}
			if resp, _ := alice.do("GET", "/x/y", nil); resp.StatusCode != 200 {
				t.Errorf("/x/y gave %d, want 200", resp.StatusCode)
			}
		})
	}
}

// TestS06MatchersCleanNothing: routers that leave dots and empty segments where they
// are serve what is protected for targets that Caddy's matchers would resolve to
// something else, by whatever matcher the rule is written.
func TestS06MatchersCleanNothing(t *testing.T) {
	targets := []string{
		"/admin/..", "/admin/../", "/admin/graphql/../..", "/admin/x/../../public/y", "/admin/%2e%2e", "/admin/%2e%2e/x", "/admin/x/.%2e/..",
		`/admin/..%5c..%5cx`, "/admin/..%2f", "/ADMIN/y/../../x", "/admin/./../x", "/admin/.././x", "/admin//../..", "/admin/x/../../../x?y=z", "/t/../../admin/..",
	}
	for name, c := range map[string]struct {
		rule string
		also []string
	}{
		"token":      {"protect P /admin/* {\ngrant one_time\n}\n", nil},
		"regexp":     {"protect P {\nmatch {\npath_regexp ^/admin/\n}\ngrant one_time\n}\n", nil},
		"expression": {"protect P {\nmatch {\nexpression `path('/admin', '/admin/*')`\n}\ngrant one_time\n}\n", nil},
		"raw":        {"protect P {\nmatch {\nexpression `{http.request.uri.path}.lowerAscii().startsWith('/admin')`\n}\ngrant one_time\n}\n", nil},
		"not":        {"protect P {\nmatch {\nnot path /x /x/* /\n}\ngrant one_time\n}\n", nil},
		"segments":   {"protect P /*/delete /admin/* {\ngrant one_time\n}\n", []string{"/../delete", "/./delete", "//delete", "/%2e%2e/delete"}},
		"pattern":    {"protect P {\nmatch {\npath_regexp ^/[\\w.]*/delete$|^/admin/\n}\ngrant one_time\n}\n", []string{"/../delete", "//delete", "/./delete"}},
		"suffix":     {"protect P {\nmatch {\npath /admin/* *y/secret\n}\ngrant one_time\n}\n", []string{"/y/../secret", "/y/..././secret"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			b.Load(b.config(keyFile, c.rule, ""))
			alice := &person{b: b, name: "alice"}
			for _, target := range append(c.also, targets...) {
				before := len(b.app.requests())
				if resp, answer := alice.do("POST", target, nil); len(b.app.requests()) > before {
					t.Errorf("%s reached the application", target)
				} else if resp.StatusCode != 401 && resp.StatusCode != 400 {
					t.Errorf("%s gave %d %v", target, resp.StatusCode, answer)
				}
			}
			if resp, _ := alice.do("POST", "/x", nil); resp.StatusCode != 200 {
				t.Errorf("/x gave %d, want 200", resp.StatusCode)
			}
		})
	}
}

// TestS07MethodOverrides: a rule on a method is not walked around by naming the
// method elsewhere, whichever matcher it is written with.
func TestS07MethodOverrides(t *testing.T) {
	for name, rule := range map[string]string{
		"method":     "protect P /x {\nmatch {\nmethod DELETE\n}\ngrant one_time\n}\n",
		"expression": "protect P /x {\nmatch {\nexpression `{http.request.method} == 'DELETE'`\n}\ngrant one_time\n}\n",
		"not":        "protect P /x {\nmatch {\nnot method GET HEAD POST\n}\ngrant one_time\n}\n",
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			b.Load(b.config(keyFile, rule, ""))
			for _, header := range []string{"", "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"} {
				method, query := "POST", "?_method=delete"
				if header != "" {
					query = ""
				}
				r, err := http.NewRequest(method, b.URL+"/x"+query, nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("X-Test-User", "alice")
				if header != "" {
					r.Header.Set(header, "delete")
				}
				if resp, answer := b.send(r); resp.StatusCode != 401 && resp.StatusCode != 400 {
					t.Errorf("override by %q gave %d %v", header, resp.StatusCode, answer)
				}
			}
			if resp, _ := (&person{b: b, name: "alice"}).do("POST", "/x", nil); resp.StatusCode != 200 {
				t.Errorf("a plain POST gave %d, want 200", resp.StatusCode)
			}
		})
	}
}

// A query that Go refuses to read is read by applications all the same: it must
// not make a query matcher match nothing.
func TestQueryThatCannotBeTold(t *testing.T) {
	b := newBed(t)
	b.Load(b.config(keyFile, "protect P {\nmatch {\nquery action=delete\n}\ngrant one_time\n}\n", ""))
	alice := &person{b: b, name: "alice"}
	for path, protected := range map[string]bool{
		"/?action=delete":       true,
		"/?x=1&action=delete":   true,
		"/?action=delete;x":     true,
		"/?x=%zz&action=delete": true,
		"/?action=view":         false,
		"/":                     false,
	} {
		resp, answer := alice.do("GET", path, nil)
		if reached := resp.StatusCode == 200; reached == protected {
			t.Errorf("%s gave %d %v", path, resp.StatusCode, answer)
		}
	}
}

// Plain HTTP is told from HTTPS by the connection, or by a proxy that the
// operator trusts, and by nobody else.
func TestS12PlainHTTP(t *testing.T) {
	const trusting = "\tmetrics\n\tservers {\n\t\ttrusted_proxies static 127.0.0.1/32 ::1/128\n\t}\n"
	for name, tc := range map[string]struct {
		trusted bool
		proto   string
		want    int
		told    string // in the log
	}{
		"plain":                           {false, "", 403, "serve the site over HTTPS"},
		"claimed by the client":           {false, "https", 403, "write `servers { trusted_proxies static 127.0.0.1 }`"},
		"told by a trusted proxy":         {true, "https", 401, ""},
		"plain before that proxy":         {true, "http", 403, "the trusted proxy in front says that the client came so"},
		"HTTPS to the first of two":       {true, "https, http", 401, ""},
		"plain to the first of two":       {true, "http,https", 403, "the trusted proxy in front says that the client came so"},
		"an upgrade, as Traefik tells it": {true, "wss", 401, ""},
		"a plain upgrade":                 {true, "ws", 403, "the trusted proxy in front says that the client came so"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			config := strings.Replace(b.config(keyFile, protectAdmin, ""), "allow_plain_http", "", 1)
			if tc.trusted {
				config = strings.Replace(config, "\tmetrics\n", trusting, 1)
			}
			b.Load(config)
			r, err := http.NewRequest("GET", b.URL+"/admin/", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("X-Test-User", "alice")
			if tc.proto != "" {
				r.Header.Set("X-Forwarded-Proto", tc.proto)
			}
			for range 3 {
				if resp, answer := b.send(r); resp.StatusCode != tc.want {
					t.Errorf("%d %v, want %d", resp.StatusCode, answer, tc.want)
				}
			}
			// The operator is told once, with what to do.
			const message = "protected requests over plain HTTP are refused"
			want := 1
			if tc.told == "" {
				want = 0
			}
			if log := b.Log(); strings.Count(log, message) != want || !strings.Contains(log, tc.told) {
				t.Errorf("the log tells it %d times, want %d with %q", strings.Count(log, message), want, tc.told)
			}
		})
	}
}

// A site whose identity source never names anybody says so, and one that did once
// does not: visitors who are not signed in are no mistake.
func TestNobodyIsTold(t *testing.T) {
	b := newBed(t)
	b.Load(b.config(keyFile, protectAdmin, ""))
	const message = "the identity source has named nobody so far"
	ask := func(user string) {
		t.Helper()
		r, err := http.NewRequest("GET", b.URL+"/admin/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Test-User", user)
		if resp, _ := b.send(r); resp.StatusCode != 401 {
			t.Error(resp.Status)
		}
	}
	for range 3 {
		ask("")
	}
	if n := strings.Count(b.Log(), message); n != 1 {
		t.Errorf("told %d times", n)
	}

	b = newBed(t)
	b.Load(b.config(keyFile, protectAdmin, ""))
	ask("alice")
	for range 3 {
		ask("")
	}
	if strings.Contains(b.Log(), message) {
		t.Error("told although somebody was identified")
	}
}
