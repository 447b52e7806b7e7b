package gate

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/inbound"
	"github.com/stepup-gateway/caddy-stepup/internal/readings"
)

// Whatever a page says it is, the target taken from it stays on the site.
func FuzzReferer(f *testing.F) {
	for _, s := range []string{
		"https://app.test/a?b#c", "https://app.test//evil", "https://app.test/\\evil", "https://app.test@evil/", "https://APP.test", "https://app.test/%0a", "//app.test",
		"https://app.test/%2f/evil", "https://app.test/?\r\nX: y", "https:app.test/x", "https://app.test/\u2028",
	} {
		f.Add(s)
	}
	home, _ := url.Parse("https://app.test/.step-up/challenge/x")
	f.Fuzz(func(t *testing.T, referer string) {
		target := refererOn("https://app.test", []string{referer})
		if target == "" {
			return
		}
		u, err := home.Parse(target)
		if err != nil || u.Scheme != "https" || u.Host != "app.test" || u.User != nil {
			t.Errorf("%q gives %q, which leads to %v (%v)", referer, target, u, err)
		}
		if target[0] != '/' || strings.HasPrefix(target, "//") || strings.ContainsAny(target, "\r\n\t \x00") || strings.HasPrefix(target, `/\`) {
			t.Errorf("%q gives %q", referer, target)
		}
	})
}

// What was taken off the front of a path is a path itself.
func FuzzBase(f *testing.F) {
	f.Add("/app/admin?x", "/admin?x")
	f.Add("//evil/admin", "/admin")
	f.Add("http://h/admin", "/admin")
	f.Add("/admin", "/admin")
	f.Fuzz(func(t *testing.T, original, now string) {
		base := inbound.Base(original, now)
		if base != "" && (base[0] != '/' || !sameSitePath(base+"/.step-up/")) {
			t.Errorf("%q from %q gives %q", now, original, base)
		}
	})
}

func FuzzAccept(f *testing.F) {
	for _, s := range []string{
		"text/html", "*/*", "text/html;q=0.9, application/json;q=0.95", "text/html;q=NaN", "text/html;q=1e999", "TEXT/HTML ; Q=1", ",,;;", "text/html;q", "text/html;q=-1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, accept string) {
		html := prefersHTML([]string{accept})
		if low := strings.ToLower(accept); html && !strings.Contains(low, "text/html") && !strings.Contains(low, "application/xhtml+xml") {
			t.Errorf("%q prefers HTML", accept)
		}
		for item := range strings.SplitSeq(accept, ",") {
			if q := weight(item); q < 0 || q > 1000 {
				t.Errorf("weight of %q is %d", item, q)
			}
		}
	})
}

// No spelling of a denied name is left, whatever Connection names is denied by no
// token, and what remains was there before.
func FuzzScrub(f *testing.F) {
	f.Add("Step-Up-User", "close, Step-Up-User")
	f.Add("step_up.evil", ",,step_up.evil,")
	f.Add("X-Original-URL", "keep-alive")
	f.Add("Trailer", "TE, Trailer")
	f.Fuzz(func(t *testing.T, name, connection string) {
		r := &http.Request{Header: http.Header{name: {"x"}, "Connection": {connection}, "Accept": {"a"}}}
		r, _ = scrub(r, nil, &noNames)
		for h := range r.Header {
			if f := fold(h); strings.HasPrefix(f, "step-up-") || f == "x-original-url" || f == "x-rewrite-url" || f == "trailer" {
				t.Errorf("%q is left", h)
			}
		}
		for token := range strings.SplitSeq(r.Header.Get("Connection"), ",") {
			if strings.HasPrefix(fold(strings.TrimSpace(token)), "step-up-") {
				t.Errorf("Connection: %q of %q", token, connection)
			}
			if !strings.Contains(connection, strings.TrimSpace(token)) {
				t.Errorf("Connection: %q was made up", token)
			}
		}
		if r.Header.Get("Accept") != "a" && name != "Accept" {
			t.Error("Accept is gone")
		}
	})
}

func fold(name string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			return c
		}
		return '-'
	}, strings.ToLower(name))
}

// The short way to tell a request's method must never know better than package
// readings.
func FuzzAsSent(f *testing.F) {
	f.Add("GET", "a=b&c", "X-Request-Id", "DELETE")
	f.Add("POST", "_METHOD=delete", "X-Http-Method-Override", "DELETE")
	f.Add("GET", "%5fmethod=delete", "x_method", "PUT")
	f.Add("GET", "$HTTPMETHOD=x", "Http.Method", "PUT")
	f.Add("HEAD", "+method=x;[method=x", "Method", "x")
	f.Fuzz(func(t *testing.T, method, query, name, value string) {
		r := &http.Request{Method: method, URL: &url.URL{Path: "/a", RawQuery: query}, Header: http.Header{name: {value}}}
		m, err := readings.MethodsOf(r, readings.Form{})
		if mayOverride(name) || !asSent(r) {
			return
		}
		if err != nil || len(m.Methods) != 1 || m.Methods[0] != method || m.CannotTell {
			t.Errorf("%s ?%s with %q: %q is taken as sent, but may be %+v (%v)", method, query, name, value, m, err)
		}
	})
}
