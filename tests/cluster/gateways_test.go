//go:build components

package cluster

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

func TestMain(m *testing.M) {
	code := m.Run()
	gateway.Cleanup()
	os.Exit(code)
}

// keyFile writes a new key into a file, and returns its name.
func keyFile(t *testing.T, g *gateway.Gateway) string {
	t.Helper()
	text, err := g.Command("step-up", "keygen").Output()
	if err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return key
}

const nodeCaddyfile = `{
	admin GW_ADMIN
	auto_https off
	step_up {
		issuer "Acme Intranet"
		enrollment first_use
		allow_plain_http
		totp {
			skew 2
		}
		key {file.KEY}
		STORE
		EXTRA
	}
}
http://bank.test:GW_PORT {
	vars user {http.request.header.X-Test-User}
	step_up {
		identity placeholder {http.vars.user}
		protect VIEW_REPORTS /reports/* {
			grant time_based 10m
		}
		protect PAY /pay {
			grant one_time 5m
		}
	}
	reverse_proxy GW_UPSTREAM
}
`

// nodes are gateways on one database.
type nodes struct {
	t        *testing.T
	all      []*gateway.Gateway
	file     string // the Caddyfile
	upstream string
	calls    atomic.Int64
	next     atomic.Int64
}

// overEngines runs a test on each engine that several gateways share, with the lines
// of a Caddyfile that name an empty database of it.
func overEngines(t *testing.T, test func(t *testing.T, store string)) {
	t.Run("postgres", func(t *testing.T) { test(t, onPostgres(newServer(t).database())) })
	t.Run("etcd", func(t *testing.T) {
		test(t, onEtcd(strings.Join(newEtcd(t).endpoints(), " ")))
	})
}

func onPostgres(url string) string { return fmt.Sprintf("store postgres {\nurl %q\n}", url) }

func onEtcd(endpoints string) string { return "store etcd {\nendpoints " + endpoints + "\n}" }

// newNodes is nodesOn for a database on a PostgreSQL server.
func newNodes(t *testing.T, url string, n int, extra ...string) *nodes {
	t.Helper()
	return nodesOn(t, onPostgres(url), n, extra...)
}

// nodesOn makes a database by the command, and starts n gateways.
func nodesOn(t *testing.T, store string, n int, extra ...string) *nodes {
	t.Helper()
	c := &nodes{t: t}
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/pay" {
			c.calls.Add(1)
		}
		fmt.Fprint(w, "served")
	}))
	t.Cleanup(upstream.Close)
	c.upstream = strings.TrimPrefix(upstream.URL, "http://")
	first := gateway.New(t, gateway.Options{Upstream: c.upstream})
	c.file = strings.NewReplacer("KEY", keyFile(t, first), "STORE", store, "EXTRA", strings.Join(extra, "\n\t\t")).Replace(nodeCaddyfile)
	if out, err := first.Command("step-up", "init", "--config", first.Write(c.file)).CombinedOutput(); err != nil {
		t.Fatalf("init: %v\n%s", err, out)
	}
	for i := range n {
		g := first
		if i > 0 {
			g = gateway.New(t, gateway.Options{Upstream: c.upstream})
		}
		g.Run(c.file)
		c.all = append(c.all, g)
	}
	return c
}

// another sends the person's next request to another gateway than the last.
func (c *nodes) another(p *gateway.Person) *gateway.Person {
	return p.At(c.all[int(c.next.Add(1))%len(c.all)])
}

// enroll enrolls somebody, whose every request goes to another gateway.
func (c *nodes) enroll(name string) *gateway.Person {
	c.t.Helper()
	p := c.newPerson(name)
	p.Enroll(c.t, "")
	return p
}

// newPerson is somebody whose every request goes to another gateway.
func (c *nodes) newPerson(name string) *gateway.Person {
	p := c.all[0].NewPerson(name)
	p.Host = "bank.test"
	p.Before = func(p *gateway.Person) { c.another(p) }
	return p
}

// browser is the person at another browser, which has been at that gateway: the
// challenges of those that never were are the same.
func browser(t *testing.T, x *gateway.Person, at *gateway.Gateway) (*gateway.Person, error) {
	other := x.Copy(at)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := *x.Client
	client.Jar = jar
	other.Client = &client
	_, _, err = other.Do("GET", "/.step-up/api/me", map[string]string{"Sec-Fetch-Site": "same-origin"}, nil)
	return other, err
}

func (c *nodes) status(p *gateway.Person, method, path string) int {
	c.t.Helper()
	resp, _, err := p.Do(method, path, map[string]string{"Accept": "application/json"}, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp.StatusCode
}

func TestJourneyOverThreeGateways(t *testing.T) { overEngines(t, testJourney) }

func testJourney(t *testing.T, store string) {
	c := nodesOn(t, store, 3)
	alice := c.enroll("alice")
	if got := c.status(alice, "GET", "/reports/1"); got != 401 {
		t.Fatalf("before the proof: %d", got)
	}
	alice.StepUp(t, "VIEW_REPORTS")
	for range 9 {
		if got := c.status(alice, "GET", "/reports/1"); got != 200 {
			t.Fatalf("with the grant: %d", got)
		}
	}
	alice.StepUp(t, "PAY")
	if got := c.status(alice, "POST", "/pay"); got != 200 {
		t.Fatalf("with the one-time grant: %d", got)
	}
	for range 3 {
		if got := c.status(alice, "POST", "/pay"); got != 401 {
			t.Fatalf("with the grant that was used: %d", got)
		}
	}
	for _, g := range c.all {
		if text := healthOf(t, g); !strings.Contains(text, `"status":"ok"`) {
			t.Errorf("health: %s", text)
		}
		m := metricsOf(t, g)
		if heard := m["step_up_store_heard_seconds"]; heard <= 0 || heard > 1 {
			t.Errorf("the database was heard %v s ago", heard)
		}
		changes, seconds := m["step_up_store_changes_total"], m["step_up_store_change_seconds_total"]
		if changes == 0 || seconds == 0 || m["step_up_store_in_use"] != 1 || m["step_up_store_changes_unknown_total"] != 0 {
			t.Errorf("metrics: %v", m)
		}
	}
}

// metricsOf returns those of a gateway that have no labels.
func metricsOf(t *testing.T, g *gateway.Gateway) map[string]float64 {
	t.Helper()
	resp, err := http.Get("http://" + g.Admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	found := map[string]float64{}
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		name, text, _ := strings.Cut(lines.Text(), " ")
		if value, err := strconv.ParseFloat(text, 64); err == nil && strings.HasPrefix(name, "step_up_") {
			found[name] = value
		}
	}
	return found
}

// TestRevocationAmongGateways: what one gateway revokes, no other serves.
func TestRevocationAmongGateways(t *testing.T) { overEngines(t, testRevocationAmongGateways) }

func testRevocationAmongGateways(t *testing.T, store string) {
	c := nodesOn(t, store, 3)
	var seen []time.Duration
	for round := range 10 {
		name := fmt.Sprintf("user%d", round)
		p := c.enroll(name)
		p.StepUp(t, "VIEW_REPORTS")
		p.Before = nil
		for i := range c.all { // it is in every cache
			if got := c.status(p.At(c.all[i]), "GET", "/reports/1"); got != 200 {
				t.Fatalf("with the grant: %d", got)
			}
		}
		if out, err := c.all[round%3].StepUp("reset", name); err != nil {
			t.Fatalf("reset: %v\n%s", err, out)
		}
		revoked := time.Now()
		for i := range c.all {
			p.At(c.all[i])
			for c.status(p, "GET", "/reports/1") == 200 {
				if time.Since(revoked) > 1500*time.Millisecond {
					t.Fatalf("gateway %d serves a revoked grant after %v", i, time.Since(revoked))
				}
			}
		}
		seen = append(seen, time.Since(revoked))
	}
	t.Log(seen)
}
