package caddymodule

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// FuzzQuickPaths: whatever the pattern and the path, the quick answer is Caddy's,
// but where Caddy would clean the path first: it is compared as it stands too.
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
		want = want || wantErr == nil && cleanable(path) && asItStands(path, []string{strings.ToLower(pattern)})
		got, gotErr := quick(r)
		if got != want || (gotErr == nil) != (wantErr == nil) {
			t.Errorf("%q on %q: %v (%v), Caddy says %v (%v)", pattern, path, got, gotErr, want, wantErr)
		}
	})
}

// What Caddy's path matcher says of a path that it need not clean, the comparison
// without cleaning says too.
func TestS06AsItStandsIsCaddys(t *testing.T) {
	patterns := []string{"/admin/*", "/admin", "/", "/*", "*", "/a*", "*.php", "*/admin/*", "/a/*/b", "/*/a*", "/a[bc]/d", "/a?c", "*a*b*", "/a//b"}
	paths := []string{"/", "/admin", "/admin/", "/admin/x", "/ADMIN/X", "/a", "/abc", "/a/x/b", "/a/x/y/b", "/x.php", "/x/admin/y", "/ab/d", "/a/b", "/é"}
	for _, pattern := range patterns {
		m := caddyhttp.MatchPath{pattern}
		if err := m.Provision(caddy.Context{}); err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			r := caddyhttp.PrepareRequest(&http.Request{Method: "GET", URL: &url.URL{Path: path}, Header: http.Header{}}, caddy.NewReplacer(), nil, nil)
			want, err := m.MatchWithError(r)
			if got := asItStands(path, []string{strings.ToLower(pattern)}); err != nil || got != want {
				t.Errorf("%q on %q: %v, Caddy says %v, %v", pattern, path, got, want, err)
			}
		}
	}
}
