package coverage

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// FuzzQuickPaths: whatever the pattern and the path, the quick answer is Caddy's.
func FuzzQuickPaths(f *testing.F) {
	for _, pattern := range []string{"/admin/*", "/admin", "/", "/*", "/a*", "/a.b/", "/a/*/b", "*.php", "/A/*", "/a//b", "/a[b]", "/%61"} {
		for _, path := range []string{"/admin/", "/admin", "/admin/x", "/ADMIN/", "//admin/", "/a/../admin/", "/a", "/a.", "/a./b", "/a/.b", "/a.b/", "", "/é", "/a b", "x"} {
			f.Add(pattern, path)
		}
	}
	f.Fuzz(func(t *testing.T, pattern, path string) {
		m := caddyhttp.MatchPath{pattern}
		if err := m.Provision(caddy.Context{}); err != nil {
			return
		}
		raw, err := json.Marshal([]string{pattern})
		if err != nil {
			return
		}
		quick, err := newQuickPaths(raw, m.MatchWithError)
		if err != nil {
			t.Fatal(err)
		}
		r := caddyhttp.PrepareRequest(&http.Request{Method: "GET", URL: &url.URL{Path: path}, Header: http.Header{}}, caddy.NewReplacer(), nil, nil)
		want, wantErr := m.MatchWithError(r)
		got, gotErr := quick(r)
		if got != want || (gotErr == nil) != (wantErr == nil) {
			t.Errorf("%q on %q: %v (%v), Caddy says %v (%v)", pattern, path, got, gotErr, want, wantErr)
		}
	})
}
