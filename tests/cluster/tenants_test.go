//go:build components

package cluster

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// withOtherSource is the Caddyfile with an identity source that may mean other people
// by the same names.
func withOtherSource(file string) string {
	return strings.NewReplacer("vars user ", "vars other ", "{http.vars.user}", "{http.vars.other}").Replace(file)
}

// refused starts a gateway that must refuse to start, and returns what it logged.
func refused(t *testing.T, file string) string {
	t.Helper()
	g := gateway.New(t, gateway.Options{})
	if err := g.TryRun(file); err == nil {
		t.Fatal("a gateway started that must not")
	}
	return strings.ReplaceAll(g.Log(), `\"`, `"`)
}

func healthOf(t *testing.T, g *gateway.Gateway) string {
	t.Helper()
	resp, err := http.Get("http://" + g.Admin + "/step_up/health")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestTenantsMustAgree: gateways whose identity sources differ would make two people
// one. The second refuses to start; once its source is accepted it is the first one
// that refuses, and nothing of before is good.
func TestTenantsMustAgree(t *testing.T) { overEngines(t, testTenantsMustAgree) }

func testTenantsMustAgree(t *testing.T, store string) {
	c := nodesOn(t, store, 1)
	alice := c.enroll("alice")
	alice.StepUp(t, "VIEW_REPORTS")
	alice.StepUp(t, "PAY")
	if got := c.status(alice, "GET", "/reports/1"); got != 200 {
		t.Fatalf("with the grant: %d", got)
	}
	other := withOtherSource(c.file)
	said := refused(t, other)
	if !strings.Contains(said, `the tenant "default" is configured differently by other gateways`) || !strings.Contains(said, "identity placeholder differs in placeholder") {
		t.Fatalf("the second gateway says:\n%s", said)
	}
	if strings.Contains(said, "vars.other") {
		t.Errorf("the refusal tells a setting:\n%s", said)
	}
	exact := strings.Replace(c.file, "identity placeholder", "user_id exact\n\t\tidentity placeholder", 1)
	if said := refused(t, exact); !strings.Contains(said, "user_id is exact, and was ") {
		t.Fatalf("with another user_id:\n%s", said)
	}
	// So is a reload, and the configuration before goes on.
	if err := c.all[0].Reload(other); err == nil {
		t.Fatal("a reload with another source succeeded")
	}
	if got := c.status(alice, "GET", "/reports/1"); got != 200 {
		t.Fatalf("after the refused reload: %d", got)
	}

	out, err := c.all[0].StepUp("tenant", "list")
	if err != nil || !strings.Contains(out, "differs in placeholder") {
		t.Fatalf("tenant list: %v\n%s", err, out)
	}
	if out, err := c.all[0].StepUp("tenant", "accept", "nobodys"); err == nil {
		t.Fatalf("accepting what nobody wants: %s", out)
	}
	if out, err := c.all[0].StepUp("tenant", "accept", "default", "--yes"); err != nil {
		t.Fatalf("tenant accept: %v\n%s", err, out)
	}
	c.eventually(alice, "GET", "/reports/1", 503)
	until(t, "the health of the gateway with the old configuration tells the tenant", func() bool {
		out := healthOf(t, c.all[0])
		return strings.Contains(out, `"refused_tenants":["default"]`) && strings.Contains(out, "degraded")
	})
	if !strings.Contains(c.all[0].Log(), "configured differently by other gateways") {
		t.Error("the log of the gateway with the old configuration says nothing")
	}

	// The roll-out: the gateway with the new configuration is let in, with the
	// users' authenticators and none of their grants.
	if err := c.all[0].Reload(other); err != nil {
		t.Fatalf("the reload with what was accepted: %v", err)
	}
	for _, call := range [][2]string{{"GET", "/reports/1"}, {"POST", "/pay"}} {
		if got := c.status(alice, call[0], call[1]); got != 401 {
			t.Errorf("%v with what was issued before: %d", call, got)
		}
	}
	alice.StepUp(t, "PAY")
	if got := c.status(alice, "POST", "/pay"); got != 200 {
		t.Errorf("with a grant of the new configuration: %d", got)
	}
	if out := healthOf(t, c.all[0]); !strings.Contains(out, `"status":"ok"`) {
		t.Errorf("health in the end: %s", out)
	}
}

// TestTenantIsRefusedOnceItIsKnown: a gateway that starts while the database cannot be
// reached is refused what differs once it can be.
func TestTenantIsRefusedOnceItIsKnown(t *testing.T) {
	t.Run("postgres", func(t *testing.T) {
		s := newServer(t)
		testTenantIsRefusedOnceItIsKnown(t, onPostgres(s.database()), s.kill, s.start)
	})
	t.Run("etcd", func(t *testing.T) {
		s := newEtcd(t)
		testTenantIsRefusedOnceItIsKnown(t, onEtcd(strings.Join(s.endpoints(), " ")), s.stop, func() { s.start() })
	})
}

func testTenantIsRefusedOnceItIsKnown(t *testing.T, store string, stop, start func()) {
	c := nodesOn(t, store, 1)
	stop()
	second := gateway.New(t, gateway.Options{})
	second.Run(withOtherSource(c.file))
	start()
	p := second.NewPerson("alice")
	p.Host = "bank.test"
	c.eventually(p, "GET", "/reports/1", 503)
	for end := time.Now().Add(20 * time.Second); !strings.Contains(second.Log(), "configured differently by other gateways"); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the log says nothing of the tenant")
		}
		c.status(p, "GET", "/reports/1")
	}
}
