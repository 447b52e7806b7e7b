package identity_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/identity"
)

// TestS21Places: a credential in a well-known or named place is found in every
// spelling that some application reads, unless it is vouched for.
func TestS21Places(t *testing.T) {
	authorization := identity.Credential{Kind: identity.Header, Name: "Authorization"}
	session := identity.Credential{Kind: identity.Cookie, Name: "JSESSIONID"}
	p := identity.NewPlaces([]identity.Credential{{Kind: identity.Cookie, Name: "wp_*"}, {Kind: identity.Query, Name: "sig"}, {Kind: identity.Header, Name: "X-Mine"}},
		[]identity.Credential{{Kind: identity.Header, Name: "x-api-key"}, {Kind: identity.Query, Name: "api_key"}})
	hex40 := strings.Repeat("0123456789abcdef", 3)[:40]
	for _, c := range []struct {
		target, name, value string
		vouched             []identity.Credential
		found               bool
	}{
		{"/", "Authorization", "Basic x", nil, true},
		{"/", "Authorization", "Basic x", []identity.Credential{authorization}, false},
		{"/", "Authorization", "Basic x", []identity.Credential{session}, true},
		{"/", "Authorization", " ", nil, false},
		{"/", "X_Redmine_API_Key", "x", nil, true},
		{"/", "x.auth.token", "x", nil, true},
		{"/", "X-Mine", "x", nil, true},
		{"/", "X-Api-Key", "x", nil, false}, // ignored
		{"/", "X-Csrf-Token", "x", nil, false},
		{"/", "Remote-User", "x", nil, false},
		{"/", "Cookie", "a=b; WP_session=1", nil, true},
		{"/", "Cookie", "a=b; wp%5Fsession=1", nil, true},
		{"/", "Cookie", "a=b; wp_session=", nil, false},
		{"/", "Cookie", "wp_session=1", []identity.Credential{{Kind: identity.Cookie, Name: identity.Any}}, false},
		{"/?access_token=x", "", "", nil, true},
		{"/?Access-Token=x", "", "", nil, true},
		{"/?access%255Ftoken=x", "", "", nil, true},
		{"/?+access_token=x", "", "", nil, true},
		{"/?access_token%00y=x", "", "", nil, true},
		{"/?access_token[0]=x", "", "", nil, true},
		{"/?a=1;access_token=x", "", "", nil, true},
		{"/?a=1?access_token=x", "", "", nil, true},
		{"/?access_token=", "", "", nil, false},
		{"/?api_key=x", "", "", nil, false}, // ignored
		{"/?sig=x", "", "", nil, true},
		{"/?key=name", "", "", nil, false},
		{"/?key=" + hex40, "", "", nil, true},
		{"/?key=uploads/2026/" + hex40 + ".png", "", "", nil, false},
		{"/?code=" + hex40 + "&state=" + hex40 + "&token=" + hex40, "", "", nil, false},
		{"/p;jsessionid=x", "", "", nil, true},
		{"/p%3Bjsessionid=x/y", "", "", nil, true},
		{"/p;v=1/q;JSessionID=x", "", "", nil, true},
		{"/p;jsessionid=x", "Cookie", "JSESSIONID=x", []identity.Credential{session}, false},
		{"/p;jsessionid=y", "Cookie", "JSESSIONID=x", []identity.Credential{session}, true},
		{"/p;jsessionid=x", "Cookie", "JSESSIONID=x", nil, true},
		{"http://alice:x@example.com/", "", "", nil, true},
	} {
		r := httptest.NewRequest("GET", c.target, nil)
		if c.name != "" {
			r.Header = http.Header{c.name: {c.value}}
		}
		err := p.Check(r, c.vouched)
		if (err != nil) != c.found || err != nil && !errors.Is(err, identity.ErrAmbiguous) {
			t.Errorf("%s %s %q: %v, want found %v", c.target, c.name, c.value, err, c.found)
		}
		if c.name == "" && (p.Check(httptest.NewRequest("GET", "/", nil), c.vouched, r.RequestURI) != nil) != c.found && !strings.Contains(c.target, "@") {
			t.Errorf("%s as the original target: not the same", c.target)
		}
	}
}

// What honest requests have costs no allocation.
func TestPlacesDoNotAllocate(t *testing.T) {
	p := identity.NewPlaces(nil, nil)
	r := httptest.NewRequest("GET", "/app/page?sort=name&page=2", nil)
	for name, value := range map[string]string{
		"Accept": "*/*", "Accept-Encoding": "gzip", "Accept-Language": "de", "Cache-Control": "no-cache", "Cookie": "sid=1", "Referer": "x",
		"Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin", "Upgrade-Insecure-Requests": "1", "User-Agent": "x",
		"X-Requested-With": "XMLHttpRequest",
	} {
		r.Header.Set(name, value)
	}
	if n := testing.AllocsPerRun(100, func() {
		if err := p.Check(r, nil); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestS19HostileTargetsAreBounded: names that are encoded often, and many of them.
func TestS19HostileTargetsAreBounded(t *testing.T) {
	p := identity.NewPlaces(nil, nil)
	r := httptest.NewRequest("GET", "/", nil)
	r.URL.RawQuery = strings.Repeat("%2525252525252525a&", 20_000)
	r.RequestURI = "/" + strings.Repeat(";%25253b", 20_000) + "?" + r.URL.RawQuery
	if err := p.Check(r, nil); err != nil {
		t.Error(err)
	}
}

func BenchmarkPlaces(b *testing.B) {
	p := identity.NewPlaces(nil, nil)
	r := httptest.NewRequest("GET", "/app/page?sort=name&page=2", nil)
	for _, name := range []string{"Accept", "Accept-Encoding", "Accept-Language", "Cookie", "Referer", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-Fetch-User", "Upgrade-Insecure-Requests", "User-Agent", "Priority", "Te"} {
		r.Header.Set(name, "x")
	}
	for b.Loop() {
		if err := p.Check(r, nil); err != nil {
			b.Fatal(err)
		}
	}
}
