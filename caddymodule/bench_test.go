package caddymodule_test

import (
	"net/http"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/stepup-gateway/caddy-stepup/caddymodule"
)

// nowhere is a ResponseWriter for those who do not look.
type nowhere struct{ h http.Header }

func (n nowhere) Header() http.Header         { return n.h }
func (n nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (n nowhere) WriteHeader(int)             {}

// BenchmarkHandler is a pass on a live time-based grant, with three rules, twelve
// header fields and three cookies, through the handler as Caddy calls it.
func BenchmarkHandler(b *testing.B) {
	bed := newBed(b)
	bed.Load(bed.config(keyFile, protectTransfer+`protect REPORTS /reports/* {
	match {
		method GET HEAD
	}
	grant time_based 5m
}
`+protectAdmin, ""))
	grant := bed.enrol("alice").win("ADMIN")
	sites, err := caddymodule.ActiveSites()
	if err != nil {
		b.Fatal(err)
	}
	r, err := http.NewRequest("GET", bed.URL+"/admin/users", nil)
	if err != nil {
		b.Fatal(err)
	}
	r.RequestURI = "/admin/users"
	r.RemoteAddr = "192.0.2.1:1"
	for _, name := range []string{"Accept", "Accept-Encoding", "Accept-Language", "Cache-Control", "Connection", "Referer",
		"Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "User-Agent", "X-Request-Id"} {
		r.Header.Set(name, "something of a usual length")
	}
	cookie := "theme=dark; session=0123456789abcdef; " + grant.Name + "=" + grant.Value
	repl := caddy.NewReplacer()
	r = caddyhttp.PrepareRequest(r, repl, nil, nil)
	caddyhttp.SetVar(r.Context(), "user", "alice")
	passed := 0
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { passed++; return nil })
	w := nowhere{http.Header{}}
	values := []string{cookie}
	b.ReportAllocs()
	for b.Loop() {
		r.Header["Cookie"] = values
		if err := sites[0].ServeHTTP(w, r, next); err != nil {
			b.Fatal(err)
		}
		values[0] = cookie
		for name := range r.Header {
			if len(name) > 8 && name[:8] == "Step-Up-" {
				delete(r.Header, name)
			}
		}
	}
	if passed == 0 {
		b.Fatal("nothing passed")
	}
}
