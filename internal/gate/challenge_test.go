package gate_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/internal/cookies"
	"github.com/stepup-gateway/caddy-stepup/internal/gate"
)

// challengeOf finds the challenge that an answer sent the browser to, as the
// portal will.
func (s *site) challengeOf(a answer, user, cookie string) ceremony.Description {
	s.t.Helper()
	r := &http.Request{Header: http.Header{"Cookie": {cookie}}}
	for _, c := range a.Cookies() {
		r.Header.Set("Cookie", c.Name+"="+c.Value)
	}
	p := ceremony.Principal{Site: a.site(), Subject: grants.Subject{Tenant: ceremonytest.Tenant, User: user}}
	p.Browser, _ = cookies.BrowserID(r, true)
	_, id, ok := strings.Cut(a.Header.Get("Location"), "/.step-up/challenge/")
	if !ok {
		s.t.Fatalf("status %d, no challenge in %v\n%s", a.StatusCode, a.Header, a.body)
	}
	d, err := s.Describe(s.t.Context(), p, id)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

// A person is sent to the challenge, and will be sent back from there.
func TestChallengeForPeople(t *testing.T) {
	s := newSite(t)
	a := s.do("GET", "/admin/users?page=2", "", with("Host", "App.Test:443")...)
	s.expect(a, 303, false)
	d := s.challengeOf(a, "alice", "")
	if d.ReturnTo != "/admin/users?page=2" || d.Site != "https://app.test" || d.Label != "Administration" || d.Demand != admin {
		t.Errorf("%+v", d)
	}
	c := a.Cookies()
	if len(c) != 1 || !strings.HasPrefix(c[0].Name, "__Host-") || !c[0].Secure || !c[0].HttpOnly || c[0].SameSite != http.SameSiteLaxMode {
		t.Errorf("cookies %v", c)
	}
	if a.Header.Get("Vary") == "" || a.Header.Get("Content-Type") != "" && a.body == "" {
		t.Error(a.Header)
	}

	// The same browser is sent to the same challenge, another one is not.
	cookie := c[0].Name + "=" + c[0].Value
	again := s.do("GET", "/admin/users?page=2", "", with("Host", "app.test", "Cookie", cookie)...)
	if again.Header.Get("Location") != a.Header.Get("Location") || len(again.Cookies()) != 0 {
		t.Error(again.Header)
	}
	other := s.do("GET", "/admin/users?page=2", "", with("Host", "app.test")...)
	if other.Header.Get("Location") == a.Header.Get("Location") {
		t.Error("two browsers share a challenge")
	}
	// HEAD is GET.
	s.expect(s.do("HEAD", "/admin", "", navigation...), 303, false)
	// Old browsers tell by Accept.
	s.expect(s.do("GET", "/admin", "", "Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), 303, false)
}

// A program is told which means of proof would do: those of the rule and no others.
func TestChallengeTellsTheMethods(t *testing.T) {
	for methods, want := range map[grants.Methods]string{
		grants.Passkey:               `"methods":["passkey"]`,
		grants.Passkey | grants.TOTP: `"methods":["passkey","totp"]`,
		0:                            `"methods":["passkey","totp","sms","email","recovery_code"]`,
	} {
		s := newSite(t, func(o *gate.Options) { o.Rules[0].Demand.Methods = methods })
		a := s.do("GET", "/admin", "", "Accept", "application/json")
		s.expect(a, 401, false)
		if !strings.Contains(strings.ReplaceAll(a.body, `": [`, `":[`), want) {
			t.Errorf("%s: %s", methods, a.body)
		}
	}
}

// A program is told in RFC 9470 and RFC 9457.
func TestChallengeForPrograms(t *testing.T) {
	s := newSite(t, func(o *gate.Options) { o.Rules[0].Demand.Methods = grants.TOTP })
	for _, headers := range [][]string{
		{"Accept", "application/json"},
		{"Accept", "*/*"},
		{},
		{"Accept", "text/html", "X-Requested-With", "XMLHttpRequest"},
		{"Accept", "text/html", "Turbo-Frame", "main"},
		{"Accept", "text/html", "X-Up-Version", "3.7.3"},
		{"Accept", "text/html", "HX-Request", "true"},
		{"Accept", "text/html", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "empty"},
		{"Sec-Fetch-Mode", "cors", "Accept", "text/html"},
		{"Sec-Fetch-Mode", "websocket", "Upgrade", "websocket", "Connection", "Upgrade"},
		{"Accept", "text/html;q=0.5, application/json"},
		{"Accept", "text/html;q=0"},
	} {
		a := s.do("GET", "/admin", "", headers...)
		s.expect(a, 401, false)
		if want := `Bearer error="insufficient_user_authentication", error_description="A step-up for this action is required", acr_values="ADMIN", max_age=600`; a.Header.Get("WWW-Authenticate") != want {
			t.Errorf("%v: %s", headers, a.Header.Get("WWW-Authenticate"))
		}
		var body struct {
			Status                                                           int
			Code                                                             string
			ActionType, GrantType, ChallengeID, VerifyURL, APIURL, ExpiresAt string
			MaxAge                                                           int
			Methods                                                          []string
		}
		text := strings.NewReplacer(`"action_type"`, `"ActionType"`, `"grant_type"`, `"GrantType"`, `"challenge_id"`, `"ChallengeID"`, `"verify_url"`, `"VerifyURL"`,
			`"api_url"`, `"APIURL"`, `"max_age"`, `"MaxAge"`, `"expires_at"`, `"ExpiresAt"`).Replace(a.body)
		if err := json.Unmarshal([]byte(text), &body); err != nil {
			t.Fatal(err)
		}
		if body.Status != 401 || body.Code != "insufficient_user_authentication" || body.ActionType != "ADMIN" || body.GrantType != "TIME_BASED" ||
			body.MaxAge != 600 || fmt.Sprint(body.Methods) != "[totp]" || body.ExpiresAt != "2027-01-15T12:05:05Z" ||
			body.VerifyURL != "/.step-up/challenge/"+body.ChallengeID || body.APIURL != "/.step-up/api/challenges/"+body.ChallengeID {
			t.Errorf("%v: %s", headers, a.body)
		}
		// Only what keeps cookies is given one; a program's challenge is its
		// subject's.
		browser := len(a.Cookies()) > 0
		if wantBrowser := strings.Contains(fmt.Sprint(headers), "Sec-Fetch") || strings.Contains(fmt.Sprint(headers), "X-Requested"); browser != wantBrowser {
			t.Errorf("%v: cookies %v", headers, a.Cookies())
		}
		if !browser {
			p := ceremony.Principal{Site: a.site(), Subject: grants.Subject{Tenant: ceremonytest.Tenant, User: "alice"}}
			if d, err := s.Describe(t.Context(), p, body.ChallengeID); err != nil || d.ReturnTo != "" {
				t.Error(d, err)
			}
		}
	}
}

// Inside a frame nothing is asked: one link leads out of it, to a challenge that
// returns to the page around the frame.
func TestChallengeInFrame(t *testing.T) {
	s := newSite(t)
	for _, dest := range []string{"iframe", "frame", "embed", "object"} {
		a := s.do("GET", "/admin/frame", "", "Host", "app.test", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", dest, "Sec-Fetch-Site", "same-origin",
			"Referer", "https://app.test/page?x=1#f")
		s.expect(a, 403, false)
		_, rest, ok := strings.Cut(a.body, `target="_top"`)
		link, _, _ := strings.Cut(a.body, `" target="_top"`)
		link = link[strings.LastIndex(link, `"`)+1:]
		if !ok || strings.Contains(rest, "_top") || strings.Contains(a.body, "<form") {
			t.Error(a.body)
		}
		a.Header.Set("Location", link)
		if d := s.challengeOf(a, "alice", ""); d.ReturnTo != "/page?x=1" {
			t.Errorf("returns to %q", d.ReturnTo)
		}
	}
}

// Another site's form never leads to a challenge: who proves for it would lend it
// the application's cookies.
func TestS10CrossSiteFormIsRefused(t *testing.T) {
	s := newSite(t)
	for _, headers := range [][]string{
		{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Dest", "document"},
		{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Site", "same-site", "Sec-Fetch-Dest", "document"},
		{"Accept", "text/html", "Origin", "https://evil.example"},
		{"Accept", "text/html", "Origin", "null"},
		{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Dest", "iframe"},
	} {
		before := len(s.Events())
		s.expect(s.do("POST", "/transfer", "a=1", headers...), 403, false)
		if n := len(s.Events()); n != before {
			t.Error("a challenge was begun")
		}
	}
	s.expect(s.do("POST", "/transfer", "a=1", navigation...), 303, false)
	s.expect(s.do("GET", "/admin", "", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Dest", "document"), 303, false)
}

// Wherever a browser is sent afterwards lies on the site.
func TestS09ReturnTargets(t *testing.T) {
	// Without held requests, so that a form's page is returned to.
	s := newSite(t, func(o *gate.Options) {
		o.Rules, o.MaxHeld = []gate.Rule{{Demand: admin, Label: "Administration"}}, -1
	})
	for _, tt := range []struct{ method, target, referer, want string }{
		{"GET", "/a?b=c", "", "/a?b=c"},
		{"GET", "/a?b=//evil.example", "https://app.test/x", "/a?b=//evil.example"},
		{"GET", "//evil.example/", "", "/"},
		{"GET", "///evil.example/", "", "/"},
		{"GET", `/\evil.example/`, "", "/"},
		{"GET", "http://evil.example/admin", "", "/"},
		{"GET", "/%09/evil.example", "", "/%09/evil.example"},
		{"POST", "/a", "", "/"},
		{"POST", "/a", "https://app.test/form?x=1#y", "/form?x=1"},
		{"POST", "/a", "https://APP.test/form", "/form"},
		{"POST", "/a", "https://app.test", "/"},
		{"POST", "/a", "https://app.test//evil.example/", "/"},
		{"POST", "/a", `https://app.test/\evil.example/`, "/%5Cevil.example/"},
		{"POST", "/a", "https://app.test.evil.example/form", "/"},
		{"POST", "/a", "https://app.test@evil.example/form", "/"},
		{"POST", "/a", "https://user@app.test/form", "/"},
		{"POST", "/a", "http://app.test/form", "/"},
		{"POST", "/a", "https://app.test:8443/form", "/"},
		{"POST", "/a", "//app.test/form", "/"},
		{"POST", "/a", "javascript:alert(1)", "/"},
		{"POST", "/a", "https://app.test/" + strings.Repeat("a", ceremony.MaxReturnTo), "/"},
		{"GET", "/" + strings.Repeat("a", ceremony.MaxReturnTo), "", "/"},
	} {
		r := httptest.NewRequest(tt.method, "https://app.test/", nil)
		r.RequestURI = tt.target
		if u, err := r.URL.Parse(tt.target); err == nil && u.Host == "app.test" {
			r.URL = u
		}
		for i := 0; i < len(navigation); i += 2 {
			r.Header.Set(navigation[i], navigation[i+1])
		}
		r.Header.Set("X-User", "alice")
		if tt.referer != "" {
			r.Header.Set("Referer", tt.referer)
		}
		rec := httptest.NewRecorder()
		if err := s.Gate.ServeHTTP(rec, r, s.application); err != nil {
			t.Fatal(err)
		}
		if d := s.challengeOf(answer{rec.Result(), rec.Body.String()}, "alice", ""); d.ReturnTo != tt.want || d.Site != "https://app.test" {
			t.Errorf("%s %.40s from %.60s: returns to %.60q on %s, want %q", tt.method, tt.target, tt.referer, d.ReturnTo, d.Site, tt.want)
		}
	}
	s.takeReached()
}

// Plain HTTP is refused where the operator did not allow it, and there cookies go
// by their other names.
func TestS12PlainHTTP(t *testing.T) {
	s := newSite(t)
	token := s.token("alice", admin)
	cookie := grantCookie(admin, token)
	s.expect(s.do("GET", "/admin", "", "X-Plain", "1", "Cookie", cookie), 403, false)
	a := s.do("GET", "/admin", "", with("X-Plain", "1", "Cookie", cookie)...)
	s.expect(a, 403, false)
	if len(a.Cookies()) > 0 || !strings.Contains(a.body, "secure connection") {
		t.Error(a.Cookies(), a.Header)
	}
	s.expect(s.do("GET", "/.step-up/", "", "X-Plain", "1"), 403, false)
	s.expect(s.do("GET", "/", "", "X-Plain", "1"), 200, true)

	s.back.Store(s.newGate(func(o *gate.Options) { o.AllowPlainHTTP = true }))
	s.expect(s.do("GET", "/admin", "", "X-Plain", "1", "Cookie", cookie), 401, false)
	s.expect(s.do("GET", "/admin", "", "X-Plain", "1", "Cookie", strings.TrimPrefix(cookie, "__Host-")), 200, true)
	a = s.do("GET", "/admin", "", with("X-Plain", "1")...)
	s.expect(a, 303, false)
	if c := a.Cookies(); len(c) != 1 || c[0].Secure || strings.HasPrefix(c[0].Name, "__Host-") {
		t.Error(c)
	}
}

// Whether somebody is unknown, not enrolled, enrolled or locked shows in nothing
// that the gate says.
func TestS18SubjectsLookAlike(t *testing.T) {
	s := newSite(t)
	s.token("alice", admin)
	locked := s.EnrollAs(ceremony.Principal{Site: ceremonytest.Site, Subject: grants.Subject{Tenant: ceremonytest.Tenant, User: "locked"}, Browser: [32]byte{9}}, ceremony.Leave{})
	c := s.Begin(locked.Principal, admin)
	for range 10 {
		_, _ = s.Verify(t.Context(), locked.Principal, c.ID, ceremony.Answer{Method: grants.TOTP, Code: s.WrongCode(locked.Key)})
		s.Clock.Advance(time.Hour)
	}
	shape := func(user string, headers ...string) string {
		a := s.do("GET", "/admin", "", append(headers, "X-User", user)...)
		for _, h := range []string{"Date", "Location", "Set-Cookie", "Content-Length"} {
			if a.Header.Get(h) != "" {
				a.Header.Set(h, "x")
			}
		}
		var body map[string]any
		_ = json.Unmarshal([]byte(a.body), &body)
		for _, own := range []string{"challenge_id", "verify_url", "api_url"} {
			delete(body, own)
		}
		return fmt.Sprint(a.StatusCode, a.Header, body)
	}
	for _, headers := range [][]string{nil, navigation} {
		want := shape("alice", headers...)
		for _, user := range []string{"unknown", "locked"} {
			if got := shape(user, headers...); got != want {
				t.Errorf("%s is answered %s, want %s", user, got, want)
			}
		}
	}
}

// Two credentials are one too many.
func TestS21TwoCredentials(t *testing.T) {
	s := newSite(t)
	cookie := grantCookie(admin, s.token("alice", admin))
	for target, want := range map[string]int{"/admin": 400, "/.step-up/": 400, "/": 200} {
		status := s.raw("GET " + target + " HTTP/1.1\r\nHost: h\r\nX-User: alice\r\nCookie: " + cookie +
			"\r\nAuthorization: Basic YTph\r\nAuthorization: Basic Yjpi\r\n\r\n")
		if status != want || len(s.takeReached()) > 0 != (want == 200) {
			t.Errorf("%s: %d", target, status)
		}
	}
	s.expect(s.do("GET", "/admin", "", "X-User", "twofold", "Cookie", cookie), 400, false)
	s.expect(s.do("GET", "/admin", "", "Authorization", "Basic YTph", "Cookie", cookie), 200, true)
}
