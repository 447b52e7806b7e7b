package coverage

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/url"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/stepup-gateway/caddy-stepup/config"
)

var candidatePaths = []string{
	"/admin", "/admin/", "/admin/x", "/ADMIN", "/Admin/X", "/a", "/ab", "/abc", "/a/b", "/a/b/", "/a.json", "/ab.tar.gz", "/a/index.html", "/a/index", "/a/default",
	"/a.css", "/", "//a", "/a//b", "/a/../admin", "/a/.b", "/.a", "/a b", "/é", "/a%2fb", "/index.html", "/x/index.php", "/x", "/x/", "/x.json", "/a.b/c", "/next", "/text", "/t",
}

// candidateRules are rules of every kind of matchers.
func candidateRules(r *rand.Rand) []config.Rule {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	paths := func() json.RawMessage {
		var list []string
		for range 1 + r.IntN(3) {
			p := pick(candidatePaths...)
			if p == "/a%2fb" || p == "/a b" {
				p = "/a"
			}
			list = append(list, p+pick("", "", "*", "/*", "?"))
		}
		if r.IntN(20) == 0 {
			list = append(list, pick("*", "*.php", "/a/*/b", "/x[ab]", "*b*"))
		}
		raw, _ := json.Marshal(list)
		return raw
	}
	set := func() config.Matchers {
		m := config.Matchers{}
		if r.IntN(4) > 0 {
			m["path"] = paths()
		}
		if r.IntN(4) == 0 {
			m["method"] = json.RawMessage(`["` + pick("GET", "POST") + `"]`)
		}
		if r.IntN(10) == 0 {
			m["not"], _ = json.Marshal([]config.Matchers{{"path": paths()}})
		}
		if r.IntN(15) == 0 {
			m["path_regexp"] = json.RawMessage(`{"pattern":"` + pick("^/a", "b$", "index") + `"}`)
		}
		if len(m) == 0 {
			m["method"] = json.RawMessage(`["GET"]`)
		}
		return m
	}
	rules := make([]config.Rule, 1+r.IntN(70))
	for i := range rules {
		rl := &rules[i]
		rl.Unsafe = r.IntN(5) == 0
		if rl.Unsafe && r.IntN(2) == 0 {
			rl.UnsafeNot = []string{"POST"}
		}
		if r.IntN(3) > 0 {
			rl.On = set()
		}
		for range r.IntN(3) {
			rl.Match = append(rl.Match, set())
		}
	}
	return rules
}

// reading is the request for another path.
func reading(r *http.Request, path, method string) *http.Request {
	u := &url.URL{Path: path}
	return caddyhttp.PrepareRequest(&http.Request{Method: method, URL: u, RequestURI: u.RequestURI(), Header: http.Header{}}, caddy.NewReplacer(), nil, nil)
}

// A rule that is no candidate for a path neither matches it nor names a neighbor of
// it when it is asked by itself, and Caddy's own matchers say so.
func TestCandidatesAreAllThatMatch(t *testing.T) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	skipped := 0
	for seed := range uint64(150) {
		rules := candidateRules(rand.New(rand.NewPCG(seed, 3)))
		candidates := Candidates(rules)
		for i, rl := range rules {
			match, err := CompileMatch(func(id string, raw json.RawMessage) (any, error) { return ctx.LoadModuleByID("http.matchers."+id, raw) }, rl)
			if err != nil {
				t.Fatal(err)
			}
			near := CompileNear(rl, match, reading)
			for _, path := range candidatePaths {
				for _, method := range []string{"GET", "POST"} {
					u := &url.URL{Path: path}
					r := caddyhttp.PrepareRequest(&http.Request{Method: method, URL: u, RequestURI: u.RequestURI(), Header: http.Header{}}, caddy.NewReplacer(), nil, nil)
					if candidates(r).Next(i, len(rules)) == i {
						continue
					}
					skipped++
					if ok, err := match(r); ok || err != nil {
						t.Errorf("seed %d, %s %s: rule %d matches (%v): %+v", seed, method, path, i, err, rl)
					}
					if near == nil {
						continue
					}
					if ok, err := near(r); ok || err != nil {
						t.Errorf("seed %d, %s %s: rule %d names a neighbor (%v): %+v", seed, method, path, i, err, rl)
					}
				}
			}
		}
	}
	if skipped < 10000 {
		t.Error("only", skipped, "were skipped")
	}
}

// FuzzCandidates: whatever the pattern and the path, a rule that is no candidate does
// not match in Caddy's path matcher.
func FuzzCandidates(f *testing.F) {
	for _, pattern := range []string{"/admin/*", "/admin", "/", "/*", "/a*", "/a.b/", "/A/*", "/a//b", "/%61", "*.php"} {
		for _, path := range candidatePaths {
			f.Add(pattern, path)
		}
	}
	f.Fuzz(func(t *testing.T, pattern, path string) {
		raw, err := json.Marshal([]string{pattern})
		if err != nil || !json.Valid(raw) {
			return
		}
		m := caddyhttp.MatchPath{pattern}
		if m.Provision(caddy.Context{}) != nil {
			return
		}
		r := caddyhttp.PrepareRequest(&http.Request{Method: "GET", URL: &url.URL{Path: path}, Header: http.Header{}}, caddy.NewReplacer(), nil, nil)
		set := Candidates([]config.Rule{{On: config.Matchers{"path": raw}}})(r)
		if ok, err := m.MatchWithError(r); (ok || err != nil) && set.Next(0, 1) != 0 {
			t.Errorf("%q takes %q (%v)", pattern, path, err)
		}
	})
}
