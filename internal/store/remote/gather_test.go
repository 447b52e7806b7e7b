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
		g := Gatherer[int]{Most: 10, Run: func(_ context.Context, calls []int) []error {
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
		for range 2 { // it begins anew
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
			if took := time.Since(began); took > 12*time.Millisecond {
				t.Errorf("they took %v", took)
			}
		}
		if most.Load() != 1 || largest.Load() != 10 || made.Load() > 26 {
			t.Errorf("%d calls, at most %d at once, of at most %d", made.Load(), most.Load(), largest.Load())
		}
	})
}

// Whoever cannot wait any longer is told whether the call had begun; one that had not
// never begins. A call that hangs keeps others for hurry only.
func TestGathererOfAHungServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var made atomic.Int32
		g := Gatherer[int]{Most: 10, Run: func(ctx context.Context, calls []int) []error {
			if made.Add(1); calls[0] < mostRunning {
				<-ctx.Done() // hangs
			}
			return make([]error, len(calls))
		}}
		var all sync.WaitGroup
		for i := range mostRunning + 2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			all.Go(func() {
				begun, err := g.Do(ctx, i)
				if begun != (i < mostRunning) || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("call %d: %v, %v", i, begun, err)
				}
			})
			time.Sleep(2 * hurry)
			synctest.Wait()
			if n := int(made.Load()); n != min(i+1, mostRunning) {
				t.Errorf("%d calls are under way after %d", n, i+1)
			}
		}
		all.Wait()
		time.Sleep(2 * CallTimeout)
		if begun, err := g.Do(t.Context(), mostRunning); !begun || err != nil {
			t.Errorf("a later call: %v, %v", begun, err)
		}
		if n := made.Load(); n != mostRunning+1 {
			t.Errorf("%d calls were made, want %d", n, mostRunning+1)
		}
	})
}
