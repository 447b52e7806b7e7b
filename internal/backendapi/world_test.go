package backendapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/apikeys"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/internal/inbound"
)

// world is an API over a real domain.
type world struct {
	*ceremonytest.World
	*testing.T
	API *API
	// rules are what the sites' rules ask, by tenant and action type.
	rules map[string]grants.Demand
	// failed are the errors that made answers unavailable.
	failed []error
}

// sessionAction is what session tokens are grants for.
const sessionAction = "SESSION"

func newWorld(t *testing.T, edits ...func(*Options)) *world {
	t.Helper()
	w := &world{World: ceremonytest.New(t), T: t, rules: make(map[string]grants.Demand)}
	w.serve(edits...)
	return w
}

// serve makes the API anew, as a reload does.
func (w *world) serve(edits ...func(*Options)) {
	w.Helper()
	o := Options{
		Service: w.Service,
		Issuer:  "Test",
		Form: func(_, user string) (string, error) {
			if user = strings.ToLower(strings.TrimSpace(user)); user == "" {
				return "", errors.New("empty")
			}
			return user, nil
		},
		Demand: func(tenant, action string) (grants.Demand, bool) {
			d, ok := w.rules[tenant+" "+action]
			return d, ok
		},
		Server:  server{},
		Session: ceremonytest.Demand(sessionAction, grants.TimeBased, 10*time.Minute),
		Now:     w.Clock.Now,
		Failed:  func(_ context.Context, err error) { w.failed = append(w.failed, err) },
	}
	for _, edit := range edits {
		edit(&o)
	}
	api, err := New(o)
	if err != nil {
		w.Fatal(err)
	}
	w.API = api
}

// key makes an API key of a tenant.
func (w *world) key(tenant string, actions []string, scopes ...apikeys.Scope) string {
	w.Helper()
	text, hash := apikeys.NewKey()
	if _, err := w.CreateKey(w.Context(), hash, apikeys.Key{Label: "test", Tenant: tenant, Scopes: scopes, Actions: actions}); err != nil {
		w.Fatal(err)
	}
	return text
}

// fullKey may do everything in the tests' tenant.
func (w *world) fullKey() string {
	return w.key(ceremonytest.Tenant, []string{apikeys.AnyAction}, apikeys.Scopes()...)
}

// ask is one request.
type ask struct {
	method, path, key, body string
	header                  http.Header
	from                    string
	plain                   bool
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

// do sends a request and holds the answer against what all answers promise.
func (w *world) do(a ask) answer {
	w.Helper()
	r := httptest.NewRequest(a.method, "https://api.test"+a.path, strings.NewReader(a.body))
	if a.plain {
		r.TLS = nil
	}
	r.Header.Set("Content-Type", "application/json")
	if a.key != "" {
		r.Header.Set("Authorization", "Bearer "+a.key)
	}
	maps.Copy(r.Header, a.header)
	if r.RemoteAddr = "192.0.2.7:1234"; a.from != "" {
		r.RemoteAddr = a.from
	}
	rec := httptest.NewRecorder()
	w.API.ServeHTTP(rec, r)
	conforms(w, r, a.body, rec)
	got := answer{status: rec.Code, header: rec.Header(), text: rec.Body.String()}
	if got.header.Get("Cache-Control") != "no-store" || got.header.Get("X-Content-Type-Options") != "nosniff" {
		w.Errorf("%s %s: headers %v", a.method, a.path, got.header)
	}
	switch kind := got.header.Get("Content-Type"); {
	case kind == "application/json" && a.method != http.MethodHead:
		d := json.NewDecoder(strings.NewReader(got.text))
		if err := d.Decode(&got.body); err != nil {
			w.Fatalf("%s %s: %d with a body that is no JSON object: %v", a.method, a.path, got.status, err)
		}
		if _, err := d.Token(); err != io.EOF {
			w.Fatalf("%s %s: more than one value in the body", a.method, a.path)
		}
	case got.status >= 400 && kind != "application/json":
		w.Fatalf("%s %s: %d as %q", a.method, a.path, got.status, kind)
	}
	if got.status >= 300 && got.status < 400 || got.status < 200 {
		w.Fatalf("%s %s: status %d", a.method, a.path, got.status)
	}
	return got
}

// post sends a JSON body with a key.
func (w *world) post(path, key, body string) answer {
	w.Helper()
	return w.do(ask{method: http.MethodPost, path: path, key: key, body: body})
}

// get asks with a key.
func (w *world) get(path, key string) answer {
	w.Helper()
	return w.do(ask{method: http.MethodGet, path: path, key: key})
}

// want ends the test where the status is another.
func (w *world) want(a answer, status int) answer {
	w.Helper()
	if a.status != status {
		w.Fatalf("status %d, want %d: %s", a.status, status, a.text)
	}
	return a
}

// text is a member of the body that is a string.
func (a answer) string(name string) string {
	s, _ := a.body[name].(string)
	return s
}

// server is the tests' own.
type server struct{}

func (server) Secure(r *http.Request) bool           { return r.TLS != nil }
func (s server) Origin(r *http.Request) string       { return inbound.Origin(r, s.Secure(r)) }
func (server) Base(*http.Request) string             { return "" }
func (server) Client(r *http.Request) string         { return r.RemoteAddr }
func (server) Original(*http.Request) (string, bool) { return "", false }
func (server) Conn(*http.Request) net.Conn           { return nil }
