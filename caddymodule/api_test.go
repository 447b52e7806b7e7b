package caddymodule_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/golang-jwt/jwt/v5"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/cookies"
)

// withAPI adds a site with the API for servers, on the same port under another
// name. What it does not answer itself would come to the application.
func (b *bed) withAPI(text, settings string) string {
	upstream := strings.TrimPrefix(b.app.URL, "http://")
	return text + `
http://127.0.0.1:{{port}} {
	vars user {header.X-Test-User}
	reverse_proxy ` + upstream + `
	step_up_api {
		` + settings + `
	}
	handle_errors {
		reverse_proxy ` + upstream + `
	}
}
`
}

// server is one with an API key.
type server struct {
	b       *bed
	key, id string
}

// newServer makes a key by the command, through the admin endpoint.
func (b *bed) newServer(args ...string) *server {
	b.t.Helper()
	made := b.mustRun(append([]string{"keys", "create"}, args...)...)
	return &server{b: b, key: made["key"].(string), id: made["id"].(string)}
}

var anyVerb = []string{"--tenant", "default", "--scope", "enroll,verify,grants,read,reset", "--any-action"}

func (s *server) do(method, path string, body any) (int, map[string]any) {
	s.b.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		s.b.t.Fatal(err)
	}
	r, err := http.NewRequest(method, "http://127.0.0.1:"+s.b.Port+path, bytes.NewReader(text))
	if err != nil {
		s.b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+s.key)
	resp, answer := s.b.send(r)
	if media := resp.Header.Get("Content-Type"); media != "application/json" {
		s.b.t.Errorf("%s %s: answered with %q", method, path, media)
	}
	return resp.StatusCode, answer
}

type object = map[string]any

// try sends a person's code, and win also takes the grant.
func (s *server) try(user, action, use string, seconds int, code string) (int, map[string]any) {
	s.b.t.Helper()
	return s.do("POST", "/api/backend/v1/mfa/step-up/verify-totp",
		object{"action_type": action, "user_id": user, "code": code, "grant_type": use, "valid_for_seconds": seconds})
}

func (s *server) win(p *person, action, use string, seconds int) string {
	s.b.t.Helper()
	status, answer := s.try(p.name, action, use, seconds, p.code())
	if status != 200 {
		s.b.t.Fatalf("winning %s for %s: %d %v", action, p.name, status, answer)
	}
	return answer["step_up_grant"].(string)
}

// check is verify-grant.
func (s *server) check(user, action, grant string) int {
	s.b.t.Helper()
	status, answer := s.do("POST", "/api/backend/v1/mfa/step-up/verify-grant", object{"action_type": action, "user_id": user, "grant": grant})
	if status != 200 && status != 401 && status != 403 && (status != 400 || answer["field_errors"].(map[string]any)["grant"] != "grant_not_found") {
		s.b.t.Errorf("an unusable grant: %d %v", status, answer)
	}
	return status
}

// carried is the cookie in which a server hands a grant to its client.
func carried(tenant, action, grant string) *http.Cookie {
	return &http.Cookie{Name: cookies.Grant(tenant, action).On(false), Value: grant}
}

func rule(action, settings string) string {
	return "protect " + action + " /" + strings.ToLower(action) + " {\n" + settings + "\n}\n"
}

const (
	timeBased = "TIME_BASED"
	once      = "ONE_TIME_USE"
)

// TestS01APIEndsEveryRequest: nothing that comes to the API is answered by an
// application, neither the one beside it nor one that handles errors.
func TestS01APIEndsEveryRequest(t *testing.T) {
	b := newBed(t)
	b.Load(b.withAPI(b.config(keyFile, protectAdmin, ""), ""))
	s := b.newServer(anyVerb...)
	nobody := &server{b: b, key: "suk_nothing"}
	for _, tc := range []struct {
		s            *server
		method, path string
		want         int
	}{
		{s, "GET", "/", 404}, {s, "POST", "/api/backend/v1/mfa/step-up/verify-grant/", 404}, {s, "GET", "/.step-up/", 404},
		{s, "GET", "/api/backend/v1/mfa/step-up/verify-grant", 405}, {s, "FROB", "/", 404},
		{nobody, "POST", "/api/backend/v1/mfa/step-up/verify-grant", 401}, {nobody, "GET", "/admin/", 404},
		{s, "POST", "/api/backend/v1/mfa/step-up/verify-grant", 400},
	} {
		if status, answer := tc.s.do(tc.method, tc.path, object{}); status != tc.want || answer["text"] != nil {
			t.Errorf("%s %s: %d %v, want %d in JSON", tc.method, tc.path, status, answer, tc.want)
		}
	}
	if err := caddy.Stop(); err != nil { // after that the store is closed, for what still runs too
		t.Fatal(err)
	}
	if n := len(b.app.requests()); n > 0 {
		t.Errorf("%d requests reached the application", n)
	}
}

// TestS03KeysAndReloads: keys outlive reloads, which lose no call; a revoked one
// stops at once.
func TestS03KeysAndReloads(t *testing.T) {
	b := newBed(t)
	variants := []string{
		b.withAPI(b.config(keyFile, rule("OPEN", "grant time_based 10m\naccept api"), ""), ""),
		b.withAPI(b.config(keyFile, rule("OPEN", "grant time_based 10m\naccept api"), "header X-Variant 2"), "session_token SIGN_IN"),
	}
	b.Load(variants[0])
	s := b.newServer(anyVerb...)
	alice := b.enroll("alice")
	grant := s.win(alice, "OPEN", timeBased, 600)
	for i := range 6 {
		b.Load(variants[(i+1)%2])
		if got := s.check("alice", "OPEN", grant); got != 200 {
			t.Fatalf("after %d reloads: %d", i+1, got)
		}
		if resp, _ := alice.do("GET", "/open", nil, carried("default", "OPEN", grant)); resp.StatusCode != 200 {
			t.Fatalf("at the route after %d reloads: %d", i+1, resp.StatusCode)
		}
	}
	if _, err := b.run("keys", "revoke", s.id); err != nil {
		t.Fatal(err)
	}
	if got := s.check("alice", "OPEN", grant); got != 401 {
		t.Errorf("with a revoked key: %d, want 401", got)
	}
	b.Load(variants[1])
	if got := s.check("alice", "OPEN", grant); got != 401 {
		t.Errorf("with a revoked key after a reload: %d, want 401", got)
	}
	if resp, _ := alice.do("GET", "/open", nil, carried("default", "OPEN", grant)); resp.StatusCode != 200 {
		t.Errorf("what the key won before: %d", resp.StatusCode)
	}
}

// A Caddy that only has the API: its tenants are those of its keys, and its users
// enroll, prove and are looked after all the same.
func TestAPIAlone(t *testing.T) {
	b := newBed(t)
	global := strings.SplitN(b.config(keyFile, "", ""), "\nhttp://", 2)[0]
	b.Load(b.withAPI(global, "base_url https://api.example.com\nsession_token SIGN_IN 5m\ntenant staff\nuser_id exact"))
	if _, err := b.run("users", "Alice", "--tenant", "elsewhere"); err == nil || !strings.Contains(err.Error(), "no API key has the tenant") {
		t.Errorf("a tenant that nobody has: %v", err)
	}
	args := append([]string{"keys", "create"}, anyVerb...)
	args[3] = "staff"
	made := b.mustRun(args...)
	if warning, _ := made["warning"].(string); !strings.Contains(warning, "no site") {
		t.Errorf("a tenant that no site has: %v", made)
	}
	s := &server{b: b, key: made["key"].(string)}

	status, begun := s.do("POST", "/v1/mfa/enroll", object{"user_id": "Alice", "method": "totp"})
	if status != 200 || !strings.HasPrefix(begun["qr_code_url"].(string), "https://api.example.com/qr/") {
		t.Fatalf("enrolling: %d %v", status, begun)
	}
	uri, err := url.Parse(begun["totp_uri"].(string))
	if err != nil {
		t.Fatal(err)
	}
	alice := &person{b: b, name: "Alice", secret: uri.Query().Get("secret")}
	status, done := s.do("POST", "/v1/mfa/verify", object{"enrollment_id": begun["enrollment_id"], "totp_code": alice.code()})
	if status != 200 || done["verified"] != true {
		t.Fatalf("verifying: %d %v", status, done)
	}
	session := done["session_token"].(string)
	for user, want := range map[string]int{"Alice": 200, "alice": 400, b.mustRun("users", "Alice")["user_uuid"].(string): 200} {
		if got := s.check(user, "SIGN_IN", session); got != want {
			t.Errorf("the session token of Alice for %s: %d, want %d", user, got, want)
		}
	}
	if got := b.mustRun("users", "Alice")["user_uuid"]; got != ceremony.UserUUID(grants.Subject{Tenant: "staff", User: "Alice"}) {
		t.Errorf("the user's UUID: %v", got)
	}
	if done := b.mustRun("reset", "Alice"); done["tenant"] != "staff" || done["user"] != "Alice" {
		t.Errorf("reset: %v", done)
	}
	if got := s.check("Alice", "SIGN_IN", session); got != 400 {
		t.Errorf("after the reset: %d, want 400", got)
	}
}

// TestS10S21UsersOwnToken: whom a user's own token names is of the tenant that the
// handler says, and no page of another site can speak for them.
func TestS10S21UsersOwnToken(t *testing.T) {
	b := newBed(t)
	text := func(identity string) string {
		return b.withAPI(b.config(keyFile, protectAdmin, ""), "tenant default\nidentity "+identity)
	}
	ask := func(fields ...string) (int, map[string]any) {
		t.Helper()
		r, err := http.NewRequest("POST", "http://127.0.0.1:"+b.Port+"/v1/users/me/mfa/totp", nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(fields); i += 2 {
			r.Header.Add(fields[i], fields[i+1])
		}
		resp, answer := b.send(r)
		return resp.StatusCode, answer
	}
	tenant := []string{"X-Tenant-ID", ceremony.TenantUUID("default").String()}
	b.Load(text("placeholder {http.vars.user}"))
	for name, tc := range map[string]struct {
		fields []string
		want   int
	}{
		"alice":                   {append(tenant, "X-Test-User", "Alice"), 201},
		"nobody":                  {tenant, 401},
		"another tenant":          {[]string{"X-Tenant-ID", "other", "X-Test-User", "alice"}, 403},
		"no id":                   {append(tenant, "X-Test-User", "a\tb"), 503},
		"another site's page":     {append(tenant, "X-Test-User", "alice", "Sec-Fetch-Site", "cross-site"), 403},
		"another origin":          {append(tenant, "X-Test-User", "alice", "Origin", "https://evil.example"), 403},
		"two credentials":         {append(tenant, "X-Test-User", "alice", "Authorization", "Basic YTpi", "Authorization", "Basic Yjpj"), 400},
		"an API key that is none": {append(tenant, "X-Test-User", "alice", "Authorization", "Bearer suk_none"), 401},
	} {
		if status, answer := ask(tc.fields...); status != tc.want || answer["text"] != nil {
			t.Errorf("%s: %d %v, want %d in JSON", name, status, answer, tc.want)
		}
	}

	secret := strings.Repeat("s", 32)
	t.Setenv("STEP_UP_TEST_JWT", secret)
	b.Load(text("jwt {\nbearer\nkey {env.STEP_UP_TEST_JWT}\nissuer any\naudience any\n}"))
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": "bob", "exp": time.Now().Add(time.Hour).Unix()}).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	for authorization, want := range map[string]int{
		"Bearer " + token: 201, "jwt " + token: 401, "Basic " + token: 401, "Bearer " + token + "x": 401, "jwt": 401, "jwt bearer " + token: 400,
	} {
		if status, answer := ask(append(tenant, "Authorization", authorization)...); status != want {
			t.Errorf("%.12s…: %d %v, want %d", authorization, status, answer, want)
		}
	}
}

// JSON is held to what the Caddyfile is, also across handlers.
func TestS20S21APIJSON(t *testing.T) {
	b := newBed(t)
	site := `{"handler":"step_up","tenant":"staff","identity":{"source":"placeholder","placeholder":"{http.auth.user.id}"},"rules":[{"action":"A","any":true,"grant":"one_time","accept":["api"]}]}`
	for name, tc := range map[string]struct{ handlers, want string }{
		"plain":                     {`{"handler":"step_up_api"}`, ""},
		"beside a site":             {site + `,{"handler":"step_up_api","tenant":"staff","identity":{"source":"placeholder","placeholder":"{http.vars.user}"}}`, ""},
		"users of nobody":           {`{"handler":"step_up_api","identity":{"source":"placeholder","placeholder":"{http.vars.user}"}}`, "whose users"},
		"forged users":              {`{"handler":"step_up_api","tenant":"staff","identity":{"source":"placeholder","placeholder":"{http.request.header.X-User}"}}`, "written by the client"},
		"misspelled":                {`{"handler":"step_up_api","tenants":"staff"}`, "tenants"},
		"no address":                {`{"handler":"step_up_api","base_url":"/mfa"}`, "base_url"},
		"reserved":                  {`{"handler":"step_up_api","session_token":{"action":"step_up.manage"}}`, "gateway's own"},
		"too long":                  {`{"handler":"step_up_api","session_token":{"ttl":"48h"}}`, "session_token"},
		"compares as the site":      {site + `,{"handler":"step_up_api","tenant":"staff","user_id":"folded"}`, ""},
		"compares otherwise":        {site + `,{"handler":"step_up_api","tenant":"staff","user_id":"exact"}`, "compare user ids differently"},
		"compares otherwise before": {`{"handler":"step_up_api","tenant":"staff","user_id":"exact"},` + site, "compare user ids differently"},
		"accepts what is not known": {strings.Replace(site, `"api"`, `"cookie"`, 1), "accept"},
		"another demand elsewhere":  {`{"handler":"subroute","routes":[{"match":[{"host":["a.test"]}],"handle":[` + site + `]},{"match":[{"host":["b.test"]}],"handle":[` + strings.Replace(site, `,"accept":["api"]`, "", 1) + `]}]}`, "another site of the same tenant"},
	} {
		text := `{"admin":{"disabled":true,"config":{"persist":false}},"apps":{"step_up":{"store":{"engine":"badger","dir":"` + b.Dir + `/data"},"key_file":"` + b.Dir + `/key"},` +
			`"http":{"servers":{"s":{"listen":["localhost:` + b.Port + `"],"routes":[{"handle":[` + tc.handlers + `]}]}}}}}`
		err := caddy.Load([]byte(text), true)
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: got %v, want a sentence with %q", name, err, tc.want)
		}
	}
}
