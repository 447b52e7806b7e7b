package gate_test

import (
	"crypto/tls"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/gate"
)

// What is too long, too many or too deep is refused, and never let through for
// want of a look.
func TestS19Limits(t *testing.T) {
	s := newSite(t)
	cookie := grantCookie(admin, s.token("alice", admin))
	form := "application/x-www-form-urlencoded"
	overrides := strings.Repeat("_method=a%25252525252525252562&", 100)
	for _, tt := range []struct {
		name, method, target, body string
		headers                    []string
		want                       int
	}{
		{"readings", "GET", tooMany, "", nil, 400},
		{"readings on another path", "GET", tooMany + "/x", "", []string{"Cookie", cookie}, 400},
		{"nested override", "GET", "/profile?" + overrides, "", []string{"Cookie", cookie}, 401},
		{"cookies before ours", "GET", "/admin", "", []string{"Cookie", strings.Repeat("a=b; ", 20_000) + cookie}, 401},
		{"ranges before HTML", "GET", "/admin", "", []string{"Accept", strings.Repeat("a/b;q=0.1,", 100) + "text/html"}, 401},
		{"user id", "GET", "/admin", "", []string{"X-User", strings.Repeat("a", 300)}, 503},
		{"form", "POST", "/transfer", strings.Repeat("a="+strings.Repeat("b", 50)+"&", 8000) + "_method=delete", []string{"Content-Type", form}, 400},
		{"fields of a form", "POST", "/transfer", strings.Repeat("a=b&", 100_000) + "_method=delete", []string{"Content-Type", form}, 401},
		{"form, one action", "POST", "/profile", strings.Repeat("a=b&", 100_000), []string{"Content-Type", form}, 401},
		{"address to return to", "GET", "/admin?" + strings.Repeat("a", 9000), "", navigation, 303},
	} {
		a := s.do(tt.method, tt.target, tt.body, tt.headers...)
		if a.StatusCode != tt.want || len(s.takeReached()) > 0 {
			t.Errorf("%s: %d, want %d: %.200s", tt.name, a.StatusCode, tt.want, a.body)
		}
	}
	s.expect(s.do("GET", "/admin", "", "Cookie", cookie), 200, true)
}

// TLS early data, as the server tells it.
func TestEarlyDataByTLS(t *testing.T) {
	s := newSite(t, func(o *gate.Options) { o.Rules[1] = gate.Rule{Demand: transfer, Match: below("/transfer")} })
	cookie := grantCookie(transfer, s.token("alice", transfer))
	for _, done := range []bool{false, true} {
		r := httptest.NewRequest("GET", "/transfer", nil)
		r.TLS = &tls.ConnectionState{HandshakeComplete: done}
		r.Header.Set("X-User", "alice")
		r.Header.Set("Cookie", cookie)
		rec := httptest.NewRecorder()
		if err := s.Gate.ServeHTTP(rec, r, s.application); err != nil {
			t.Fatal(err)
		}
		if want := map[bool]int{false: 425, true: 200}[done]; rec.Code != want {
			t.Errorf("handshake complete: %t, status %d", done, rec.Code)
		}
	}
}

// What is missing or half said is refused before it can protect nothing.
func TestNewRefuses(t *testing.T) {
	s := newSite(t)
	for name, edit := range map[string]func(*gate.Options){
		"tenant":        func(o *gate.Options) { o.Tenant = "" },
		"ceremony":      func(o *gate.Options) { o.Ceremony = nil },
		"identity":      func(o *gate.Options) { o.Identify = nil },
		"server":        func(o *gate.Options) { o.Server = nil },
		"portal":        func(o *gate.Options) { o.Portal = nil },
		"rules":         func(o *gate.Options) { o.Rules = nil },
		"prefix":        func(o *gate.Options) { o.Prefix = "/x" },
		"root":          func(o *gate.Options) { o.Prefix = "/" },
		"action":        func(o *gate.Options) { o.Rules[0].Demand.Action = grants.Action{} },
		"use":           func(o *gate.Options) { o.Rules[0].Demand.Use = 0 },
		"ttl":           func(o *gate.Options) { o.Rules[0].Demand.TTL = 0 },
		"long ttl":      func(o *gate.Options) { o.Rules[0].Demand.TTL = grants.MaxTTL + 1 },
		"except":        func(o *gate.Options) { o.Rules[2].Except = []string{"login"} },
		"except glob":   func(o *gate.Options) { o.Rules[2].Except = []string{"/a["} },
		"except all":    func(o *gate.Options) { o.Rules[2].Except = []string{"/*"} },
		"except a star": func(o *gate.Options) { o.Rules[2].Except = []string{"*"} },
	} {
		o := s.options()
		edit(&o)
		if _, err := gate.New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
