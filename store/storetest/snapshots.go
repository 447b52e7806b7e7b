package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// RunSnapshots runs the part of the suite for engines that can show a moment of the
// database while it changes, with [RunMovable]. Open makes an empty store for one test.
func RunSnapshots(t *testing.T, open func(t *testing.T) store.Store) {
	RunMovable(t, open)
	for _, c := range []struct {
		name string
		test func(t *testing.T, s store.Snapshots)
	}{
		{"SnapshotStands", testSnapshotStands},
		{"SnapshotUnderLoad", testSnapshotUnderLoad},
		{"SnapshotClosed", testSnapshotClosed},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Errorf("closing: %v", err)
				}
			})
			c.test(t, s.(store.Snapshots))
		})
	}
}

func snapshot(t *testing.T, s store.Snapshots) store.Snapshot {
	t.Helper()
	x, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatalf("Snapshot: %v", err)
	}
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Errorf("closing a snapshot: %v", err)
		}
	})
	return x
}

// dumper is what has a Dump.
type dumper interface {
	Dump(ctx context.Context, after []byte, limit int) ([]store.Op, error)
}

func valuesOf(t *testing.T, s dumper, limit int) map[string]string {
	t.Helper()
	found := map[string]string{}
	dumpAll(t, s, limit, func(ops []store.Op) {
		for _, op := range ops {
			found[string(op.Key)] = string(op.Value)
		}
	})
	return found
}

func wantSame(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d entries, want %d", what, len(got), len(want))
	}
	for k, v := range want {
		if g, ok := got[k]; !ok || g != v {
			t.Errorf("%s: %q is %s (%v), want %s", what, k, shorten(g), ok, shorten(v))
			return
		}
	}
}

// testSnapshotStands changes everything that a snapshot shows, large values too, and
// holds that it still shows it.
func testSnapshotStands(t *testing.T, s store.Snapshots) {
	wantSame(t, "of an empty store", valuesOf(t, snapshot(t, s), 10), nil)
	want := map[string]string{"large": pattern(store.MaxValue, 1), "replaced": pattern(1<<20, 2)}
	for i := range 300 {
		want[fmt.Sprintf("few/%03d", i)] = pattern(i, uint64(i))
	}
	for k, v := range want {
		apply(t, s, put(k, v))
	}
	first := snapshot(t, s)
	if first.Sequence() == 0 {
		t.Error("a snapshot without a sequence")
	}
	page, err := first.Dump(t.Context(), nil, 7)
	if err != nil || len(page) != 7 {
		t.Fatalf("%d entries, %v", len(page), err)
	}
	apply(t, s, del("large"))
	apply(t, s, put("replaced", "small"))
	apply(t, s, put("after", "x"))
	for i := range 300 {
		apply(t, s, del(fmt.Sprintf("few/%03d", i)))
	}
	second := snapshot(t, s)
	if second.Sequence() <= first.Sequence() {
		t.Errorf("sequence %d after %d", second.Sequence(), first.Sequence())
	}
	for _, limit := range []int{1, 100, 1000} {
		wantSame(t, "as it was", valuesOf(t, first, limit), want)
		wantSame(t, "as it is", valuesOf(t, second, limit), map[string]string{"replaced": "small", "after": "x"})
	}
}

// testSnapshotUnderLoad moves between two entries what they have in all, and adds to a
// third one: each snapshot shows whole changes, and all that were acknowledged before.
func testSnapshotUnderLoad(t *testing.T, s store.Snapshots) {
	const all = 1000
	for i := range 200 {
		apply(t, s, put(fmt.Sprintf("between/%03d", i), pattern(2000, uint64(i))))
	}
	apply(t, s, put("a", fmt.Sprint(all)), put("z", "0"))
	var mu sync.Mutex
	acknowledged, stop := 0, make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for n := 1; n <= all; n++ {
			select {
			case <-stop:
				return
			default:
			}
			if err := s.Apply(background, put("a", fmt.Sprint(all-n)), put("z", fmt.Sprint(n))); err != nil {
				t.Errorf("Apply: %v", err)
				return
			}
			mu.Lock()
			acknowledged = n
			mu.Unlock()
		}
	})
	for range 5 {
		time.Sleep(20 * time.Millisecond)
		mu.Lock()
		before := acknowledged
		mu.Unlock()
		x := snapshot(t, s)
		found := valuesOf(t, x, 50)
		var a, z int
		fmt.Sscan(found["a"], &a)
		fmt.Sscan(found["z"], &z)
		if a+z != all || z < before || len(found) != 202 {
			t.Errorf("%d and %d of %d, after %d were acknowledged; %d entries", a, z, all, before, len(found))
		}
	}
	close(stop)
	writer.Wait()
}

func testSnapshotClosed(t *testing.T, s store.Snapshots) {
	apply(t, s, put("a", "b"))
	left := snapshot(t, s)
	for range 2 {
		if err := left.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	}
	open := snapshot(t, s)
	within(t, "closing with a snapshot that is open", func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	if ops, err := open.Dump(t.Context(), nil, 1); err == nil {
		t.Errorf("%d entries of a store that is closed", len(ops))
	}
}
