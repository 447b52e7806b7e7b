package storetest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/store"
)

func testClosed(t *testing.T, s store.Store) {
	apply(t, s, put("a", "1"))
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
	if _, err := s.Get(t.Context(), []byte("a")); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Get: %v, want ErrClosed", err)
	}
	if _, err := s.List(t.Context(), nil, nil, 1); !errors.Is(err, store.ErrClosed) {
		t.Errorf("List: %v, want ErrClosed", err)
	}
	refuse(t, s, store.ErrClosed, put("a", "x"))
	refuse(t, s, store.ErrClosed, put("a", pattern(300<<10, 1)))
	refuse(t, s, store.ErrClosed, del("a"))
}

// testClosingUnderLoad closes while every verb is in use: each call succeeds or is told that the store is
// closed, none hangs, panics or fails otherwise.
func testClosingUnderLoad(t *testing.T, s store.Store) {
	apply(t, s, put("r", "1"), put("large", pattern(300<<10, 1)))
	var calls atomic.Int64
	var wg sync.WaitGroup
	loop := func(what string, call func(i int) error) {
		wg.Go(func() {
			for i := 0; ; i++ {
				err := call(i)
				if errors.Is(err, store.ErrClosed) {
					return
				}
				if err != nil {
					t.Errorf("%s: %v, want ErrClosed", what, err)
					return
				}
				calls.Add(1)
			}
		})
	}
	for w := range 8 {
		loop("Get", func(int) error { _, err := s.Get(background, []byte("large")); return err })
		loop("List", func(int) error { _, err := s.List(background, nil, nil, 10); return err })
		loop("Apply", func(i int) error { return s.Apply(background, put(string(key("w%d", w)), string(key("%d", i)))) })
	}
	loop("large Apply", func(i int) error { return s.Apply(background, put("big", pattern(400<<10, uint64(i)))) })
	for calls.Load() < 200 {
		time.Sleep(time.Millisecond)
		if t.Failed() {
			break
		}
	}
	within(t, "Close", func() {
		// From several sides at once, as overlapping owners would.
		var closers sync.WaitGroup
		for range 3 {
			closers.Go(func() {
				if err := s.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
		}
		closers.Wait()
	})
	within(t, "a call on a closed store", wg.Wait)
}

// testCancelledUnderLoad gives up on Apply calls at random times. One that is told nothing changed must have
// changed nothing, ever.
func testCancelledUnderLoad(t *testing.T, s store.Store) {
	var cancelled atomic.Int64
	race(t, func(i int) {
		for n := range 20 {
			ctx, cancel := context.WithTimeout(background, time.Duration(i*n)*10*time.Microsecond)
			name := string(key("%d/%d", i, n))
			value := "1"
			if i == 0 {
				value = pattern(600<<10, 1)
			}
			err := s.Apply(ctx, on(absent, put(name, value)))
			cancel()
			_, getErr := s.Get(background, []byte(name))
			switch {
			case err == nil:
				if getErr != nil {
					t.Errorf("Get after an acknowledged Apply: %v", getErr)
				}
			case errors.Is(err, store.ErrUnknown):
			case errors.Is(err, context.DeadlineExceeded):
				cancelled.Add(1)
				// Anyone who was told so may try again, and must find nothing in the way.
				if err := s.Apply(background, on(absent, put(name, "again"))); err != nil {
					t.Errorf("Apply after a cancelled one: %v", err)
				}
			default:
				t.Errorf("Apply: %v", err)
			}
		}
	})
	if cancelled.Load() == 0 {
		t.Error("no call was cancelled, so nothing was tested")
	}
}
