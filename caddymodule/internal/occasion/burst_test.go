package occasion

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// S26: what strangers cause a thousand times a second is written a few times a
// minute, and the rest is counted.
func TestS26Burst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		written, rests := 0, []int{}
		b := Burst{Each: 10, Window: time.Minute}
		cause := func() {
			b.Write("bad_key", time.Now(), func() { mu.Lock(); written++; mu.Unlock() }, func(n int) { mu.Lock(); rests = append(rests, n); mu.Unlock() })
		}
		for range 30_000 {
			cause()
			time.Sleep(time.Millisecond)
		}
		if written != 10 || len(rests) != 0 {
			t.Errorf("after 30 s: %d written, rests %v", written, rests)
		}
		other := false
		b.Write("wrong_tenant", time.Now(), func() { other = true }, nil)
		if !other {
			t.Error("another kind was left out")
		}
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if !slices.Equal(rests, []int{29_990}) {
			t.Errorf("after the window: rests %v, want 29990", rests)
		}
		cause()
		if written != 11 {
			t.Errorf("in the next window: %d written, want 11", written)
		}
		for range 19 {
			cause()
		}
		b.Flush()
		if !slices.Equal(rests, []int{29_990, 10}) || written != 20 {
			t.Errorf("after a flush: %d written, rests %v", written, rests)
		}
		var many sync.WaitGroup
		for range 50 {
			many.Go(func() {
				for range 100 {
					cause()
				}
			})
		}
		many.Wait()
		b.Flush()
		if got := written + rests[0] + rests[1] + rests[len(rests)-1]; got != 30_020+5_000 {
			t.Errorf("written and counted: %d of %d (%v)", got, 35_020, rests)
		}
	})
}
