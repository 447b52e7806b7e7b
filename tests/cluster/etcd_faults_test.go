//go:build components

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/internal/store/etcd"
	"github.com/stepup-gateway/caddy-stepup/store"
	"github.com/stepup-gateway/caddy-stepup/store/storetest"
)

func (s *etcdServer) client(endpoints ...string) *clientv3.Client {
	s.t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: endpoints, Logger: zap.NewNop()})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return c
}

// until waits until what is asked for is so.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// TestEtcdCutOffMemberProlongsNothing: a gateway reaches only a member that was cut
// off from the others. That member still answers what it is asked for about its own
// progress, and must prolong no lease; what others take away must not be served
// beyond stale.
func TestEtcdCutOffMemberProlongsNothing(t *testing.T) {
	s := newEtcd(t)
	o := s.database()
	for round := range 2 {
		member := s.leader() // it goes on to believe that it leads for a while
		if round == 1 {
			member = (member + 1) % 3
		}
		alone, others := o, o
		alone.Endpoints = s.endpoints(member)
		others.Endpoints = s.endpoints((member+1)%3, (member+2)%3)
		a, b := openEtcd(t, alone), openEtcd(t, others)
		until(t, "current", func() bool { return a.Current(time.Now()) })
		s.do("cut %d", member)
		cut := time.Now()
		until(t, "a leader among the others", func() bool {
			return b.Apply(t.Context(), store.Op{Key: []byte("k"), Value: []byte("v")}) == nil
		})
		time.Sleep(time.Until(cut.Add(o.Stale)))
		for end := time.Now().Add(4 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
			if a.Current(time.Now()) {
				t.Fatalf("current %v after it was cut off", time.Since(cut))
			}
		}
		begun := time.Now()
		if _, err := a.Get(t.Context(), []byte("k")); !errors.Is(err, store.ErrUnavailable) || time.Since(begun) > 6*time.Second {
			t.Errorf("Get: %v after %v", err, time.Since(begun))
		}
		if err := a.Apply(t.Context(), store.Op{Key: []byte("k"), Value: []byte("w")}); err == nil {
			t.Error("a change took place at a member that is cut off")
		}
		if a.Health().Down == nil {
			t.Error("health does not say so")
		}
		s.do("mend %d", member)
		until(t, "current again", func() bool { return a.Current(time.Now()) })
		must(t, a, store.Op{Key: []byte("k"), Value: []byte("w")})
		a.Close()
		b.Close()
	}
}

// TestEtcdOtherMembersAreAsked: a gateway that knows all members goes on when one is
// cut off, whichever it was connected to.
func TestEtcdOtherMembersAreAsked(t *testing.T) {
	s := newEtcd(t)
	o := s.database()
	st := openEtcd(t, o)
	for member := range 3 {
		s.do("cut %d", member)
		must(t, st, store.Op{Key: []byte("k"), Value: []byte(strconv.Itoa(member))})
		until(t, "current", func() bool { return st.Current(time.Now()) })
		e, err := st.Get(t.Context(), []byte("k"))
		if err != nil || string(e.Value) != strconv.Itoa(member) {
			t.Errorf("Get: %q, %v", e.Value, err)
		}
		s.do("mend %d", member)
	}
}

// TestEtcdLeaderKilled: members are killed under load, the leader each time. What was
// acknowledged is there, what was spent is spent once, and every name that was told
// is heard.
func TestEtcdLeaderKilled(t *testing.T) {
	s := newEtcd(t)
	o := s.database()
	st := [2]*etcd.Store{openEtcd(t, o), openEtcd(t, o)}
	heard := storetest.Listen(st[1])
	ctx := t.Context()
	var stop atomic.Bool
	var wg sync.WaitGroup
	type told struct{ name string }
	var mu sync.Mutex
	var all []told
	spends, unknown := atomic.Int64{}, atomic.Int64{}
	for w := range 8 {
		wg.Go(func() {
			for n := 0; !stop.Load(); n++ {
				name := fmt.Sprintf("%d/%d", w, n)
				generation, _ := st[0].Generation()
				if st[0].ApplyIn(ctx, generation, nil, store.Op{Key: []byte(name), Value: []byte("1"), If: store.If(0)}) != nil {
					continue
				}
				// Both spend it at the same time; one may.
				won := atomic.Int64{}
				unsure := atomic.Bool{}
				var both sync.WaitGroup
				for _, one := range st {
					both.Go(func() {
						e, err := one.Get(ctx, []byte(name))
						if err != nil {
							return
						}
						err = one.ApplyIn(ctx, generation, [][]byte{[]byte(name)}, store.Op{Key: e.Key, If: store.If(e.Version)})
						switch {
						case err == nil:
							won.Add(1)
						case errors.Is(err, store.ErrUnknown):
							unsure.Store(true)
						}
					})
				}
				both.Wait()
				switch {
				case won.Load() > 1:
					t.Errorf("%s was spent %d times", name, won.Load())
				case won.Load() == 1:
					spends.Add(1)
					mu.Lock()
					all = append(all, told{name})
					mu.Unlock()
				case unsure.Load():
					unknown.Add(1)
				}
			}
		})
	}
	for range 4 {
		time.Sleep(500 * time.Millisecond)
		leader := s.leader()
		s.do("kill %d", leader)
		time.Sleep(2 * time.Second)
		s.do("run %d", leader)
	}
	stop.Store(true)
	wg.Wait()
	for _, one := range all {
		heard.Wait(t, one.name)
		if _, err := st[0].Get(ctx, []byte(one.name)); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s was spent, and: %v", one.name, err)
		}
	}
	if spends.Load() < 100 {
		t.Errorf("only %d were spent", spends.Load())
	}
	if g, cause := st[0].Generation(); g != 0 {
		t.Errorf("generation %d: %s", g, cause)
	}
	t.Logf("%d spent, %d with unknown outcome", spends.Load(), unknown.Load())
}

// TestEtcdCompactedWatch: what a gateway has not heard is no more there to be heard:
// it forgets everything.
func TestEtcdCompactedWatch(t *testing.T) {
	s := newEtcd(t)
	o := s.database()
	member := (s.leader() + 1) % 3
	alone, others := o, o
	alone.Endpoints = s.endpoints(member)
	others.Endpoints = s.endpoints((member+1)%3, (member+2)%3)
	a, b := openEtcd(t, alone), openEtcd(t, others)
	heard := storetest.Listen(a)
	generation, _ := b.Generation()
	s.do("kill %d", member)
	if err := b.ApplyIn(t.Context(), generation, [][]byte{[]byte("revoked")}, store.Op{Key: []byte("k"), Value: []byte("1")}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		must(t, b, store.Op{Key: []byte("k"), Value: []byte("2")})
	}
	c := s.client(others.Endpoints...)
	now, err := c.Get(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Compact(t.Context(), now.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	s.do("run %d", member)
	until(t, "current", func() bool { return a.Current(time.Now()) })
	if !heard.Has("revoked") && heard.Forgot() == 0 {
		t.Error("it goes on with what it had, and never heard of what was revoked")
	}
}

// TestEtcdRestored: an older copy of all members is put back. What was acknowledged
// since is not good again: a new generation begins, and no version of the one before
// is a condition in it, though etcd gives out the same revisions again.
func TestEtcdRestored(t *testing.T) {
	s := newEtcd(t)
	o := s.database()
	a, b := openEtcd(t, o), openEtcd(t, o)
	ctx := t.Context()
	must(t, a, store.Op{Key: []byte("grant"), Value: []byte("good")})
	early, err := a.Get(ctx, []byte("grant"))
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(1500 * time.Millisecond)
	s.stop()
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(s.data())); err != nil {
		t.Fatal(err)
	}
	s.start()
	must(t, a, store.Op{Key: []byte("grant")}) // spent
	must(t, a, store.Op{Key: []byte("late"), Value: []byte("1")})
	late, err := a.Get(ctx, []byte("late"))
	if err != nil {
		t.Fatal(err)
	}
	until(t, "both current", func() bool { return a.Current(time.Now()) && b.Current(time.Now()) })
	heard := storetest.Listen(b)
	s.stop()
	if err := os.RemoveAll(s.data()); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(s.data(), os.DirFS(copied)); err != nil {
		t.Fatal(err)
	}
	s.start()
	// The first that gets through finds the grant there, in another generation.
	for i, st := range []*etcd.Store{a, b} {
		until(t, "the grant is read", func() bool {
			err := st.ApplyIn(ctx, 0, nil, store.Op{Key: []byte("grant"), If: store.If(early.Version)})
			if err == nil {
				t.Errorf("%d: what was spent was spent again", i)
			}
			return errors.Is(err, store.ErrFenced)
		})
		if g, cause := st.Generation(); g != 1 || !strings.Contains(cause, "older copy") {
			t.Errorf("generation %d: %s", g, cause)
		}
		for _, old := range []store.Version{early.Version, late.Version} {
			for _, key := range []string{"grant", "late"} {
				if err := st.Apply(ctx, store.Op{Key: []byte(key), Value: []byte("x"), If: store.If(old)}); !errors.Is(err, store.ErrConflict) {
					t.Errorf("%s with version %d: %v", key, old, err)
				}
			}
		}
	}
	// Versions go on above all that were given out, also where revisions repeat.
	for n := range 200 {
		must(t, a, store.Op{Key: []byte("late"), Value: []byte(strconv.Itoa(n))})
		e, err := b.Get(ctx, []byte("late"))
		if err != nil || e.Version <= late.Version {
			t.Fatalf("version %d after %d, %v", e.Version, late.Version, err)
		}
	}
	if heard.Forgot() == 0 {
		t.Error("nothing was forgotten")
	}
	// A gateway that starts now finds nothing wrong.
	c := openEtcd(t, o)
	if g, _ := c.Generation(); g != 1 {
		t.Errorf("generation %d", g)
	}
}

// TestEtcdLastMember: two members are lost for good, and the third, which lacks what
// was acknowledged last, is made a cluster of its own by force. The revision soon is
// as high as it was; the gateway to which it was acknowledged notices all the same.
func TestEtcdLastMember(t *testing.T) {
	s := newEtcd(t)
	o := s.database()
	last := (s.leader() + 1) % 3
	a := openEtcd(t, o)
	ctx := t.Context()
	must(t, a, store.Op{Key: []byte("grant"), Value: []byte("good")})
	until(t, "current", func() bool { return a.Current(time.Now()) })
	s.do("cut %d", last)
	must(t, a, store.Op{Key: []byte("grant")}) // spent, and the last member does not know
	s.stop()
	s.start("-force-alone", strconv.Itoa(last))
	c := s.client(s.endpoints(last)...)
	for range 100 { // somebody else writes on
		if _, err := c.Put(ctx, "other", "x"); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "a new generation", func() bool { g, _ := a.Generation(); return g == 1 })
	if _, cause := a.Generation(); !strings.Contains(cause, "given up") {
		t.Errorf("the cause is %q", cause)
	}
	err := a.ApplyIn(ctx, 0, nil, store.Op{Key: []byte("grant")})
	if !errors.Is(err, store.ErrFenced) {
		t.Errorf("what was spent: %v", err)
	}
}

// TestEtcdHangs: the members do not answer, and do not go away either.
func TestEtcdHangs(t *testing.T) {
	s := newEtcd(t)
	st := openEtcd(t, s.database())
	ctx := t.Context()
	must(t, st, store.Op{Key: []byte("a"), Value: []byte("1")})
	pause(t, s.cmd.Process.Pid)
	stopped := time.Now()
	if _, err := st.Get(ctx, []byte("a")); !errors.Is(err, store.ErrUnavailable) || time.Since(stopped) > 6*time.Second {
		t.Errorf("Get: %v after %v", err, time.Since(stopped))
	}
	begun := time.Now()
	if err := st.Apply(ctx, store.Op{Key: []byte("a"), Value: []byte("2")}); !errors.Is(err, store.ErrUnknown) || time.Since(begun) > 6*time.Second {
		t.Errorf("Apply: %v after %v", err, time.Since(begun))
	}
	if st.Current(time.Now()) || st.Health().Down == nil {
		t.Errorf("current: %v, health: %v", st.Current(time.Now()), st.Health().Down)
	}
	s.cmd.Process.Signal(syscall.SIGCONT)
	until(t, "current again", func() bool { return st.Current(time.Now()) && st.Health().Down == nil })
	must(t, st, store.Op{Key: []byte("a"), Value: []byte("3")})
}

// TestEtcdClocks: another gateway's clock is wrong. Neither can say which is right.
func TestEtcdClocks(t *testing.T) {
	s := newEtcd(t)
	o := s.database()
	st := openEtcd(t, o)
	must(t, st, store.Op{Key: []byte("a"), Value: []byte("1")})
	c := s.client(o.Endpoints...)
	for _, c2 := range []struct {
		off     time.Duration
		refused string
	}{
		{time.Second, ""}, {-time.Second, ""}, {6 * time.Second, "behind"}, {-6 * time.Second, "ahead"},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			for ctx.Err() == nil {
				c.Put(ctx, o.Prefix+"/w/time/other", strconv.FormatInt(time.Now().Add(c2.off).UnixNano(), 10))
				time.Sleep(300 * time.Millisecond)
			}
		})
		if c2.refused == "" {
			time.Sleep(3 * time.Second)
			if err := st.Apply(ctx, store.Op{Key: []byte("a"), Value: []byte("2")}); err != nil {
				t.Errorf("%v off: %v", c2.off, err)
			}
		} else {
			until(t, "refused", func() bool { h := st.Health().Down; return h != nil && strings.Contains(h.Error(), c2.refused) })
			if _, err := st.Get(ctx, []byte("a")); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "clock") {
				t.Errorf("%v off: Get: %v", c2.off, err)
			}
			if st.Current(time.Now()) {
				t.Error("what is in memory counts")
			}
		}
		cancel()
		wg.Wait()
		if _, err := c.Delete(t.Context(), o.Prefix+"/w/time/other"); err != nil {
			t.Fatal(err)
		}
		until(t, "in use again", func() bool { return st.Health().Down == nil && st.Current(time.Now()) })
	}
}
