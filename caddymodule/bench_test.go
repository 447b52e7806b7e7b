package caddymodule_test

import (
	"cmp"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/stepup-gateway/caddy-stepup/caddymodule"
	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// nowhere is a ResponseWriter for those who do not look.
type nowhere struct{ header http.Header }

func (w *nowhere) Header() http.Header       { return w.header }
func (*nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (*nowhere) WriteHeader(int)             {}

// BenchmarkHandler is a pass on a live time-based grant over HTTPS, with three
// rules, twelve header fields and three cookies, through the handler as Caddy
// calls it, the grant being a random one of all that are live. Each request has a
// header map of its own, made as net/http makes it. The requests are made outside
// of the time, a few at once: to a handler a request is fresh from the parser, and
// its header in the processor's cache.
//
// Beside it stands the time of one SHA-256 of 32 bytes, and how many of those a
// pass takes: machines differ, and are slower when others work on them. The ratio
// to a plain route of the same process is that of whole requests, one after the
// other on one connection, through reverse_proxy; plain/plain is what the same
// measurement makes of the plain route against itself.
func BenchmarkHandler(b *testing.B) {
	for _, n := range []int{1000, 1_000_000} {
		b.Run(fmt.Sprintf("grants=%d", n), func(b *testing.B) {
			site := newPassed(b, usualRules)
			tokens := live(b, n)
			site.bench(b, tokens)
			gated, plain := site.besidePlain(b, tokens)
			b.ReportMetric(gated, "gated/plain")
			b.ReportMetric(plain, "plain/plain")
		})
	}
}

// BenchmarkRules is a pass with 3 rules and with 200, half of them on beginnings of
// paths and half on whole ones: of a request that the last rule takes, and of one
// that none does.
func BenchmarkRules(b *testing.B) {
	for _, n := range []int{3, 200} {
		var rules strings.Builder
		for i := range n - 1 {
			fmt.Fprintf(&rules, "protect R%d %s%d%s {\ngrant time_based 10m\n}\n", i, []string{"/area", "/page"}[i%2], i, []string{"/*", ""}[i%2])
		}
		for name, path := range map[string]string{"hit": "/admin/users", "miss": "/area/users"} {
			b.Run(fmt.Sprintf("rules=%d/%s", n, name), func(b *testing.B) {
				site := newPassed(b, rules.String()+protectAdmin)
				site.url = site.bed.URL + path
				site.bench(b, live(b, 1000))
			})
		}
	}
}

// BenchmarkAnnounce is a pass by what is announced to the application.
func BenchmarkAnnounce(b *testing.B) {
	for _, what := range []string{"none", "user action", "user action method amr auth_time"} {
		b.Run(what, func(b *testing.B) {
			site := newPassed(b, "announce "+what+"\n"+usualRules)
			site.bench(b, live(b, 1000))
		})
	}
}

// bench measures passes on a random one of the grants.
func (p *passed) bench(b *testing.B, tokens []grants.Token) {
	var (
		batch         [16]*http.Request
		answers       [len(batch)]nowhere
		times, hashes []time.Duration
		done          int
		sum           [32]byte
	)
	for i := range batch {
		batch[i] = p.request(b)
	}
	p.passed, p.failed = 0, nil
	for b.Loop() {
		if done++; done%len(batch) != 1 {
			continue
		}
		for i, r := range batch {
			p.ready(r, tokens[rand.IntN(len(tokens))])
			answers[i].header = http.Header{"Server": {"Caddy"}} // as Caddy does
		}
		// b.StopTimer stops the world, and leaves the caches cold.
		start := time.Now()
		for i, r := range batch {
			p.serve(&answers[i], r)
		}
		served := time.Now()
		for range batch {
			sum = sha256.Sum256(sum[:])
		}
		times, hashes = append(times, served.Sub(start)), append(hashes, time.Since(served))
	}
	if want := len(times) * len(batch); p.passed != want {
		b.Fatal(p.passed, "of", want, "passed: ", p.failed)
	}
	// The median leaves out what other processes took, unless they take most; then
	// the fastest tenth says more.
	pass, hash := median(times), median(hashes)
	b.ReportMetric(float64(pass)/float64(len(batch)), "ns/op")
	b.ReportMetric(float64(hash)/float64(len(batch)), "ns/SHA-256")
	b.ReportMetric(float64(pass)/float64(hash), "SHA-256s/op")
	b.ReportMetric(float64(times[len(times)/10])/float64(hashes[len(hashes)/10]), "fastest-SHA-256s/op")
}

func median[T cmp.Ordered](d []T) T {
	slices.Sort(d)
	return d[len(d)/2]
}

// The pass that BenchmarkHandler times may allocate little. What it allocates is
// the same on every machine.
func TestPassAllocatesLittle(t *testing.T) {
	site := newPassed(t, usualRules)
	token, r := live(t, 1)[0], site.request(t)
	w := new(nowhere)
	ready := func() { site.ready(r, token); w.header = http.Header{"Server": {"Caddy"}} }
	preparing := testing.AllocsPerRun(100, ready)
	both := testing.AllocsPerRun(100, func() { ready(); site.serve(w, r) })
	if both-preparing > 1 {
		t.Errorf("%v allocations, at most 1", both-preparing)
	}
	if site.passed != 101 {
		t.Error(site.passed, "of 101 passed: ", site.failed)
	}
}

// passed is a site with three rules, and counts what it passes on. Beside it is a
// plain one, with the same application.
type passed struct {
	handler *caddymodule.Handler
	bed     *bed
	url     string
	cookie  string // the name of the grant's
	line    string // the cookies before it
	fields  http.Header
	passed  int
	failed  error
}

const plainHost = "plain.test"

// usualRules are three rules, the last of which takes the request.
const usualRules = protectTransfer + `protect REPORTS /reports/* {
	match {
		method GET HEAD
	}
	grant time_based 5m
}
` + protectAdmin

// newPassed makes a site with a rule for ADMIN.
func newPassed(t testing.TB, rules string) *passed {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "application") }))
	t.Cleanup(app.Close)
	bed := newBed(t)
	beside := "reverse_proxy " + strings.TrimPrefix(app.URL, "http://")
	bed.Load(bed.config(keyFile, rules, beside) + "\nhttp://" + plainHost + ":{{port}} {\n" + beside + "\n}\n")
	plain := bed.enroll("alice").win("ADMIN")
	sites, err := caddymodule.ActiveSites()
	if err != nil {
		t.Fatal(err)
	}
	p := &passed{handler: sites[0], bed: bed, url: bed.URL + "/admin/users", cookie: plain.Name, fields: http.Header{
		"Connection": {"keep-alive"},
	}, line: "theme=dark; session=0123456789abcdef; "}
	for _, name := range []string{"Accept", "Accept-Encoding", "Accept-Language", "Cache-Control", "Referer", "Sec-Fetch-Dest",
		"Sec-Fetch-Mode", "Sec-Fetch-Site", "User-Agent", "X-Request-Id"} {
		p.fields.Set(name, "something of a usual length")
	}
	return p
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
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), nil, nil)
	caddyhttp.SetVar(r.Context(), "user", "alice")
	return r
}

// ready makes a request that was served one that just came in: with a header map
// for as many fields as there are, Host among them, as net/http makes it.
func (p *passed) ready(r *http.Request, token grants.Token) {
	r.Header = make(http.Header, len(p.fields)+2)
	values := make([]string, 0, len(p.fields))
	for name, v := range p.fields {
		values = append(values, v[0])
		r.Header[name] = values[len(values)-1 : len(values) : len(values)]
	}
	r.Header["Cookie"] = []string{p.line + "__Host-" + p.cookie + "=" + token.Text()}
}

// besidePlain is the time of a whole request as a multiple of one on the plain
// route, and that of the plain route against itself: the medians of many rounds.
func (p *passed) besidePlain(b *testing.B, tokens []grants.Token) (gated, plain float64) {
	ask := func(host string) time.Duration {
		start := time.Now()
		for range 20 {
			r, err := http.NewRequest("GET", p.url, nil)
			if err != nil {
				b.Fatal(err)
			}
			r.Header = p.fields.Clone()
			r.Header.Del("Connection")
			r.Host = host
			r.Header.Set("X-Test-User", "alice")
			r.Header.Set("Cookie", p.line+p.cookie+"="+tokens[rand.IntN(len(tokens))].Text())
			resp, err := p.bed.Client.Do(r)
			if err != nil {
				b.Fatal(err)
			}
			if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "application" {
				b.Fatal(host, resp.StatusCode, err)
			}
			resp.Body.Close()
		}
		return time.Since(start)
	}
	ours, other := "localhost:"+p.bed.Port, plainHost+":"+p.bed.Port
	var first, second []float64
	for range 31 {
		x, y, z := ask(ours), ask(other), ask(other)
		first, second = append(first, float64(x)/float64(y)), append(second, float64(z)/float64(y))
	}
	return median(first), median(second)
}

// ServeHTTP is the handler behind the gateway's.
func (p *passed) ServeHTTP(http.ResponseWriter, *http.Request) error { p.passed++; return nil }

func (p *passed) serve(w http.ResponseWriter, r *http.Request) {
	if err := p.handler.ServeHTTP(w, r, p); err != nil {
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
