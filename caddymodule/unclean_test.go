package caddymodule

import (
	"net/http"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/stepup-gateway/caddy-stepup/internal/coverage"
)

// TestS06MatchersCompareWhatAReadingSays: Caddy's matchers clean what they are
// given, so a reading that is not clean is asked for in further forms.
func TestS06MatchersCompareWhatAReadingSays(t *testing.T) {
	for _, tt := range []struct {
		pattern, path string
		want          bool
	}{
		{"/admin/*", "/admin/graphql/../..", true},
		{"/admin/*", "/admin/..", true},
		{"/admin/*", "/x/../y", false},
		{"/api/*/delete", "/api/../delete", true},
		{"/api/*/delete", "/api/./delete", true},
		{"/api/*/delete", "/api//delete", true},
		{"/api/*/delete", "/api/delete", false},
		{"/@scope%2fname", "/@scope%2fname", true},
		{"/@scope%2fname", "/@scope/name", false},
		{"/a%2fb/*", "/a%2Fb/..", true},
	} {
		m := caddyhttp.MatchPath{tt.pattern}
		if err := m.Provision(caddy.Context{}); err != nil {
			t.Fatal(err)
		}
		sent, err := http.NewRequest("GET", "http://h/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r := withReading(caddyhttp.PrepareRequest(sent, caddy.NewReplacer(), nil, nil), tt.path, "GET")
		got, err := m.MatchWithError(r)
		for _, one := range coverage.Unclean(r, withReading) {
			ok, failed := m.MatchWithError(one)
			got = got || ok
			if failed != nil {
				err = failed
			}
		}
		if got != tt.want || err != nil {
			t.Errorf("%s on %s: %t, %v", tt.pattern, tt.path, got, err)
		}
	}
}
