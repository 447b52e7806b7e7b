package storetest

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/store"
)

func testOtherGeneration(t *testing.T, s [2]store.Shared) {
	g := generation(s[0])
	if other := generation(s[1]); other != g {
		t.Fatalf("generations %d and %d", g, other)
	}
	apply(t, s[0], put("a", "1"))
	for _, ops := range [][]store.Op{{put("a", "2")}, {del("a")}, {put("a", "2"), put("b", "2")}, {on(absent, put("b", "2"))}} {
		for _, wrong := range []uint64{g + 1, g + 1<<40} {
			if err := s[0].ApplyIn(background, wrong, [][]byte{key("x")}, ops...); !errors.Is(err, store.ErrFenced) {
				t.Errorf("ApplyIn: %v, want ErrFenced", err)
			}
		}
	}
	wantValue(t, s[1], "a", "1")
	wantAbsent(t, s[1], "b")
}

// testEndGeneration holds that nothing takes place any more that was decided before a
// generation was ended, and that what is stored stays.
func testEndGeneration(t *testing.T, s [2]store.Shared) {
	g := generation(s[0])
	apply(t, s[0], put("a", "1"))
	old := version(t, s[1], "a")
	if began, err := s[0].EndGeneration(t.Context(), "for the test"); err != nil || began != g+1 {
		t.Fatalf("EndGeneration: %d, %v, want %d", began, err, g+1)
	}
	if next, cause := s[0].Generation(); next != g+1 || cause != "for the test" {
		t.Errorf("generation %d for %q, want %d", next, cause, g+1)
	}
	for i, one := range s {
		if err := one.ApplyIn(t.Context(), g, nil, put("a", "2")); !errors.Is(err, store.ErrFenced) {
			t.Errorf("store %d, in the generation before: %v, want ErrFenced", i, err)
		}
	}
	wantValue(t, s[1], "a", "1")
	if g := generation(s[1]); g != generation(s[0]) {
		t.Errorf("the other store is in generation %d", g)
	}
	if err := s[1].ApplyIn(t.Context(), g+1, nil, put("a", "3")); err != nil {
		t.Errorf("in the new generation: %v", err)
	}
	if v := version(t, s[0], "a"); v <= old {
		t.Errorf("version %d after %d", v, old)
	}
	// Of several that end it at the same time each ends one of its own, or is told.
	from := generation(s[0])
	var began sync.Map
	var ended atomic.Int64
	race(t, func(i int) {
		switch g, err := s[i%2].EndGeneration(t.Context(), "race"); {
		case err == nil:
			ended.Add(1)
			if _, twice := began.LoadOrStore(g, true); twice {
				t.Errorf("two began generation %d", g)
			}
		case !errors.Is(err, store.ErrFenced):
			t.Errorf("EndGeneration: %v", err)
		}
	})
	wantValue(t, s[0], "a", "3")
	if got := generation(s[0]) - from; got != uint64(ended.Load()) || got == 0 {
		t.Errorf("%d generations began, by %d that said so", got, ended.Load())
	}
}

func testOthers(t *testing.T, s [2]store.Shared) {
	for i, one := range s {
		if n, err := one.Others(t.Context()); err != nil || n != 1 {
			t.Errorf("store %d knows %d others, %v", i, n, err)
		}
	}
	if err := s[1].Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := s[0].Others(t.Context()); err != nil || n != 0 {
		t.Errorf("%d others once the only one is gone, %v", n, err)
	}
}
