package caddymodule_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v3/jwk"
)

// bearing adds fields to each request of the bed's client, as a browser does
// with the cookies of a login.
type bearing struct {
	http.RoundTripper
	fields http.Header
}

func (b *bearing) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	for name, values := range b.fields {
		if own := r.Header[name]; name == "Cookie" && len(own) > 0 {
			values = []string{strings.Join(append(values, own...), "; ")}
		}
		r.Header[name] = values
	}
	return b.RoundTripper.RoundTrip(r)
}

// bear makes the bed's client send fields; each is a name and a value.
func (b *bed) bear(fields ...string) {
	h := make(http.Header)
	for i := 0; i < len(fields); i += 2 {
		h.Add(fields[i], fields[i+1])
	}
	if old, ok := b.Client.Transport.(*bearing); ok {
		old.fields = h
		return
	}
	b.Client.Transport = &bearing{b.Client.Transport, h}
}

// identified is a site that protects /admin/* by an identity source.
func (b *bed) identified(servers, identity string) string {
	return `{
	admin localhost:{{admin}}
	servers {
		` + servers + `
	}
	step_up {
		store badger {
			dir {{dir}}/data
		}
		` + keyFile + `
		enrollment first_use
		allow_plain_http
	}
}

http://localhost:{{port}} {
	step_up {
		tenant staff
		identity ` + identity + `
		` + protectAdmin + `
	}
	reverse_proxy ` + strings.TrimPrefix(b.app.URL, "http://") + `
}
`
}

// protected asks for the protected page and returns status and code.
func (p *person) protected(grant *http.Cookie) (int, any) {
	p.b.t.Helper()
	var cookies []*http.Cookie
	if grant != nil {
		cookies = append(cookies, grant)
	}
	resp, answer := p.do("GET", "/admin/", nil, cookies...)
	return resp.StatusCode, answer["code"]
}

func (p *person) expect(when string, grant *http.Cookie, status int, code string) {
	p.b.t.Helper()
	before := len(p.b.app.requests())
	got, problem := p.protected(grant)
	if got != status || code != "" && problem != code {
		p.b.t.Errorf("%s: %d %v, want %d %s", when, got, problem, status, code)
	}
	if reached := len(p.b.app.requests()) > before; reached != (status == http.StatusOK) {
		p.b.t.Errorf("%s: reached the application: %v", when, reached)
	}
}

const (
	nobody    = "unauthenticated"
	challenge = "insufficient_user_authentication"
	ambiguous = "ambiguous_request"
)

// login is an application with sessions of its own.
type login struct {
	*httptest.Server
	mu    sync.Mutex
	users map[string]string // by session
	asked int
}

func newLogin(t *testing.T) *login {
	l := &login{users: make(map[string]string)}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.asked++
		user := ""
		if c, err := r.Cookie("sid"); err == nil {
			user = l.users[c.Value]
		}
		if strings.Contains(fmt.Sprint(r.Header), "sug_") || strings.Contains(fmt.Sprint(r.Header), "step_up_") {
			t.Errorf("our cookies were sent to the application: %v", r.Header)
		}
		fmt.Fprintf(w, `{"user":{"name":%q}}`, user)
	}))
	t.Cleanup(l.Close)
	return l
}

func (l *login) set(session, user string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.users[session] = user
}

// TestS17Whoami: the application's own sessions tell who is asking, and a grant
// ends with the session in which it was given.
func TestS17Whoami(t *testing.T) {
	b := newBed(t)
	l := newLogin(t)
	t.Setenv("TEST_APP", l.URL)
	b.Load(b.identified("", `whoami {env.TEST_APP}/me {
		json           /user/name
		session_cookie sid
		cache          200ms
	}`))
	anybody := &person{b: b}
	anybody.expect("without a session", nil, 401, nobody)
	b.bear("Cookie", "sid=made-up")
	anybody.expect("with a made-up session", nil, 401, nobody)

	l.set("one", "Alice")
	b.bear("Cookie", "sid=one; tracker=1")
	p := b.enroll("")
	p.expect("signed in", nil, 401, challenge)
	grant := p.win("ADMIN")
	p.expect("with a grant", grant, 200, "")
	if user := b.app.requests()[len(b.app.requests())-1].Header.Get("Step-Up-User"); user != "Alice" {
		t.Errorf("the application was told of %q", user)
	}
	b.bear("Cookie", "tracker=2; sid=one")
	p.expect("with another tracker", grant, 200, "")

	l.set("two", "Alice")
	b.bear("Cookie", "sid=two")
	p.expect("in another session of the same user", grant, 401, challenge)
	l.set("three", "Bob")
	b.bear("Cookie", "sid=three")
	p.expect("in another user's session", grant, 401, challenge)
	b.bear("Cookie", "sid=one; sid=three")
	p.expect("with two sessions", grant, 400, ambiguous)
	b.bear("Cookie", "sid=three; sid=one")
	p.expect("with two sessions, the other way round", grant, 400, ambiguous)

	l.set("one", "")
	time.Sleep(250 * time.Millisecond)
	b.bear("Cookie", "sid=one")
	p.expect("after logging out", grant, 401, nobody)
	l.Close()
	b.bear("Cookie", "sid=two")
	time.Sleep(250 * time.Millisecond)
	p.expect("with the login away", grant, 503, "unavailable")
	if log := b.Log(); strings.Contains(log, "sid=two") || strings.Contains(log, "sid=one") {
		t.Error("the session is in the log (S13)")
	}
}

// TestS19Whoami: many requests of one session are few questions.
func TestS19Whoami(t *testing.T) {
	b := newBed(t)
	l := newLogin(t)
	l.set("one", "alice")
	b.Load(b.identified("", "whoami "+l.URL+` {
		json  /user/name
		cache 60s
	}`))
	b.bear("Cookie", "sid=one")
	p := &person{b: b}
	for range 200 {
		p.expect("one of many", nil, 401, challenge)
	}
	if l.asked != 1 {
		t.Errorf("%d questions", l.asked)
	}
}

// token is a token of the key's for alice, with changed claims.
func token(t *testing.T, method jwt.SigningMethod, key any, changes jwt.MapClaims) string {
	t.Helper()
	claims := jwt.MapClaims{
		"iss": "https://id.example.com/", "aud": "intranet", "sub": "alice", "sid": "one", "org": "staff",
		"exp": time.Now().Add(time.Hour).Unix(),
	}
	maps.Copy(claims, changes)
	made := jwt.NewWithClaims(method, claims)
	made.Header["kid"] = "one"
	signed, err := made.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// TestS17JWT: tokens tell who is asking, and a grant ends with the token's
// session.
func TestS17JWT(t *testing.T) {
	b := newBed(t)
	const secret = "0123456789abcdef0123456789abcdef"
	t.Setenv("TEST_JWT_KEY", secret)
	b.Load(b.identified("", `jwt {
		cookie   token
		bearer
		key      {env.TEST_JWT_KEY}
		issuer   https://id.example.com/
		audience intranet
		tenant   org
	}`))
	of := func(changes jwt.MapClaims) string { return token(t, jwt.SigningMethodHS256, []byte(secret), changes) }
	p := &person{b: b}
	p.expect("without a token", nil, 401, nobody)
	b.bear("Authorization", "Bearer "+of(nil))
	p = b.enroll("")
	p.expect("signed in", nil, 401, challenge)
	grant := p.win("ADMIN")
	p.expect("with a grant", grant, 200, "")
	b.bear("Cookie", "token="+of(nil))
	p.expect("by cookie", grant, 200, "")
	b.bear("Authorization", "Bearer "+of(jwt.MapClaims{"sid": "two"}))
	p.expect("in another session", grant, 401, challenge)
	b.bear("Authorization", "Bearer "+of(jwt.MapClaims{"sub": "bob"}))
	p.expect("as another user", grant, 401, challenge)
	b.bear("Authorization", "Bearer "+of(jwt.MapClaims{"org": "shop"}))
	p.expect("in another tenant", grant, 401, nobody)
	b.bear("Authorization", "Bearer "+of(jwt.MapClaims{"exp": time.Now().Add(-time.Minute).Unix()}))
	p.expect("expired", grant, 401, nobody)
	b.bear("Authorization", "Bearer "+of(jwt.MapClaims{"aud": "shop"}))
	p.expect("for another application", grant, 401, nobody)
	b.bear("Authorization", "Bearer "+of(nil), "Cookie", "token="+of(jwt.MapClaims{"sub": "bob"}))
	p.expect("with two tokens", grant, 400, ambiguous)
	b.bear("Authorization", "Bearer "+of(nil), "Authorization", "Bearer "+of(nil))
	p.expect("with two fields", grant, 400, ambiguous)
	if log := b.Log(); strings.Contains(log, strings.Split(of(nil), ".")[0]) || strings.Contains(log, secret) || !strings.Contains(log, "it has expired") {
		t.Error("the log has a token or the key in it (S13), or does not say why one was refused")
	}
}

// A key set outlives a reload, also one that comes while the issuer is away.
func TestJWTKeySetOutlivesReload(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := jwk.Import(public)
	if err != nil {
		t.Fatal(err)
	}
	key.Set("kid", "one")
	set, err := json.Marshal(map[string]any{"keys": []any{key}})
	if err != nil {
		t.Fatal(err)
	}
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(set) }))
	defer issuer.Close()

	b := newBed(t)
	site := b.identified("", `jwt {
		bearer
		jwks     `+issuer.URL+`
		issuer   https://id.example.com/
		audience intranet
	}`)
	b.Load(site)
	b.bear("Authorization", "Bearer "+token(t, jwt.SigningMethodEdDSA, private, nil))
	p := &person{b: b}
	p.expect("at first", nil, 401, challenge)
	issuer.Close()
	b.Load(site + "# changed\n")
	p.expect("after a reload without the issuer", nil, 401, challenge)

	// Without a key set in use the keys are gone.
	b.Load(strings.ReplaceAll(site, issuer.URL, "http://localhost:1/keys"))
	p.expect("with an issuer that was never there", nil, 503, "unavailable")
}

// TestS21Header: the field names the user where it comes from a trusted proxy,
// once, and nowhere else.
func TestS21Header(t *testing.T) {
	b := newBed(t)
	b.Load(b.identified("trusted_proxies static 127.0.0.1/32 ::1/128", "header remote-user"))
	p := &person{b: b}
	p.expect("without the field", nil, 401, nobody)
	b.bear("Remote-User", "Alice")
	p = b.enroll("")
	grant := p.win("ADMIN")
	p.expect("with the field", grant, 200, "")
	b.bear("Remote-User", "bob")
	p.expect("as another user", grant, 401, challenge)
	b.bear("Remote-User", "alice", "Remote-User", "bob")
	p.expect("with two fields", grant, 400, ambiguous)
	b.bear("Remote-User", "bob", "Remote-User", "alice")
	p.expect("with two fields, the other way round", grant, 400, ambiguous)
	b.bear("Remote-User", "alice, bob")
	p.expect("with two in one field", grant, 400, ambiguous)
	b.bear("Remote-User", " ")
	p.expect("with an empty field", grant, 401, nobody)

	for _, untrusted := range []string{"", "trusted_proxies static 192.0.2.0/24"} {
		b.Load(b.identified(untrusted, "header Remote-User"))
		b.bear("Remote-User", "alice", "X-Forwarded-For", "192.0.2.1")
		for range 3 {
			p.expect("from somebody else", grant, 401, nobody)
		}
	}
	if n := strings.Count(b.Log(), "did not come from a trusted proxy"); n != 2 {
		t.Errorf("told %d times, once for each configuration is enough", n)
	}
}

// Two sites that ask different sources must not share a tenant, where the same
// name would be one person.
func TestSourcesNeedTenants(t *testing.T) {
	b := newBed(t)
	keyPath := filepath.Join(b.Dir, "secret")
	if err := os.WriteFile(keyPath, []byte("0123456789abcdef0123456789abcdef"), 0o600); err != nil {
		t.Fatal(err)
	}
	sources := []string{
		"placeholder {http.auth.user.id}",
		"header Remote-User",
		"header Remote-Name",
		"whoami http://localhost:9000/me {\n json /user\n }",
		"whoami http://localhost:9001/me {\n json /user\n }",
		"jwt {\n bearer\n key {file." + keyPath + "}\n issuer any\n audience any\n }",
		"jwt {\n bearer\n key {file." + keyPath + "}\n issuer any\n audience intranet\n }",
	}
	site := func(address, tenant, source string) string {
		return fmt.Sprintf("http://%s.localhost:{{port}} {\n step_up {\n tenant %s\n identity %s\n %s }\n respond ok\n }\n", address, tenant, source, protectAdmin)
	}
	global := "{\n step_up {\n store badger {\n dir {{dir}}/data\n }\n " + keyFile + " }\n }\n"
	for i, one := range sources {
		for j, other := range sources {
			err := b.TryLoad(global + site("a", "staff", one) + site("b", "staff", other))
			if (err == nil) != (i == j) || err != nil && !strings.Contains(err.Error(), "different identity sources share the tenant") {
				t.Errorf("%s and %s in one tenant: %v", one, other, err)
			}
		}
		if err := b.TryLoad(global + site("a", "staff", one) + site("b", "shop", sources[0])); err != nil {
			t.Errorf("%s in a tenant of its own: %v", one, err)
		}
	}
}

// What a source is told by placeholders is seen when the configuration loads.
func TestSourcesRefuseAtLoad(t *testing.T) {
	b := newBed(t)
	t.Setenv("TEST_SHORT", "0123")
	t.Setenv("TEST_PLACE", "not a URL")
	for identity, want := range map[string]string{
		"jwt {\n bearer\n key {env.TEST_ABSENT}\n issuer any\n audience any\n }":                             "TEST_ABSENT",
		"jwt {\n bearer\n key {env.TEST_SHORT}\n issuer any\n audience any\n }":                              "at least 32 random bytes",
		"jwt {\n bearer\n key {file./nonexistent}\n issuer any\n audience any\n }":                           "/nonexistent",
		"jwt {\n bearer\n jwks {env.TEST_PLACE}\n issuer a\n audience any\n }":                               "absolute URL",
		"whoami {env.TEST_PLACE} {\n json /user\n }":                                                         "absolute URL",
		"whoami {env.TEST_ABSENT} {\n json /user\n }":                                                        "TEST_ABSENT",
		"whoami http://localhost:9000/ {\n json /user\n send X-Key {env.TEST_ABSENT}\n }":                    "TEST_ABSENT",
		"whoami http://localhost:9000/ {\n json /user\n send X-Key {file./nonexistent/key}\n cache 1s\n }\n": "/nonexistent/key",
	} {
		err := b.TryLoad(b.identified("", identity))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "0123") {
			t.Errorf("%s: %v", identity, err)
		}
	}
}
