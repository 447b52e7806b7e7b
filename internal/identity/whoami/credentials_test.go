package whoami_test

import (
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/identity"
	"github.com/stepup-gateway/caddy-stepup/internal/identity/whoami"
)

// TestS21EachCredentialAlone: each credential alone must name the user whom all name
// together; a named cookie is one of its own.
func TestS21EachCredentialAlone(t *testing.T) {
	users := map[string]string{"a": "alice", "m": "mallory"}
	app := serve(t, func(w http.ResponseWriter, r *http.Request) {
		user := ""
		for _, name := range []string{"sid", "remember"} {
			if c, err := r.Cookie(name); err == nil && user == "" {
				user = users[c.Value]
			}
		}
		for _, name := range []string{"X-Key", "Authorization", "Private-Token"} {
			if user == "" {
				user = users[r.Header.Get(name)]
			}
		}
		fmt.Fprintf(w, `{"user":%q}`, user)
	})
	s := source(t, whoami.Options{
		URL: app.URL, Reader: whoami.Reader{JSON: pointer(t, "/user")},
		Headers: []string{"x-key"}, Cookies: []identity.Credential{{Kind: identity.Cookie, Name: "remember"}}, Forward: []string{"private-token"},
	})
	for _, c := range []struct {
		want   string // "" ambiguous
		fields []string
	}{
		{"alice", []string{"Cookie", "sid=a"}},
		{"alice", []string{"Cookie", "remember=a"}},
		{"alice", []string{"Cookie", "sid=a; remember=a; theme=x"}},
		{"", []string{"Cookie", "sid=a; remember=m"}},
		{"", []string{"Cookie", "remember=m; sid=a"}},
		{"", []string{"Cookie", "sid=a; remember=x"}},
		{"", []string{"Cookie", "sid=a; REMEMBER=m"}},
		{"alice", []string{"X-Key", "a"}},
		{"alice", []string{"X-Key", "a", "Authorization", "a", "Cookie", "sid=a"}},
		{"", []string{"X-Key", "m", "Cookie", "sid=a"}},
		{"", []string{"X-Key", "x", "Cookie", "sid=a"}},
		{"", []string{"X-Key", "a", "X-Key", "a"}},
		{"", []string{"X-Key", "a", "Authorization", "m"}},
		{"", []string{"Private-Token", "m", "Cookie", "sid=a"}},
		{"alice", []string{"Private-Token", "a", "Cookie", "sid=a"}},
	} {
		who, err := s.Identify(request(c.fields...), whoami.Asked{})
		if c.want == "" && (!errors.Is(err, identity.ErrAmbiguous) || who.User != "") || c.want != "" && (who.User != c.want || err != nil) {
			t.Errorf("%q: %+v, %v, want %q", c.fields, who, err, c.want)
		}
	}
}

// TestS21AnswerIsForThisRequest: no answer about one scheme, host or client counts
// for another.
func TestS21AnswerIsForThisRequest(t *testing.T) {
	app := serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"user":%q}`, r.Host+" "+r.Header.Get("X-Forwarded-Proto")+" "+r.UserAgent())
	})
	s := source(t, whoami.Options{URL: app.URL, Reader: whoami.Reader{JSON: pointer(t, "/user")}, Cache: time.Minute})
	for _, c := range []struct{ host, proto, agent string }{
		{"a", "https", "x"}, {"b", "https", "x"}, {"a", "http", "x"}, {"a", "https", "y"}, {"a", "https", "x"},
	} {
		who, err := s.Identify(request("Cookie", "sid=1", "User-Agent", c.agent), whoami.Asked{Host: c.host, Fields: http.Header{"X-Forwarded-Proto": {c.proto}}})
		if want := c.host + " " + c.proto + " " + c.agent; who.User != want || err != nil {
			t.Errorf("%+v: %q, %v", c, who.User, err)
		}
	}
	if n := len(app.questions()); n != 4 {
		t.Errorf("%d questions, want 4", n)
	}
}

// A session cookie whose value changes with every answer is told once; one that is
// renewed after signing in, or set again with its value, is not.
func TestS17RotatingSessionCookieIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(n int64, sent string) string // the cookie that the n-th answer sets
		want int32
	}{
		"every answer": {func(n int64, _ string) string { return fmt.Sprintf("sid=v%d; Path=/", n) }, 1},
		"never":        {func(int64, string) string { return "theme=x" }, 0},
		"the same":     {func(_ int64, sent string) string { return "sid=" + sent }, 0},
		"removed":      {func(int64, string) string { return "sid=x; Max-Age=0" }, 0},
		"now and then": {func(n int64, sent string) string {
			if n%3 != 0 {
				return fmt.Sprintf("sid=v%d", n)
			}
			return "sid=" + sent
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var n atomic.Int64
			var told, replaced atomic.Int32
			app := serve(t, func(w http.ResponseWriter, r *http.Request) {
				sent, _ := r.Cookie("sid")
				w.Header().Set("Set-Cookie", c.set(n.Add(1), sent.Value))
				fmt.Fprint(w, `{"user":"alice"}`)
			})
			var now clock
			s := source(t, whoami.Options{
				URL: app.URL, Reader: whoami.Reader{JSON: pointer(t, "/user")}, SessionCookie: "sid", Now: now.now,
				Rotates: func() { told.Add(1) }, Replaced: func() { replaced.Add(1) },
			})
			for i := range 10 {
				now.advance(10 * time.Second)
				if _, err := s.Identify(request("Cookie", fmt.Sprintf("sid=s%d", i/5)), whoami.Asked{}); err != nil {
					t.Fatal(err)
				}
			}
			if told.Load() != c.want || c.want > 0 && replaced.Load() != 10 {
				t.Errorf("told %d times and counted %d, want %d and 10", told.Load(), replaced.Load(), c.want)
			}
		})
	}
}
