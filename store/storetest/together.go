package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// testEachForItself changes and reads many entries at once, each by itself, so that an
// engine which makes one call of several has to tell them apart: of those that change
// an entry one succeeds, those on an older version do not, and none waits for others
// that take the same entries in another order.
func testEachForItself(t *testing.T, s [2]store.Shared) {
	const entries = 24
	name := func(i int) string { return string(key("%02d", i)) }
	versions := make([]store.Version, entries)
	for i := range entries {
		apply(t, s[0], put(name(i), "older"))
		versions[i] = version(t, s[0], name(i))
	}
	for round := range rounds / 4 {
		var won [entries]atomic.Int32
		older := versions
		versions = make([]store.Version, entries)
		for i := range entries {
			apply(t, s[round%2], put(name(i), fmt.Sprint("before ", round)))
			versions[i] = version(t, s[(round+1)%2], name(i))
		}
		race(t, func(n int) {
			one := s[n%2]
			race(t, func(m int) {
				i := (rand.IntN(entries) + m) % entries
				switch {
				case n == 0: // all of them, on a condition that does not hold
					var all []store.Op
					for i := range entries {
						all = append(all, on(older[i], put(name(i), "never")))
					}
					refuse(t, one, store.ErrConflict, all...)
				case n == 1:
					refuse(t, one, store.ErrConflict, on(older[i], put(name(i), "never")))
				case n == 2:
					if e, err := one.Get(background, []byte(name(i))); err != nil || string(e.Key) != name(i) || string(e.Value) == "never" {
						t.Errorf("Get %s: %q, %q, %v", name(i), e.Key, e.Value, err)
					}
					if _, err := one.Get(background, []byte(name(i)+" is not there")); !errors.Is(err, store.ErrNotFound) {
						t.Errorf("Get: %v, want ErrNotFound", err)
					}
				default:
					err := one.Apply(background, on(versions[i], put(name(i), fmt.Sprint("by ", n))))
					if err == nil {
						won[i].Add(1)
					} else if !errors.Is(err, store.ErrConflict) {
						t.Errorf("Apply: %v", err)
					}
				}
			})
		})
		for i := range entries {
			if n := won[i].Load(); n != 1 {
				t.Fatalf("%d changed %s on one version, want one", n, name(i))
			}
		}
	}
}
