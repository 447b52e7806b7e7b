package caddymodule_test

import (
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/stepup-gateway/caddy-stepup/caddymodule"
	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/store"
)

// nowhere is a ResponseWriter for those who do not look.
type nowhere struct{}

func (nowhere) Header() http.Header         { return http.Header{} }
func (nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (nowhere) WriteHeader(int)             {}

// BenchmarkHandler is a pass on a live time-based grant over HTTPS, with three
// rules, twelve header fields and three cookies, through the handler as Caddy
// calls it, the grant being a random one of all that live. The requests are made
// outside of the time, a few at once: to a handler a request is fresh from the
// parser, and its header in the processor's cache.
//
// Beside it stands the time of one SHA-256 of 32 bytes, and how many of those a
// pass takes: machines differ, and are slower when others work on them.
func BenchmarkHandler(b *testing.B) {
	for _, n := range []int{1000, 1_000_000} {
		b.Run(fmt.Sprintf("grants=%d", n), func(b *testing.B) { benchmarkHandler(b, n) })
	}
}

func benchmarkHandler(b *testing.B, n int) {
	site := newPassed(b)
	tokens := live(b, n)
	var (
		batch         [16]*http.Request
		times, hashes []time.Duration
		done          int
		sum           [32]byte
	)
	for i := range batch {
		batch[i] = site.request(b)
	}
	for b.Loop() {
		if done++; done%len(batch) != 1 {
			continue
		}
		for _, r := range batch {
			site.ready(r, tokens[rand.IntN(len(tokens))])
		}
		// b.StopTimer stops the world, and leaves the caches cold.
		start := time.Now()
		for _, r := range batch {
			site.serve(r)
		}
		served := time.Now()
		for range batch {
			sum = sha256.Sum256(sum[:])
		}
		times, hashes = append(times, served.Sub(start)), append(hashes, time.Since(served))
	}
	if want := len(times) * len(batch); site.passed != want {
		b.Fatal(site.passed, "of", want, "passed: ", site.failed)
	}
	// The median leaves out what other processes took.
	pass, hash := median(times), median(hashes)
	b.ReportMetric(float64(pass)/float64(len(batch)), "ns/op")
	b.ReportMetric(float64(hash)/float64(len(batch)), "ns/SHA-256")
	b.ReportMetric(float64(pass)/float64(hash), "SHA-256s/op")
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// The pass that BenchmarkHandler times may allocate little. What it allocates is
// the same on every machine.
func TestPassAllocatesLittle(t *testing.T) {
	site := newPassed(t)
	token, r := live(t, 1)[0], site.request(t)
	preparing := testing.AllocsPerRun(100, func() { site.ready(r, token) })
	both := testing.AllocsPerRun(100, func() { site.ready(r, token); site.serve(r) })
	if both-preparing > 8 {
		t.Errorf("%v allocations, at most 8", both-preparing)
	}
	if site.passed != 101 {
		t.Error(site.passed, "of 101 passed: ", site.failed)
	}
}

// passed is a site with three rules, and counts what it passes on.
type passed struct {
	handler *caddymodule.Handler
	url     string
	cookie  string // the name of the grant's
	passed  int
	failed  error
}

func newPassed(t testing.TB) *passed {
	bed := newBed(t)
	bed.Load(bed.config(keyFile, protectTransfer+`protect REPORTS /reports/* {
	match {
		method GET HEAD
	}
	grant time_based 5m
}
`+protectAdmin, ""))
	plain := bed.enrol("alice").win("ADMIN")
	sites, err := caddymodule.ActiveSites()
	if err != nil {
		t.Fatal(err)
	}
	return &passed{handler: sites[0], url: bed.URL + "/admin/users", cookie: "__Host-" + plain.Name}
}

// request is alice's, as Caddy hands it to the handler.
func (p *passed) request(t testing.TB) *http.Request {
	r, err := http.NewRequest("GET", p.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.RequestURI = r.URL.RequestURI()
	r.RemoteAddr = "192.0.2.1:1"
	r.TLS = &tls.ConnectionState{HandshakeComplete: true}
	for _, name := range []string{"Accept", "Accept-Encoding", "Accept-Language", "Cache-Control", "Referer", "Sec-Fetch-Dest",
		"Sec-Fetch-Mode", "Sec-Fetch-Site", "User-Agent", "X-Request-Id"} {
		r.Header.Set(name, "something of a usual length")
	}
	r.Header.Set("Connection", "keep-alive")
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), nil, nil)
	caddyhttp.SetVar(r.Context(), "user", "alice")
	return r
}

// ready makes a request that was served one that just came in.
func (p *passed) ready(r *http.Request, token grants.Token) {
	for _, name := range []string{"Step-Up-User", "Step-Up-Action", "Step-Up-Method", "Step-Up-Amr", "Step-Up-Auth-Time"} {
		delete(r.Header, name)
	}
	r.Header["Cookie"] = []string{"theme=dark; session=0123456789abcdef; " + p.cookie + "=" + token.Text()}
}

// ServeHTTP is the handler behind the gateway's.
func (p *passed) ServeHTTP(http.ResponseWriter, *http.Request) error { p.passed++; return nil }

func (p *passed) serve(r *http.Request) {
	if err := p.handler.ServeHTTP(nowhere{}, r, p); err != nil {
		p.failed = err
	}
}

// live issues n grants to alice and reads each once, as its first use does.
func live(b testing.TB, n int) []grants.Token {
	db, err := caddymodule.ActiveDatabase(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	demand := grants.Demand{Action: grants.MustAction("ADMIN"), Use: grants.TimeBased, TTL: 10 * time.Minute}
	holder := db.Holder(grants.Subject{Tenant: "default", User: "alice"})
	tokens, ops := make([]grants.Token, n), []store.Op(nil)
	for i := range tokens {
		var g grants.Grant
		g, tokens[i] = grants.Issue(demand, holder, grants.Binding{}, grants.TOTP, now)
		op, err := db.PutGrant(tokens[i].ID(), g, demand.Action, "")
		if err != nil {
			b.Fatal(err)
		}
		if ops = append(ops, op); len(ops) == store.MaxOps || i == n-1 {
			if err := db.Apply(b.Context(), ops...); err != nil {
				b.Fatal(err)
			}
			ops = ops[:0]
		}
	}
	for i := range tokens {
		id := tokens[i].ID()
		if _, err := db.Grant(b.Context(), &holder, &id, now); err != nil {
			b.Fatal(err)
		}
	}
	return tokens
}
