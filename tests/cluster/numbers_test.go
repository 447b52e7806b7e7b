//go:build components

package cluster

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// The numbers that several gateways on one database must reach: counts, and ratios of
// one run. With STEP_UP_LONG=1, on a machine that does nothing else, they are those of
// docs/cluster.md; without, there is room for what else a machine does.

// overStores runs a test on each engine, with a function that opens one database of it
// once more.
func overStores(t *testing.T, test func(t *testing.T, open func() store.Shared)) {
	t.Run("postgres", func(t *testing.T) {
		url := created(t, newServer(t).database())
		test(t, func() store.Shared { return open(t, url) })
	})
	t.Run("etcd", func(t *testing.T) {
		o := newEtcd(t).database()
		test(t, func() store.Shared { return openEtcd(t, o) })
	})
}

// counted counts what an engine is asked for. What it asks for itself, to know what
// others told, is not among it.
type counted struct {
	store.Shared
	asked atomic.Int64
}

func (c *counted) Get(ctx context.Context, key []byte) (store.Entry, error) {
	c.asked.Add(1)
	return c.Shared.Get(ctx, key)
}

func (c *counted) List(ctx context.Context, prefix, after []byte, limit int) ([]store.Entry, error) {
	c.asked.Add(1)
	return c.Shared.List(ctx, prefix, after, limit)
}

func (c *counted) Apply(ctx context.Context, ops ...store.Op) error {
	c.asked.Add(1)
	return c.Shared.Apply(ctx, ops...)
}

func (c *counted) ApplyIn(ctx context.Context, generation uint64, told [][]byte, ops ...store.Op) error {
	c.asked.Add(1)
	return c.Shared.ApplyIn(ctx, generation, told, ops...)
}

// node is a gateway's domain on a shared database, without what is around it.
type node struct {
	*ceremonytest.World
	store *counted
}

// nodesOver makes n of them, on one database that it creates the first record of.
func nodesOver(t *testing.T, n int, open func() store.Shared) []node {
	t.Helper()
	var all []node
	for i := range n {
		one := node{ceremonytest.New(t), &counted{Shared: open()}}
		one.Clock.Follow()
		if i == 0 {
			if err := records.Create(t.Context(), one.store, one.Key); err != nil {
				t.Fatal(err)
			}
		} else {
			one.Key = all[0].Key
		}
		one.Under(func(own store.Store) store.Store {
			own.Close()
			return one.store
		})
		all = append(all, one)
	}
	return all
}

var (
	reports = ceremonytest.Demand("VIEW_REPORTS", grants.TimeBased, 24*time.Hour)
	payment = ceremonytest.Demand("PAY", grants.OneTimeUse, 24*time.Hour)
)

// stock puts n grants of somebody's into the database.
func stock(t *testing.T, w *ceremonytest.World, p *ceremony.Principal, d *grants.Demand, n int) (tokens []string) {
	t.Helper()
	for len(tokens) < n {
		var ops []store.Op
		for len(tokens) < n && len(ops) < store.MaxOps/2 {
			g, token := grants.Issue(*d, w.DB.Holder(p.Subject), grants.Binding{Session: p.Session}, grants.TOTP, w.Clock.Now())
			op, err := w.DB.PutGrant(token.ID(), g, d.Action, "")
			if err != nil {
				t.Fatal(err)
			}
			ops, tokens = append(ops, op), append(tokens, token.Text())
		}
		if err := w.DB.Apply(t.Context(), ops...); err != nil {
			t.Fatal(err)
		}
	}
	return tokens
}

func check(t testing.TB, w *ceremonytest.World, p *ceremony.Principal, token string) {
	if _, err := w.Check(context.Background(), p, &reports, [32]byte{}, token); err != nil {
		t.Fatal(err)
	}
}

// TestQueriesOfALiveGrant: the first request with a grant on a gateway asks the
// database once, and no other does. The very first of a gateway reads the state of the
// database besides.
func TestQueriesOfALiveGrant(t *testing.T) { overStores(t, testQueries) }

func testQueries(t *testing.T, open func() store.Shared) {
	all := nodesOver(t, 2, open)
	p := all[0].Stranger("alice")
	for _, one := range all {
		check(t, one.World, &p, stock(t, one.World, &p, &reports, 1)[0])
	}
	for i, token := range stock(t, all[0].World, &p, &reports, 20) {
		for j, one := range all {
			before := one.store.asked.Load()
			check(t, one.World, &p, token)
			if n := one.store.asked.Load() - before; n != 1 {
				t.Errorf("grant %d, node %d: the first request asks %d times, want once", i, j, n)
			}
			before = one.store.asked.Load()
			for range 100 {
				check(t, one.World, &p, token)
			}
			if n := one.store.asked.Load() - before; n != 0 {
				t.Errorf("grant %d, node %d: 100 requests ask %d times, want none", i, j, n)
			}
		}
	}
}

// TestLiveGrantCostsAsOnBadger compares what a live grant costs on a shared engine with
// what it costs on one gateway's own: medians of rounds that take turns.
func TestLiveGrantCostsAsOnBadger(t *testing.T) {
	rounds, each, most := long(t, 21, 501), 10_000, 1.5
	if rounds > 21 {
		most = 1.05
	}
	overStores(t, func(t *testing.T, open func() store.Shared) {
		shared, own := nodesOver(t, 1, open)[0].World, ceremonytest.New(t)
		own.Clock.Follow()
		shared.Under(func(s store.Store) store.Store { return s.(*counted).Shared })
		p := own.Stranger("alice")
		var tokens [2]string
		var took [2][]float64
		worlds := [2]*ceremonytest.World{own, shared}
		for i, w := range worlds {
			tokens[i] = stock(t, w, &p, &reports, 1)[0]
			check(t, w, &p, tokens[i])
		}
		for range rounds {
			for i, w := range worlds {
				check(t, w, &p, tokens[i])
				began := time.Now()
				for range each {
					check(t, w, &p, tokens[i])
				}
				took[i] = append(took[i], float64(time.Since(began))/float64(each))
			}
		}
		badger, other := median(took[0]), median(took[1])
		t.Logf("%.0f ns on Badger, %.0f ns shared: %.3f", badger, other, other/badger)
		if other > most*badger {
			t.Errorf("a live grant costs %.0f ns, and %.0f ns on Badger", other, badger)
		}
	})
}

func median(all []float64) float64 {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}

// TestQueriesOfASpend: a one-time grant is read and spent by one question each.
func TestQueriesOfASpend(t *testing.T) {
	overStores(t, func(t *testing.T, open func() store.Shared) {
		one := nodesOver(t, 1, open)[0]
		p := one.Stranger("alice")
		tokens := stock(t, one.World, &p, &payment, 51)
		spend(t, one, &p, tokens[50])
		before := one.store.asked.Load()
		for _, token := range tokens[:50] {
			spend(t, one, &p, token)
		}
		if n := one.store.asked.Load() - before; n != 100 {
			t.Errorf("50 spends ask %d times, want 100", n)
		}
	})
}

func spend(t *testing.T, one node, p *ceremony.Principal, token string) {
	pass, err := one.Check(context.Background(), p, &payment, [32]byte{}, token)
	if err == nil {
		_, err = one.Spend(context.Background(), p, &pass)
	}
	if err != nil {
		t.Error(err)
	}
}

// TestRevocationIsSeen: what one of three idle gateways revokes is seen by all of them
// within 50 ms, all but one in a hundred times, and always within stale; through a
// pooler, which passes no notices on, always within stale.
func TestRevocationIsSeen(t *testing.T) {
	overStores(t, func(t *testing.T, open func() store.Shared) { testRevocation(t, open, 50*time.Millisecond) })
	t.Run("without notices", func(t *testing.T) {
		s := newServer(t)
		url := s.bouncer("transaction", created(t, s.database()))
		testRevocation(t, func() store.Shared { return open(t, url) }, time.Second)
	})
}

func testRevocation(t *testing.T, open func() store.Shared, most time.Duration) {
	times := long(t, 20, 1000)
	all := nodesOver(t, 3, open)
	p := all[0].Stranger("alice")
	var seen []float64
	for round := range times {
		at := all[round%len(all)]
		token := stock(t, at.World, &p, &reports, 1)[0]
		for _, one := range all {
			check(t, one.World, &p, token)
		}
		time.Sleep(20 * time.Millisecond)
		if n, err := at.Revoke(t.Context(), p.Subject, ""); err != nil || n != 1 {
			t.Fatalf("%d revoked, %v", n, err)
		}
		revoked, last := time.Now(), time.Duration(0)
		for _, one := range all {
			for {
				began := time.Now()
				_, err := one.Check(t.Context(), &p, &reports, [32]byte{}, token)
				if errors.Is(err, ceremony.ErrNoGrant) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				last = max(last, began.Sub(revoked))
				time.Sleep(time.Millisecond)
			}
		}
		seen = append(seen, float64(last))
	}
	slices.Sort(seen)
	p99, worst := time.Duration(seen[len(seen)*99/100]), time.Duration(seen[len(seen)-1])
	t.Logf("%d times, the last use that passed began after: median %v, p99 %v, at most %v", times, time.Duration(median(seen)).Round(time.Microsecond), p99.Round(time.Microsecond), worst.Round(time.Microsecond))
	if worst > time.Second {
		t.Errorf("a revocation was seen after %v", worst)
	}
	if p99 > most && long(t, 0, 1) != 0 {
		t.Errorf("p99 is %v, want %v", p99, most)
	}
}

// TestIdleGatewayAsksLittle: a gateway that nobody uses asks a server at most 5 times a
// second, and one that follows it once.
func TestIdleGatewayAsksLittle(t *testing.T) {
	primary := newServer(t, "shared_preload_libraries=pg_stat_statements")
	url := primary.database()
	primary.exec(primary.url("postgres"), "CREATE EXTENSION pg_stat_statements")
	standby := primary.standby()
	newNodes(t, both(primary, standby, url), 1)
	asked := func(s *server) float64 {
		n, err := strconv.ParseFloat(s.query("SELECT sum(calls) FROM pg_stat_statements WHERE query NOT LIKE '%pg_stat_statements%'"), 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	time.Sleep(2 * time.Second)
	for name, one := range map[string]struct {
		*server
		most float64
	}{"the primary": {primary, 5}, "the standby": {standby, 1.1}} {
		began, before := time.Now(), asked(one.server)
		time.Sleep(time.Duration(long(t, 10, 60)) * time.Second)
		rate := (asked(one.server) - before) / time.Since(began).Seconds()
		t.Logf("%s is asked %.2f times a second", name, rate)
		if rate == 0 || rate > one.most {
			t.Errorf("%s is asked %.2f times a second, want at most %v:\n%s", name, rate, one.most,
				strings.TrimSpace(one.query("SELECT calls, left(query, 70) FROM pg_stat_statements ORDER BY 1 DESC LIMIT 10")))
		}
	}
}
