package directory

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// hr is a server that has some users.
type hr struct {
	*httptest.Server
	asked atomic.Int32
	last  atomic.Pointer[http.Request]
}

func newHR(t *testing.T, serve http.HandlerFunc) *hr {
	h := new(hr)
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.asked.Add(1)
		h.last.Store(r)
		serve(w, r)
	}))
	t.Cleanup(h.Close)
	return h
}

// users answers 200 for alice and 404 for others.
func users(w http.ResponseWriter, r *http.Request) {
	if r.URL.EscapedPath() != "/users/alice" && r.URL.Query().Get("id") != "alice" {
		w.WriteHeader(http.StatusNotFound)
	}
}

func (h *hr) directory(t *testing.T, path string, now func() time.Time) *HTTP {
	t.Helper()
	d, err := NewHTTP(Options{URL: h.URL + path, Timeout: time.Second, Cache: time.Minute, Fields: http.Header{"Authorization": {"Bearer t"}, "Host": {"hr.example"}}}, now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func TestHTTP(t *testing.T) {
	h := newHR(t, users)
	for _, path := range []string{"/users/{user}", "/find?id={user}&all=1"} {
		d := h.directory(t, path, time.Now)
		wantFound(t, d, folded("Alice"), Answer{Found: true})
		wantFound(t, d, folded("alcie"), Answer{})
		for _, id := range []string{"a/b", "a b&id=alice", "ä?x", "alice#", "alice/..", "..", ".", "x/../alice", `..\alice`, "alice%2f"} {
			wantFound(t, d, exactly(id), Answer{})
		}
		r := h.last.Load()
		if r.Method != "GET" || r.Header.Get("Authorization") != "Bearer t" || r.Host != "hr.example" || len(r.Cookies()) > 0 {
			t.Errorf("%s %s %v", r.Method, r.Host, r.Header)
		}
	}
}

// What is neither 200 nor 404 is no answer: nobody is enrolled by it (S01).
func TestS01OtherAnswersAreErrors(t *testing.T) {
	elsewhere := newHR(t, func(w http.ResponseWriter, _ *http.Request) {})
	for name, serve := range map[string]http.HandlerFunc{
		"redirect to elsewhere": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"/users/zoe", http.StatusFound)
		},
		"moved": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/other", http.StatusPermanentRedirect)
		},
		"no content":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"unauthorized": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) },
		"gone":         func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) },
		"failure":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"hung up":      func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"late":         func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		h := newHR(t, serve)
		d := h.directory(t, "/users/{user}", time.Now)
		d.client.Close()
		for range 2 {
			if got, err := d.Lookup(t.Context(), exactly("zoe")); err == nil || got.Found || strings.Contains(err.Error(), "zoe") {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
		}
		if n := h.asked.Load(); n != 2 {
			t.Errorf("%s: asked %d times, want 2: a failure is no answer to remember", name, n)
		}
	}
	if n := elsewhere.asked.Load(); n != 0 {
		t.Errorf("a redirect was followed %d times", n)
	}
	closed := newHR(t, users)
	d := closed.directory(t, "/users/{user}", time.Now)
	closed.Close()
	if got, err := d.Lookup(t.Context(), exactly("alice")); err == nil {
		t.Error(got)
	}
}

func TestHTTPRemembers(t *testing.T) {
	h := newHR(t, users)
	now := time.Now()
	d := h.directory(t, "/users/{user}", func() time.Time { return now })
	ask := func(id string, asked int32) {
		t.Helper()
		if _, err := d.Lookup(t.Context(), exactly(id)); err != nil || h.asked.Load() != asked {
			t.Errorf("%s: asked %d times, want %d (%v)", id, h.asked.Load(), asked, err)
		}
	}
	ask("alice", 1)
	ask("zoe", 2)
	now = now.Add(4 * time.Second)
	ask("alice", 2)
	ask("zoe", 2)
	now = now.Add(time.Second)
	ask("alice", 2)
	ask("zoe", 3) // whoever is added is found soon
	now = now.Add(55 * time.Second)
	ask("alice", 4)
	for i := range maxCached + 10 {
		d.remember(fmt.Sprint(i), true)
	}
	if len(d.known) > maxCached {
		t.Errorf("%d answers are remembered", len(d.known))
	}
}

func TestHTTPOptions(t *testing.T) {
	for url, good := range map[string]bool{
		"https://hr.example.com/users/{user}": true, "http://127.0.0.1:8080/?q={user}": true,
		"": false, "/users/{user}": false, "ftp://x/{user}": false, "https://hr.example.com/users": false, "https://{user}.example.com/": false,
		"https://a/{user}/{user}": false, "https://u:p@hr.example.com/{user}": false, "https://hr.example.com/#{user}": false, "https://hr.example.com{user}": false, "https:///{user}": false,
	} {
		if err := (&Options{URL: url}).Check(); (err == nil) != good {
			t.Errorf("%s: %v", url, err)
		}
	}
	for name, values := range map[string][]string{"Transfer-Encoding": {"chunked"}, "a b": {"c"}, "X": {"a\nb"}, "Y": {"1", "2"}, "Range": {"bytes=0-"}} {
		if err := (&Options{URL: "https://a/{user}", Fields: http.Header{name: values}}).Check(); err == nil {
			t.Errorf("%s: %q is taken", name, values)
		}
	}
}
