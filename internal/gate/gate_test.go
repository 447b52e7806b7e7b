package gate_test

import (
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/internal/gate"
)

// quiet drops what the test servers say of panics that the tests provoke.
var quiet = log.New(io.Discard, "", 0)

func (s *site) expect(a answer, status int, reached bool) {
	s.t.Helper()
	got := s.takeReached()
	if a.StatusCode != status || (len(got) > 0) != reached {
		s.t.Errorf("%s %s: status %d, reached the application: %t; want %d, %t\n%s",
			a.Request.Method, a.Request.URL, a.StatusCode, len(got) > 0, status, reached, a.body)
	}
	if !reached && a.StatusCode >= 300 && !strings.Contains(a.Header.Get("Cache-Control"), "no-store") {
		s.t.Errorf("%s %s: a refusal may be cached: %v", a.Request.Method, a.Request.URL, a.Header)
	}
}

// The rules decide who needs what.
func TestRules(t *testing.T) {
	s := newSite(t)
	a := grantCookie(admin, s.token("alice", admin))
	c := grantCookie(change, s.token("alice", change))
	for _, tt := range []struct {
		method, target, cookie string
		status                 int
	}{
		{"GET", "/", "", 200},
		{"GET", "/transfer", "", 200},
		{"GET", "/admin/users?x=1", "", 401},
		{"GET", "/admin/users?x=1", a, 200},
		{"GET", "/ADMIN/users", "", 401},
		{"HEAD", "/admin", "", 401},
		{"HEAD", "/admin", a, 200},
		{"GET", "/admin", c, 401},
		{"POST", "/profile", a, 401},
		{"POST", "/profile", c, 200},
		{"POST", "/transfer", c, 401},
		{"PROPFIND", "/profile", "", 401},
		{"POST", "/login", "", 200},
		{"POST", "/Login", "", 401},
		{"POST", "/login/", "", 401},
		{"POST", "/assets/a/b", "", 200},
		{"POST", "/assets/../profile", "", 401},
		{"POST", "/assets/%2e%2e/profile", "", 401},
		{"POST", "/x/../login", "", 401},
		{"OPTIONS", "/profile", "", 200},
	} {
		t.Run(tt.method+" "+tt.target, func(t *testing.T) {
			s.t = t
			s.expect(s.do(tt.method, tt.target, "", "Cookie", tt.cookie), tt.status, tt.status == 200)
		})
	}
}

// What the application is told, and what it is not.
func TestPassAnnounces(t *testing.T) {
	s := newSite(t)
	token := s.token("alice", admin)
	won := s.Clock.Now()
	s.Clock.Advance(3 * time.Minute)
	a := s.do("GET", "/admin", "", "Cookie", "app=1; "+grantCookie(admin, token)+"; "+browserCookie()+"; b=2")
	if a.StatusCode != 200 {
		t.Fatal(a.Status, a.body)
	}
	h := s.takeReached()[0].Header
	for name, want := range map[string]string{
		"Step-Up-User": "alice", "Step-Up-Action": "ADMIN", "Step-Up-Method": "totp",
		"Step-Up-Amr": "otp", "Step-Up-Auth-Time": strconv.FormatInt(won.Unix(), 10), "Cookie": "app=1; b=2",
	} {
		if got := h[name]; len(got) != 1 || got[0] != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if s.counted["ADMIN passed"] != 1 {
		t.Error(s.counted)
	}
	// Requests that need no grant are nobody's and carry no cookie of ours.
	s.do("GET", "/", "", "Cookie", "app=1; "+grantCookie(admin, token), "Step-Up-User", "root")
	h = s.takeReached()[0].Header
	if h.Get("Cookie") != "app=1" || h.Get("Step-Up-User") != "" {
		t.Error(h)
	}
}

// A grant holds for its lifetime and not a second longer, and never longer than
// the rule says today.
func TestGrantEnds(t *testing.T) {
	s := newSite(t)
	cookie := grantCookie(admin, s.token("alice", admin))
	s.Clock.Advance(10*time.Minute - time.Second)
	s.expect(s.do("GET", "/admin", "", "Cookie", cookie), 200, true)
	s.back.Store(s.newGate(func(o *gate.Options) { o.Rules[0].Demand.TTL = 9 * time.Minute }))
	s.expect(s.do("GET", "/admin", "", "Cookie", cookie), 401, false)
	s.back.Store(s.Gate)
	s.Clock.Advance(time.Second)
	s.expect(s.do("GET", "/admin", "", "Cookie", cookie), 401, false)
}

// TestS01 checks everything that can go wrong against the promise that nothing of
// it reaches the application.
func TestS01NothingPassesOnFailure(t *testing.T) {
	s := newSite(t)
	cookie := grantCookie(admin, s.token("alice", admin))
	for user, status := range map[string]struct{ program, person int }{
		nobodyWho: {401, 401}, "zero": {401, 401}, "failing": {503, 503}, "twofold": {400, 400},
		strings.Repeat("a", 257): {503, 503}, "b\xffb": {503, 503}, "mallory": {401, 303},
	} {
		s.expect(s.do("GET", "/admin", "", "X-User", user, "Cookie", cookie), status.program, false)
		s.expect(s.do("GET", "/admin", "", with("X-User", user, "Cookie", cookie)...), status.person, false)
	}
	if len(s.failures) == 0 {
		t.Error("nobody told the operator")
	}
	if status := s.raw("GET /admin HTTP/1.1\r\nHost: h\r\nX-User: panicking\r\nCookie: " + cookie + "\r\n\r\n"); status != 0 || len(s.takeReached()) > 0 {
		t.Error("a panic of the identity source ended with", status)
	}

	for name, rule := range map[string]func(*http.Request) (bool, error){
		"error": func(*http.Request) (bool, error) { return false, errors.New("matcher down") },
		"panic": func(*http.Request) (bool, error) { panic("matcher broken") },
	} {
		s.back.Store(s.newGate(func(o *gate.Options) { o.Rules[0].Match = rule }))
		want := 503
		if name == "panic" {
			want = 0
		}
		for _, target := range []string{"/admin", "/", "//"} {
			if status := s.raw("GET " + target + " HTTP/1.1\r\nHost: h\r\nX-User: alice\r\nCookie: " + cookie + "\r\n\r\n"); status != want || len(s.takeReached()) > 0 {
				t.Errorf("a matcher's %s on %s ended with %d", name, target, status)
			}
		}
	}

	s.back.Store(s.Gate)
	s.expect(s.do("GET", "/admin", "", "Cookie", cookie), 200, true)
	fresh := grantCookie(transfer, s.token("alice", transfer))
	if err := s.DB.Close(); err != nil {
		t.Fatal(err)
	}
	s.expect(s.do("POST", "/transfer", "", "Cookie", fresh), 503, false)
	s.expect(s.do("GET", "/admin", "", with()...), 503, false)
	s.expect(s.do("GET", "/admin", "", "Cookie", grantCookie(admin, "sug_"+strings.Repeat("A", 43))), 503, false)
}

// A grant is good for exactly what it was won for, and whatever is wrong gets one
// and the same answer.
func TestS02OneAnswerForEveryBadGrant(t *testing.T) {
	s := newSite(t)
	old := s.token("alice", admin)
	if n, err := s.Revoke(t.Context(), grants.Subject{Tenant: "test", User: "alice"}, "ADMIN"); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	good := s.token("alice", admin)
	spent := s.token("alice", transfer)
	s.expect(s.do("POST", "/transfer", "", "Cookie", grantCookie(transfer, spent)), 200, true)

	shape := func(a answer) string {
		var body map[string]any
		if err := json.Unmarshal([]byte(a.body), &body); err != nil {
			t.Fatal(err, a.body)
		}
		for _, own := range []string{"challenge_id", "verify_url", "api_url", "expires_at"} {
			if body[own] == nil {
				t.Errorf("no %s in %s", own, a.body)
			}
			delete(body, own)
		}
		text, _ := json.Marshal(body)
		a.Header.Del("Date")
		a.Header.Del("Content-Length")
		head, _ := json.Marshal(a.Header)
		return string(text) + string(head)
	}
	want := shape(s.do("GET", "/admin", ""))
	for name, headers := range map[string][]string{
		"garbage":         {"Cookie", grantCookie(admin, "garbage")},
		"empty":           {"Cookie", grantCookie(admin, "")},
		"unknown":         {"Cookie", grantCookie(admin, "sug_"+strings.Repeat("A", 43))},
		"revoked":         {"Cookie", grantCookie(admin, old)},
		"another user's":  {"Cookie", grantCookie(admin, good), "X-User", "bob"},
		"another action":  {"Cookie", grantCookie(admin, s.token("alice", change))},
		"one-time grant":  {"Cookie", grantCookie(admin, s.token("alice", transfer))},
		"one-time, spent": {"Cookie", grantCookie(admin, spent)},
		"plain name":      {"Cookie", strings.TrimPrefix(grantCookie(admin, good), "__Host-")},
		"in a header":     {"Step-Up-Grant", good, "X-Grant", good},
	} {
		a := s.do("GET", "/admin", "", headers...)
		if a.StatusCode != 401 || len(s.takeReached()) > 0 {
			t.Errorf("%s: %s", name, a.Status)
		}
		if got := shape(a); got != want {
			t.Errorf("%s is answered\n%s\nwant\n%s", name, got, want)
		}
	}
	// A grant for another session.
	who := s.people["alice"].Principal
	who.Session = [32]byte{1}
	bound := s.Pass(&ceremonytest.Person{Principal: who, Key: s.people["alice"].Key}, s.Begin(who, admin))
	s.expect(s.do("GET", "/admin", "", "Cookie", grantCookie(admin, bound.Token.Text()), "X-Session", "two"), 401, false)
	// And the good one is good.
	s.expect(s.do("GET", "/admin", "", "Cookie", grantCookie(admin, good)), 200, true)
	causes := map[string]bool{}
	for _, e := range s.audited {
		causes[e.Cause] = true
	}
	if len(causes) < 3 {
		t.Errorf("the audit log tells only %v", causes)
	}
}

// Another tenant's source is a failure of the configuration, not a pass.
func TestS02Tenant(t *testing.T) {
	s := newSite(t, func(o *gate.Options) {
		o.Identify = func(*http.Request, gate.Sent) (ceremony.Principal, error) {
			return ceremony.Principal{Subject: grants.Subject{Tenant: "other", User: "alice"}}, nil
		}
	})
	s.expect(s.do("GET", "/admin", "", "Cookie", grantCookie(admin, s.token("alice", admin))), 503, false)
}
