package storetest

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/store"
)

func testSurvives(t *testing.T, reopen func(store.Store) store.Store) {
	s := reopen(nil)
	apply(t, s, put("a", "1"), put("empty", ""), put("large", pattern(1<<20, 1)), put("gone", "1"))
	apply(t, s, put("a", "2"), del("gone"))
	a, large := version(t, s, "a"), version(t, s, "large")
	for range 2 {
		s = reopen(s)
		wantValue(t, s, "a", "2")
		wantValue(t, s, "empty", "")
		wantValue(t, s, "large", pattern(1<<20, 1))
		wantAbsent(t, s, "gone")
		wantKeys(t, s, "", "", 9, "a", "empty", "large")
		if version(t, s, "a") != a || version(t, s, "large") != large {
			t.Error("a version changed over a restart")
		}
	}
	// A version from before the restart is as good a condition as ever, once.
	apply(t, s, on(a, put("a", "3")))
	refuse(t, s, store.ErrConflict, on(a, put("a", "4")))
	apply(t, s, on(large, del("large")))
	s = reopen(s)
	wantValue(t, s, "a", "3")
	wantAbsent(t, s, "large")
}

func testVersionsGrowOn(t *testing.T, reopen func(store.Store) store.Store) {
	s := reopen(nil)
	var last store.Version
	for round := range 4 {
		apply(t, s, put("a", "same"))
		v := version(t, s, "a")
		if v <= last {
			t.Fatalf("round %d: version %d after %d", round, v, last)
		}
		// The last thing before the restart is a deletion, after which nothing carries the version.
		apply(t, s, del("a"))
		s = reopen(s)
		refuse(t, s, store.ErrConflict, on(v, put("a", "x")))
		last = v
	}
}

func testDeletedStaysDeleted(t *testing.T, reopen func(store.Store) store.Store) {
	s := reopen(nil)
	for i := range 100 {
		apply(t, s, store.Op{Key: key("%d", i), Value: []byte("1")})
	}
	for i := range 100 {
		if i%2 == 0 {
			apply(t, s, store.Op{Key: key("%d", i)})
		}
	}
	s = reopen(reopen(s))
	for i := range 100 {
		if k := string(key("%d", i)); i%2 == 0 {
			wantAbsent(t, s, k)
		} else {
			wantValue(t, s, k, "1")
		}
	}
}

// testAcknowledgedWhileClosing closes under load, and wants every Apply to have kept its word: there if it
// was acknowledged, not there if it was refused.
func testAcknowledgedWhileClosing(t *testing.T, reopen func(store.Store) store.Store) {
	s := reopen(nil)
	type outcome struct {
		key  string
		done bool
	}
	var mu sync.Mutex
	var outcomes []outcome
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := 0; ; i++ {
				k := string(key("%d/%d", w, i))
				value := "1"
				if w == 0 {
					value = pattern(300<<10, uint64(i))
				}
				err := s.Apply(background, put(k, value))
				if err != nil && !errors.Is(err, store.ErrClosed) {
					t.Errorf("Apply: %v", err)
				}
				mu.Lock()
				outcomes = append(outcomes, outcome{k, err == nil})
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	time.Sleep(50 * time.Millisecond)
	old := s
	if err := old.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	within(t, "Apply on a closed store", wg.Wait)
	s = reopen(old)
	done := 0
	for _, o := range outcomes {
		_, err := s.Get(background, []byte(o.key))
		switch {
		case o.done && err != nil:
			t.Errorf("%s was acknowledged, but: %v", o.key, err)
		case !o.done && !errors.Is(err, store.ErrNotFound):
			t.Errorf("%s was refused, but Get gives %v", o.key, err)
		}
		if o.done {
			done++
		}
	}
	if done == 0 {
		t.Error("nothing was acknowledged, so nothing was tested")
	}
}
