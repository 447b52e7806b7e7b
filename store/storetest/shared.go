package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// RunShared runs the part of the suite for engines whose database several processes
// use. Open opens two stores on one empty database, of which each must see what the
// other does.
func RunShared(t *testing.T, open func(t *testing.T) [2]store.Shared) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s [2]store.Shared)
	}{
		{"SeesTheOther", testSeesTheOther},
		{"OneWinnerOfTwo", testOneWinnerOfTwo},
		{"EachForItself", testEachForItself},
		{"TransfersOfTwo", testTransfersOfTwo},
		{"VersionsOfTwo", testVersionsOfTwo},
		{"Told", testTold},
		{"ToldWithTheChange", testToldWithTheChange},
		{"ToldInTime", testToldInTime},
		{"Lease", testLease},
		{"OtherGeneration", testOtherGeneration},
		{"EndGeneration", testEndGeneration},
		{"Others", testOthers},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() {
				for _, one := range s {
					if err := one.Close(); err != nil {
						t.Errorf("closing: %v", err)
					}
				}
			})
			c.test(t, s)
		})
	}
}

func generation(s store.Shared) uint64 {
	g, _ := s.Generation()
	return g
}

func applyTelling(t *testing.T, s store.Shared, told string, ops ...store.Op) {
	t.Helper()
	if err := s.ApplyIn(t.Context(), generation(s), [][]byte{[]byte(told)}, ops...); err != nil {
		t.Fatalf("ApplyIn: %v", err)
	}
}

func testSeesTheOther(t *testing.T, s [2]store.Shared) {
	for i := range 200 {
		a, b := s[i%2], s[(i+1)%2]
		k, v := string(key("%d", i%7)), string(key("value %d", i))
		apply(t, a, put(k, v))
		wantValue(t, b, k, v)
		if version(t, a, k) != version(t, b, k) {
			t.Fatal("two versions of one state")
		}
		if i%3 == 0 {
			apply(t, b, del(k))
			wantAbsent(t, a, k)
		}
	}
}

func testOneWinnerOfTwo(t *testing.T, s [2]store.Shared) {
	apply(t, s[0], put("a", "start"))
	for range rounds {
		v := version(t, s[0], "a")
		var won atomic.Int32
		race(t, func(i int) {
			op := on(v, put("a", string(key("%d", i))))
			ops := []store.Op{op}
			if i%4 == 0 { // several at once
				ops = append(ops, put(string(key("other %d", i)), "1"))
			}
			switch err := s[i%2].Apply(background, ops...); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, store.ErrConflict):
				t.Errorf("Apply: %v, want ErrConflict", err)
			}
		})
		if n := won.Load(); n != 1 {
			t.Fatalf("%d of %d won, want one", n, racers)
		}
		// And one creator, and one deleter.
		won.Store(0)
		race(t, func(i int) {
			if s[i%2].Apply(background, on(absent, put("new", "1"))) == nil {
				won.Add(1)
			}
		})
		v = version(t, s[1], "new")
		race(t, func(i int) {
			if s[i%2].Apply(background, on(v, del("new"))) == nil {
				won.Add(1)
			}
		})
		if n := won.Load(); n != 2 {
			t.Fatalf("%d created and deleted, want one each", n)
		}
	}
}

// testTransfersOfTwo moves what adds up between entries, in every order of keys.
func testTransfersOfTwo(t *testing.T, s [2]store.Shared) {
	const accounts, each = 6, 100
	for i := range accounts {
		apply(t, s[0], put(string(key("%d", i)), fmt.Sprint(each)))
	}
	read := func(one store.Store, k string) (n int, v store.Version, err error) {
		e, err := one.Get(background, []byte(k))
		if err == nil {
			_, err = fmt.Sscan(string(e.Value), &n)
		}
		return n, e.Version, err
	}
	race(t, func(i int) {
		one := s[i%2]
		for n := range 20 {
			a, b := string(key("%d", (i+n)%accounts)), string(key("%d", (i+3*n+1)%accounts))
			if a == b {
				continue
			}
			x, vx, err := read(one, a)
			if err != nil {
				t.Errorf("Get: %v", err)
				return
			}
			y, vy, err := read(one, b)
			if err != nil {
				t.Errorf("Get: %v", err)
				return
			}
			err = one.Apply(background, on(vx, put(a, fmt.Sprint(x-1))), on(vy, put(b, fmt.Sprint(y+1))))
			if err != nil && !errors.Is(err, store.ErrConflict) {
				t.Errorf("Apply: %v", err)
			}
		}
	})
	sum := 0
	entries, err := s[1].List(background, nil, nil, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		n := 0
		fmt.Sscan(string(e.Value), &n)
		sum += n
	}
	if sum != accounts*each {
		t.Errorf("the entries add up to %d, want %d", sum, accounts*each)
	}
}

// testVersionsOfTwo writes, deletes and creates one key from both, and wants its
// versions to grow.
func testVersionsOfTwo(t *testing.T, s [2]store.Shared) {
	var mu sync.Mutex
	last := store.Version(0)
	race(t, func(i int) {
		one := s[i%2]
		for range 10 {
			mu.Lock() // in this order
			if i%3 == 0 {
				if err := one.Apply(background, del("a")); err != nil {
					t.Errorf("Apply: %v", err)
				}
			}
			if err := one.Apply(background, put("a", "same")); err != nil {
				t.Errorf("Apply: %v", err)
			}
			if e, err := one.Get(background, []byte("a")); err != nil || e.Version <= last {
				t.Errorf("version %d after %d, %v", e.Version, last, err)
			} else {
				last = e.Version
			}
			mu.Unlock()
		}
	})
}

// Heard collects what a store is told.
type Heard struct {
	mu    sync.Mutex
	names []string
	all   int
}

// Listen begins to collect what s is told.
func Listen(s store.Shared) *Heard {
	h := new(Heard)
	s.OnTold(func(names [][]byte) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if names == nil {
			h.all++
		}
		for _, n := range names {
			h.names = append(h.names, string(n))
		}
	})
	return h
}

// Has reports whether the name was told.
func (h *Heard) Has(name string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Contains(h.names, name)
}

// Forgot is how often everything was to be forgotten.
func (h *Heard) Forgot() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.all
}

// Wait waits until the name was told.
func (h *Heard) Wait(t *testing.T, name string) {
	t.Helper()
	within(t, "what was told", func() {
		for !h.Has(name) {
			time.Sleep(time.Millisecond)
		}
	})
}

func testTold(t *testing.T, s [2]store.Shared) {
	h := [2]*Heard{Listen(s[0]), Listen(s[1])}
	for i := range 20 {
		name := string(key("name %d", i))
		switch i % 4 {
		case 0:
			applyTelling(t, s[i%2], name, put("a", name))
		case 1:
			applyTelling(t, s[i%2], name, put("a", name), put("b", name))
		case 2:
			applyTelling(t, s[i%2], name, del("a"))
		case 3:
			apply(t, s[i%2], put("c", ""))
			applyTelling(t, s[i%2], name, on(version(t, s[1], "c"), del("c")))
		}
		h[0].Wait(t, name)
		h[1].Wait(t, name)
	}
}

// testToldWithTheChange: what does not take place is not told.
func testToldWithTheChange(t *testing.T, s [2]store.Shared) {
	h := Listen(s[1])
	apply(t, s[0], put("a", "1"))
	for i, ops := range [][]store.Op{
		{on(absent, put("a", "2"))},
		{on(absent, put("a", "2")), put("b", "1")},
		{on(1<<50, del("a"))},
	} {
		name := [][]byte{key("never %d", i)}
		if err := s[0].ApplyIn(background, generation(s[0]), name, ops...); !errors.Is(err, store.ErrConflict) {
			t.Errorf("ApplyIn: %v, want ErrConflict", err)
		}
	}
	applyTelling(t, s[0], "last", put("a", "3"))
	h.Wait(t, "last")
	for i := range 3 {
		if name := string(key("never %d", i)); h.Has(name) {
			t.Errorf("%s was told", name)
		}
	}
}

// testToldInTime: whoever is current has heard what was told longer than Stale ago.
func testToldInTime(t *testing.T, s [2]store.Shared) {
	h := Listen(s[1])
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for i := range 8 { // others
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
					if err := s[i%2].ApplyIn(background, generation(s[i%2]), [][]byte{key("noise")}, put(string(key("noise %d", i)), "1"), put("noise", "1")); err != nil {
						t.Errorf("ApplyIn: %v", err)
						return
					}
				}
			}
		})
	}
	for i := range 50 {
		name := string(key("timely %d", i))
		applyTelling(t, s[0], name, put("a", name))
		acknowledged := time.Now()
		for !h.Has(name) {
			if s[1].Current(time.Now()) && time.Since(acknowledged) > s[1].Stale()+50*time.Millisecond && !h.Has(name) {
				t.Fatalf("current, and %s was not heard %v after it was told", name, time.Since(acknowledged))
			}
			time.Sleep(time.Millisecond)
		}
	}
	close(stop)
	wg.Wait()
}

func testLease(t *testing.T, s [2]store.Shared) {
	within(t, "being current", func() {
		for !s[0].Current(time.Now()) || !s[1].Current(time.Now()) {
			time.Sleep(time.Millisecond)
		}
	})
	if s[0].Stale() <= 0 {
		t.Fatal("the test needs stores that may keep something")
	}
	if err := s[0].Close(); err != nil {
		t.Fatal(err)
	}
	if s[0].Current(time.Now()) {
		t.Error("a closed store is current")
	}
}
