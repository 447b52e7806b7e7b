package storetest

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/store"
)

const (
	racers = 32
	rounds = 20
)

// race runs f in as many goroutines as there are racers, all at once, and waits for them.
func race(t *testing.T, f func(i int)) {
	t.Helper()
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	within(t, "a race", wg.Wait)
}

// wantOneWinner lets all racers apply their op, of which exactly one may succeed and all others must be told
// of the conflict.
func wantOneWinner(t *testing.T, s store.Store, op func(i int) store.Op) (winner int) {
	t.Helper()
	var won atomic.Int32
	race(t, func(i int) {
		switch err := s.Apply(background, op(i)); {
		case err == nil:
			won.Add(1)
			winner = i // only one writes it, or the test fails
		case !errors.Is(err, store.ErrConflict):
			t.Errorf("Apply: %v, want ErrConflict", err)
		}
	})
	if n := won.Load(); n != 1 {
		t.Fatalf("%d of %d won, want one", n, racers)
	}
	return winner
}

func testOneWinner(t *testing.T, s store.Store) {
	apply(t, s, put("a", "start"))
	for range rounds {
		v := version(t, s, "a")
		winner := wantOneWinner(t, s, func(i int) store.Op { return on(v, put("a", string(key("%d", i)))) })
		wantValue(t, s, "a", string(key("%d", winner)))
	}
}

func testOneCreator(t *testing.T, s store.Store) {
	for range rounds {
		winner := wantOneWinner(t, s, func(i int) store.Op { return on(absent, put("a", string(key("%d", i)))) })
		wantValue(t, s, "a", string(key("%d", winner)))
		apply(t, s, del("a"))
	}
}

func testOneDeleter(t *testing.T, s store.Store) {
	for range rounds {
		apply(t, s, put("a", "1"))
		v := version(t, s, "a")
		wantOneWinner(t, s, func(int) store.Op { return on(v, del("a")) })
		wantAbsent(t, s, "a")
	}
}

// testLostUpdates counts in one entry from all sides.
func testLostUpdates(t *testing.T, s store.Store) {
	const each = 5
	apply(t, s, put("n", number(0)))
	race(t, func(int) {
		for range each {
			for {
				e, err := s.Get(background, []byte("n"))
				if err != nil {
					t.Errorf("Get: %v", err)
					return
				}
				err = s.Apply(background, on(e.Version, put("n", number(numberIn(e)+1))))
				if err == nil {
					break
				}
				if !errors.Is(err, store.ErrConflict) {
					t.Errorf("Apply: %v", err)
					return
				}
			}
		}
	})
	wantValue(t, s, "n", number(racers*each))
}

// testTransfers moves amounts between entries, two in one Apply; their sum must never change, neither at the
// end nor in any one List.
func testTransfers(t *testing.T, s store.Store) {
	const accounts, start = 4, 1000
	name := func(i int) []byte { return key("account/%d", i) }
	for i := range accounts {
		apply(t, s, store.Op{Key: name(i), Value: []byte(number(start))})
	}
	sum := func() (n uint64) {
		entries, err := s.List(background, []byte("account/"), nil, accounts)
		if err != nil || len(entries) != accounts {
			t.Errorf("List: %d entries, %v", len(entries), err)
		}
		for _, e := range entries {
			n += numberIn(e)
		}
		return n
	}
	race(t, func(i int) {
		random := rand.New(rand.NewPCG(uint64(i), 1))
		for range 20 {
			if i%4 == 0 {
				if n := sum(); n != accounts*start {
					t.Errorf("the sum is %d in a List, want %d", n, accounts*start)
				}
				continue
			}
			from := random.IntN(accounts)
			to := (from + 1 + random.IntN(accounts-1)) % accounts
			a, err := s.Get(background, name(from))
			if err != nil {
				t.Errorf("Get: %v", err)
				return
			}
			b, err := s.Get(background, name(to))
			if err != nil {
				t.Errorf("Get: %v", err)
				return
			}
			err = s.Apply(background,
				on(a.Version, put(string(a.Key), number(numberIn(a)-1))),
				on(b.Version, put(string(b.Key), number(numberIn(b)+1))))
			if err != nil && !errors.Is(err, store.ErrConflict) {
				t.Errorf("Apply: %v", err)
				return
			}
		}
	})
	if n := sum(); n != accounts*start {
		t.Errorf("the sum is %d, want %d", n, accounts*start)
	}
}

// testSnapshots holds that a reader sees what was acknowledged before, and never the past again.
func testSnapshots(t *testing.T, s store.Store) {
	apply(t, s, put("n", number(0)))
	var acknowledged atomic.Uint64
	ctx, cancel := context.WithCancel(background)
	defer cancel()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			var last uint64
			for ctx.Err() == nil {
				before := acknowledged.Load()
				e, err := s.Get(background, []byte("n"))
				if err != nil {
					t.Errorf("Get: %v", err)
					return
				}
				if n := numberIn(e); n < before || n < last {
					t.Errorf("read %d after %d was acknowledged and %d read", n, before, last)
					return
				} else {
					last = n
				}
			}
		})
	}
	for n := range uint64(200) {
		apply(t, s, put("n", number(n+1)))
		acknowledged.Store(n + 1)
	}
	cancel()
	within(t, "a reader", wg.Wait)
}

// testLargeRaces replaces large values under readers, each of which must find one whole value, or none.
func testLargeRaces(t *testing.T, s store.Store) {
	const sizes = 3
	value := func(i int) string { return pattern(300<<10+i, uint64(i)) }
	apply(t, s, put("a", value(0)))
	race(t, func(i int) {
		for n := range 4 {
			switch i % 8 {
			case 0:
				if err := s.Apply(background, put("a", value(n%sizes))); err != nil {
					t.Errorf("Apply: %v", err)
				}
			case 1:
				if err := s.Apply(background, del("a")); err != nil {
					t.Errorf("Apply: %v", err)
				}
			case 2:
				if err := s.Apply(background, on(absent, put("a", value(1)))); err != nil && !errors.Is(err, store.ErrConflict) {
					t.Errorf("Apply: %v", err)
				}
			default:
				e, err := s.Get(background, []byte("a"))
				if errors.Is(err, store.ErrNotFound) {
					continue
				}
				if err != nil {
					t.Errorf("Get: %v", err)
					return
				}
				if i := len(e.Value) - 300<<10; i < 0 || i >= sizes || string(e.Value) != value(i) {
					t.Errorf("Get: %s, which nobody wrote", shorten(string(e.Value)))
				}
			}
		}
	})
	apply(t, s, put("a", value(2)))
	wantValue(t, s, "a", value(2))
}

func number(n uint64) string { return string(binary.BigEndian.AppendUint64(nil, n)) }

func numberIn(e store.Entry) uint64 {
	if len(e.Value) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(e.Value)
}
