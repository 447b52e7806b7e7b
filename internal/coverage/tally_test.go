package coverage

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// What names one object, a person or a secret is not kept, nor what could write
// to a terminal or a configuration.
func TestCollapse(t *testing.T) {
	for path, want := range map[string]string{
		"":                        "/",
		"/":                       "/",
		"/api/users":              "/api/users",
		"/api/users/":             "/api/users/",
		"/api/v2/users/17/edit":   "/api/v2/users/{id}/edit",
		"/o/ord-2024-00017":       "/o/{id}",
		"/wp-admin/post.php":      "/wp-admin/post.php",
		"/oauth2/token":           "/oauth2/token",
		"/add/feed":               "/add/feed",
		"/facade":                 "/facade",
		"/u/alice@example.org":    "/u/{id}",
		"/call/+4915112345678":    "/call/{id}",
		"/c/9b2f6c1e0d":           "/c/{id}",
		"/c/deadbeefdeadbeef":     "/c/{id}",
		"/p/AbCdEfGhIjKlMnOpQrSt": "/p/AbCdEfGhIjKlMnOpQrSt",
		"/t/sug_k3Jd8Slq0PzXvB7w": "/t/{id}",
		"/d/9f0e8c6a-5b1d-4b8e-9c55-0d7f1f6a2b3c":     "/d/{id}",
		"/x/" + strings.Repeat("y", 33):               "/x/{id}",
		"/a b/\x1b[2J/{http.request.host}/\"/é/x;y/*": "/{id}/{id}/{id}/{id}/{id}/{id}/{id}",
		"/" + strings.Repeat("a/", 5000):              "/a/a/a/a/a/a/a/a/a/a/...",
		"/secret#x":                                   "/{id}",
	} {
		if got := Collapse(path); got != want {
			t.Errorf("%q gave %q, want %q", path, got, want)
		}
	}
}

// TestS19CoverageIsBounded: anyone who sends ever new paths fills neither memory nor
// drives out what is really used.
func TestS19CoverageIsBounded(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	c := NewTally(now)
	used := []string{"/transfer", "/settings/mail", "/logout"}
	sent := 0
	count := func(path string) {
		c.Uncovered("POST", path, false, now)
		sent++
	}
	word := func() string {
		var b strings.Builder
		for range 12 {
			b.WriteByte('g' + byte(rand.IntN(20)))
		}
		return b.String()
	}
	for i := range 10_000 {
		if i%100 == 0 {
			for _, p := range used {
				count(p)
			}
		}
		count("/" + word() + "/" + word())
	}
	listed, _, unlisted := c.List()
	if len(listed) != 500 {
		t.Errorf("%d patterns are kept, want 500", len(listed))
	}
	total := int(unlisted)
	for _, s := range listed {
		total += int(s.Count)
	}
	if total != sent {
		t.Errorf("%d requests are accounted for, want %d", total, sent)
	}
	for i, p := range []string{"/logout", "/settings/mail", "/transfer"} {
		if listed[i].Path != p || listed[i].Count < 90 {
			t.Errorf("place %d is %v, want %s", i, listed[i], p)
		}
	}
}
