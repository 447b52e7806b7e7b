package badgerstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// begin begins a change and returns where its outcome will come from.
func begin(t *testing.T, s *Store, ops ...store.Op) (outcome <-chan error, withdraw func()) {
	t.Helper()
	told := make(chan error, 2)
	withdraw, begun := s.Begin(false, ops, func(err error, _ bool) { told <- err })
	if !begun {
		t.Fatal("not begun")
	}
	return told, withdraw
}

func TestBegin(t *testing.T) {
	s := open(t, t.TempDir())
	for _, c := range []struct {
		name string
		ops  []store.Op
		want error
	}{
		{"a change", []store.Op{{Key: []byte("a"), Value: []byte("1"), If: store.If(0)}}, nil},
		{"one whose condition does not hold", []store.Op{{Key: []byte("a"), Value: []byte("2"), If: store.If(0)}}, store.ErrConflict},
		{"nothing", nil, nil},
		{"nonsense", []store.Op{{}}, store.ErrInvalid},
	} {
		outcome, _ := begin(t, s, c.ops...)
		if err := <-outcome; !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if _, begun := s.Begin(false, []store.Op{{Key: []byte("large"), Value: make([]byte, store.MaxValue)}}, func(error, bool) { t.Error("told") }); begun {
		t.Error("a large value was begun")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	outcome, _ := begin(t, s, put("late", "1"))
	if err := <-outcome; !errors.Is(err, store.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// A change is withdrawn as long as the committer has not taken it.
func TestBegunIsWithdrawn(t *testing.T) {
	s := open(t, t.TempDir())
	disk := slow(s)
	first := disk.busy(t, s)
	outcome, withdraw := begin(t, s, put("a", "1"))
	withdraw()
	if err := <-outcome; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	kept, withdraw := begin(t, s, put("b", "1"))
	disk.next <- struct{}{}
	eventually(t, func() bool { return disk.asked.Load() == 2 })
	withdraw() // too late
	disk.next <- struct{}{}
	if err := errors.Join(<-first, <-kept); err != nil {
		t.Error(err)
	}
	if _, err := s.Get(t.Context(), []byte("a")); !errors.Is(err, store.ErrNotFound) {
		t.Error("what was withdrawn took place:", err)
	}
	if _, err := s.Get(t.Context(), []byte("b")); err != nil {
		t.Error(err)
	}
}

// Everybody is told once, also of those that come while the store is closed, and
// what was acknowledged is there.
func TestBegunWhileClosing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	const callers, each = 8, 100
	var told, done [callers * each]atomic.Int64
	var all, began sync.WaitGroup
	began.Add(callers)
	for caller := range callers {
		all.Go(func() {
			var mine sync.WaitGroup
			for i := range each {
				if i == each/4 {
					began.Done()
				}
				n := caller*each + i
				mine.Add(1)
				_, begun := s.Begin(false, []store.Op{put(fmt.Sprint(n), "1")}, func(err error, _ bool) {
					told[n].Add(1)
					switch {
					case err == nil:
						done[n].Store(1)
					case !errors.Is(err, store.ErrClosed):
						t.Error(err)
					}
					mine.Done()
				})
				if !begun {
					mine.Done()
				}
			}
			mine.Wait()
		})
	}
	began.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	s = open(t, dir)
	for n := range told {
		if told[n].Load() > 1 {
			t.Errorf("told %d times", told[n].Load())
		}
		if _, err := s.Get(t.Context(), fmt.Append(nil, n)); done[n].Load() == 1 && err != nil {
			t.Error("an acknowledged change is not there:", err)
		}
	}
}
