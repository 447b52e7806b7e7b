//go:build components

package cluster

import (
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/store"
	"github.com/stepup-gateway/caddy-stepup/tests/cluster/rig"
)

// TestS25TwoPrimariesAreRefused: a standby is promoted while the old server still
// takes writes. Gateways whose url names both refuse what is protected, on a grant
// that they have in memory too, and say why; when one of the two has ended they go
// on, in another generation, whichever it is.
func TestS25TwoPrimariesAreRefused(t *testing.T) {
	for name, remains := range map[string]int{"the old one remains": 0, "the promoted one remains": 1} {
		t.Run(name, func(t *testing.T) {
			primary, standby, url := pair(t)
			servers := [2]*server{primary, standby}
			c := newNodes(t, url, 2)
			alice, bob := c.enroll("alice"), c.enroll("bob")
			alice.StepUp(t, "PAY")
			bob.StepUp(t, "VIEW_REPORTS")
			alice.Before, bob.Before = nil, nil
			for _, g := range c.all {
				c.eventually(bob.At(g), "GET", "/reports/1", 200)
			}
			standby.promote()
			promoted := time.Now()
			for i, g := range c.all {
				c.eventually(bob.At(g), "GET", "/reports/1", 503)
				if took := time.Since(promoted); took > 2500*time.Millisecond {
					t.Errorf("gateway %d refuses after %v", i+1, took)
				}
			}
			t.Logf("refused after %v", time.Since(promoted))
			for _, g := range c.all {
				if got := c.status(alice.At(g), "POST", "/pay"); got != 503 {
					t.Errorf("with a one-time grant: %d", got)
				}
				if text := healthOf(t, g); !strings.Contains(text, "unavailable") || !strings.Contains(text, "two database servers take writes") {
					t.Errorf("health: %s", text)
				}
				if !strings.Contains(g.Log(), "more than one database server may take writes") {
					t.Error("the log does not say so")
				}
			}
			for end := time.Now().Add(4 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
				if got := c.status(bob.At(c.all[0]), "GET", "/reports/1"); got != 503 {
					t.Fatalf("while both take writes: %d", got)
				}
			}
			servers[1-remains].kill()
			ended := time.Now()
			for _, g := range c.all {
				c.eventually(alice.At(g), "POST", "/pay", 401)
				c.eventually(bob.At(g), "GET", "/reports/1", 401)
			}
			t.Logf("served again after %v", time.Since(ended))
			for _, g := range c.all {
				if text := healthOf(t, g); !strings.Contains(text, `"status":"ok"`) || strings.Contains(text, `"generation":0`) {
					t.Errorf("health: %s", text)
				}
			}
			if calls := c.calls.Load(); calls != 0 {
				t.Errorf("the application saw %d payments", calls)
			}
		})
	}
}

// TestStandbyOfAnotherPrimary: a server was promoted that the gateway cannot reach,
// but one that follows it can be reached, and has come to a higher timeline.
func TestStandbyOfAnotherPrimary(t *testing.T) {
	primary := newServer(t)
	name := primary.database()
	created(t, name)
	promoted := primary.standby()
	primary.cutOff(promoted)
	promoted.promote()
	follower := promoted.standby()
	follower.await("SELECT count(*) FROM pg_stat_wal_receiver", "1")
	alone := open(t, name)
	st, err := start(t, both(primary, follower, name))
	if err == nil || !strings.Contains(err.Error(), "another server was promoted") {
		t.Errorf("the first try: %v", err)
	}
	if _, err := st.Get(t.Context(), []byte("k")); err == nil || !strings.Contains(err.Error(), "another server was promoted") {
		t.Errorf("Get: %v", err)
	}
	// One whose url names the old server alone cannot know.
	if err := alone.Apply(t.Context(), store.Op{Key: []byte("k"), Value: []byte("v")}); err != nil {
		t.Error(err)
	}
	follower.kill()
	until(t, "it goes on", func() bool {
		return st.Apply(t.Context(), store.Op{Key: []byte("k"), Value: []byte("w")}) == nil
	})
	if generation, cause := st.Generation(); generation != 1 || !strings.Contains(cause, "more than one") {
		t.Errorf("generation %d: %s", generation, cause)
	}
}

// TestUnreachableHostsAreNoRivals: neither a host that hangs nor one that is away is a
// reason to refuse.
func TestUnreachableHostsAreNoRivals(t *testing.T) {
	primary := newServer(t)
	url := created(t, primary.database())
	standby := primary.standby()
	st := open(t, both(primary, standby, url))
	works := func(what string) {
		t.Helper()
		for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			if err := st.Apply(t.Context(), store.Op{Key: []byte("k"), Value: []byte("v")}); err != nil || !st.Current(time.Now()) {
				t.Fatalf("%s: %v, current %v", what, err, st.Current(time.Now()))
			}
		}
	}
	standby.signal(syscall.SIGSTOP)
	works("a host that hangs")
	standby.signal(syscall.SIGCONT)
	standby.kill()
	works("a host that is away")
	if generation, _ := st.Generation(); generation != 0 {
		t.Errorf("generation %d", generation)
	}
}

// TestRigLimitPrimariesOutOfReach shows what cannot hold: of two servers that take
// writes, two gateways reach one each, and neither can know of the other. What one
// takes away the other serves. The third gateway reaches both, and refuses. So the
// failover manager must end or cut off the old server before it promotes another.
func TestRigLimitPrimariesOutOfReach(t *testing.T) {
	servers := newPostgresServers(t).(*postgresServers)
	s := newSystem(t, rand.New(rand.NewPCG(1, 1)), servers)
	p := newPeople(t, s)
	x, cookies := p.withGrant("VIEW_REPORTS")
	if x == nil {
		t.Fatal("no grant")
	}
	get := func(i int) int {
		status, _ := p.ask(i, x.Name, cookies, "GET", "/reports/1", "", nil)
		return status
	}
	old, promoted := servers.all[0], servers.all[1]
	at := old.query("SELECT pg_current_wal_lsn()")
	promoted.await("SELECT coalesce(pg_last_wal_replay_lsn() >= '"+at+"', false)", "t")
	s.links[0][1].Set(rig.Cut)
	s.links[1][0].Set(rig.Cut)
	promoted.promote()
	until(t, "the third gateway refuses", func() bool { return get(2) == 503 })
	until(t, "the second gateway has met the promoted server", func() bool { return get(1) == 401 })
	if got := p.take(x, "reset", 1); got != rig.Done {
		t.Fatalf("reset at the second gateway: %v", got)
	}
	time.Sleep(2 * rigStale)
	if got := get(0); got != 200 {
		t.Errorf("the first gateway answers %d: if it knows of the other server now, say so in docs/cluster.md", got)
	}
	old.kill()
	until(t, "the third gateway goes on", func() bool { return get(2) == 401 })
}
