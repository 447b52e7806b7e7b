package gate_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/gate"
	"github.com/stepup-gateway/caddy-stepup/internal/readings"
)

// An upload that is larger than what is looked through of a stranger's body goes
// on with the grant for what it is; one too large for telling needs the grants for
// all that it may be.
func TestLargeUploads(t *testing.T) {
	s := newSite(t, func(o *gate.Options) {
		o.Rules = []gate.Rule{
			{Demand: pay, Match: below("/up"), Fields: []readings.Field{form("op", "pay")}},
			{Demand: admin, Match: methodAnd("DELETE", below("/up")), UsesMethod: true},
			{Demand: change, Unsafe: true, Except: []string{"/login"}},
		}
	})
	got := ""
	// In process: over TCP a server that refuses hangs up on who is still sending.
	post := func(target, body, cookie, user string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("POST", target, strings.NewReader(body))
		r.Header.Set("Content-Type", "multipart/form-data; boundary=B")
		r.Header.Set("Cookie", cookie)
		r.Header.Set("X-User", user)
		rec := httptest.NewRecorder()
		got = ""
		if err := s.Gate.ServeHTTP(rec, r, func(w http.ResponseWriter, r *http.Request) error {
			b, _ := io.ReadAll(r.Body)
			got = string(b)
			return s.application(w, r)
		}); err != nil {
			t.Error(err)
		}
		return rec
	}
	upload := func(size int, field, value string) string {
		return "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\n" + strings.Repeat("x", size) +
			"\r\n--B\r\nContent-Disposition: form-data; name=\"" + field + "\"\r\n\r\n" + value + "\r\n--B--\r\n"
	}
	changes, admins := grantCookie(change, s.token("alice", change)), grantCookie(admin, s.token("alice", admin))
	pays := func() string { return grantCookie(pay, s.token("alice", pay)) }
	for _, tt := range []struct {
		name, body, cookie string
		asks               string // empty: passes
	}{
		{"no grant", upload(300_000, "note", "hello"), "", "CHANGE"},
		{"its grant", upload(300_000, "note", "hello"), changes, ""},
		{"another field at the end", upload(300_000, "op", "pay"), changes, "PAY"},
		{"and its grant", upload(300_000, "op", "pay"), pays(), ""},
		{"another method at the end", upload(300_000, "_method", "delete"), changes, "ambiguous"},
		{"too large, no grant", upload(2<<20, "note", "hello"), "", "ADMIN"}, // time-based ones first
		{"too large, one grant", upload(2<<20, "note", "hello"), changes, "ADMIN"},
		{"too large, two grants", upload(2<<20, "note", "hello"), changes + "; " + pays(), "ADMIN"},
		{"too large, another two grants", upload(2<<20, "note", "hello"), changes + "; " + admins, "PAY"},
		{"too large, other two", upload(2<<20, "op", "pay"), admins + "; " + pays(), "CHANGE"},
		{"too large, all grants", upload(2<<20, "note", "hello"), changes + "; " + admins + "; " + pays(), ""},
	} {
		a := post("/up", tt.body, tt.cookie, "alice")
		_, asks, _ := strings.Cut(a.Header().Get("WWW-Authenticate"), `acr_values="`)
		asks, _, _ = strings.Cut(asks, `"`)
		if a.Code == 400 {
			asks = "ambiguous"
		}
		if asks != tt.asks || (got == tt.body) != (tt.asks == "") || len(s.takeReached()) > 0 != (tt.asks == "") {
			t.Errorf("%s: %d, asks for %q, want %q; %d bytes arrived", tt.name, a.Code, asks, tt.asks, len(got))
		}
	}
	// What one request used up is gone; what a refused one had is not.
	once, body := pays(), upload(2<<20, "note", "hello")
	for _, step := range []struct {
		cookie string
		want   int
	}{{once, 401}, {once + "; " + changes + "; " + admins, 200}, {once + "; " + changes + "; " + admins, 401}} {
		if a := post("/up", body, step.cookie, "alice"); a.Code != step.want {
			t.Errorf("%d, want %d", a.Code, step.want)
		}
	}
	if a := post("/up", body, "", nobodyWho); a.Code != 401 || got != "" {
		t.Error("nobody:", a.Code)
	}
	if a := post("/login", body, "", nobodyWho); a.Code != 200 || got != body {
		t.Error("excepted:", a.Code)
	}
}
