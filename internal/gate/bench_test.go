package gate_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/internal/gate"
)

// The whole way of a request with a live time-based grant: three rules, of which
// the last matches, twelve headers, three cookies. Matchers and identity source
// are as cheap as can be, so this is the gate's own share.
func BenchmarkPass(b *testing.B) {
	w := ceremonytest.New(b)
	who := w.EnrollAs(ceremony.Principal{Site: ceremonytest.Site, Subject: grants.Subject{Tenant: ceremonytest.Tenant, User: "alice"}, Browser: [32]byte{1}}, ceremony.Leave{})
	token := w.Win(who, admin).Token.Text()
	path := func(prefix string) func(*http.Request) (bool, error) {
		return func(r *http.Request) (bool, error) { return strings.HasPrefix(r.URL.Path, prefix), nil }
	}
	post := func(r *http.Request) (bool, error) {
		return r.Method == "POST" && strings.HasPrefix(r.URL.Path, "/admin"), nil
	}
	for name, rules := range map[string][]gate.Rule{
		"paths": {
			{Demand: transfer, Match: path("/transfer")}, {Demand: change, Match: path("/change")}, {Demand: admin, Match: path("/admin")},
		},
		"methods": {
			{Demand: transfer, Match: post, UsesMethod: true}, {Demand: change, Unsafe: true}, {Demand: admin, Match: path("/admin")},
		},
	} {
		g, err := gate.New(gate.Options{
			Tenant: ceremonytest.Tenant, Ceremony: w.Service, Rules: rules,
			Identify: func(*http.Request, gate.Sent) (ceremony.Principal, error) {
				return ceremony.Principal{Subject: grants.Subject{User: "alice"}}, nil
			},
			Server: server{},
			Portal: http.NotFoundHandler(),
			Now:    w.Clock.Now,
		})
		if err != nil {
			b.Fatal(err)
		}
		r := httptest.NewRequest("GET", "https://app.test/admin/users?page=2", nil)
		r.RequestURI = "/admin/users?page=2"
		for _, h := range []string{"Accept", "Accept-Encoding", "Accept-Language", "Cache-Control", "Connection", "Referer", "Sec-Fetch-Dest",
			"Sec-Fetch-Mode", "Sec-Fetch-Site", "User-Agent", "X-Forwarded-For"} {
			r.Header.Set(h, "keep-alive")
		}
		line := "app_session=0123456789abcdef0123456789abcdef; " + grantCookie(admin, token) + "; theme=dark"
		cookie := make([]string, 1) // the gate takes its own out of it in place
		reached := 0
		next := func(http.ResponseWriter, *http.Request) error { reached++; return nil }
		rec := httptest.NewRecorder()
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			reached = 0
			for b.Loop() {
				cookie[0] = line
				r.Header["Cookie"] = cookie
				if err := g.ServeHTTP(rec, r, next); err != nil {
					b.Fatal(err)
				}
			}
			if reached != b.N {
				b.Fatal(reached, "of", b.N, "passed:", rec.Code)
			}
		})
	}
}
