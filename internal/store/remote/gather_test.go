package remote

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Calls that come while others are under way are made together, and each is told its
// own outcome.
func TestGatherer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var under, most, made, largest atomic.Int32
		raise := func(to *atomic.Int32, n int32) { to.Store(max(to.Load(), n)) }
		g := Gatherer[int]{Lanes: 2, Most: 10, Run: func(_ context.Context, calls []int) []error {
			raise(&most, under.Add(1))
			raise(&largest, int32(len(calls)))
			made.Add(1)
			time.Sleep(time.Millisecond)
			under.Add(-1)
			outcomes := make([]error, len(calls))
			for i, c := range calls {
				outcomes[i] = fmt.Errorf("%d", c)
			}
			return outcomes
		}}
		for range 2 { // the lanes begin anew
			began := time.Now()
			var all sync.WaitGroup
			for i := range 100 {
				all.Go(func() {
					begun, err := g.Do(t.Context(), i)
					if want := fmt.Sprint(i); !begun || err.Error() != want {
						t.Errorf("call %d: %v, %v", i, begun, err)
					}
				})
			}
			all.Wait()
			if took := time.Since(began); took > 7*time.Millisecond {
				t.Errorf("they took %v", took)
			}
		}
		if most.Load() != 2 || largest.Load() != 10 || made.Load() > 28 {
			t.Errorf("%d calls, at most %d at once, of at most %d", made.Load(), most.Load(), largest.Load())
		}
	})
}

// Whoever cannot wait any longer is told whether the call had begun; one that had not
// never begins.
func TestGathererWithdraws(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var made atomic.Int32
		g := Gatherer[int]{Lanes: 1, Most: 10, Run: func(ctx context.Context, calls []int) []error {
			made.Add(int32(len(calls)))
			<-ctx.Done() // hangs
			return make([]error, len(calls))
		}}
		var all sync.WaitGroup
		for i := range 5 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			all.Go(func() {
				begun, err := g.Do(ctx, i)
				if begun != (i == 0) || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("call %d: %v, %v", i, begun, err)
				}
			})
			synctest.Wait() // the first one has begun
		}
		all.Wait()
		time.Sleep(2 * CallTimeout)
		if begun, err := g.Do(t.Context(), 6); !begun || err != nil {
			t.Errorf("a later call: %v, %v", begun, err)
		}
		if n := made.Load(); n != 2 {
			t.Errorf("%d calls were made, want 2", n)
		}
	})
}
