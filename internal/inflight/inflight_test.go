package inflight_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/inflight"
)

var bounds = inflight.Bounds{Bytes: 100, Each: 40, Waiting: 4, WaitingEach: 2, Wait: 10 * time.Second}

func who(name byte) inflight.Who { return inflight.Who{name} }

func take(t *testing.T, r *inflight.Room, name byte, n int64) *inflight.Taken {
	t.Helper()
	taken, err := r.Take(t.Context(), who(name), n, bounds)
	if err != nil {
		t.Fatalf("%c: %v", name, err)
	}
	return taken
}

// asking is somebody who waits.
type asking struct {
	taken *inflight.Taken
	err   error
	done  bool
	after time.Duration
}

func ask(ctx context.Context, r *inflight.Room, name byte, n int64) *asking {
	a := new(asking)
	go func() {
		began := time.Now()
		a.taken, a.err = r.Take(ctx, who(name), n, bounds)
		a.done, a.after = true, time.Since(began)
	}()
	synctest.Wait()
	return a
}

// One person has at most their share, and nobody waits behind those who wait for
// their own.
func TestS26OnePersonHasAShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r inflight.Room
		first := take(t, &r, 'a', 30)
		second := ask(t.Context(), &r, 'a', 30)
		if second.done {
			t.Fatal("more than a share", second.err)
		}
		b := take(t, &r, 'b', 40)
		third := ask(t.Context(), &r, 'a', 5)
		if third.done {
			t.Fatal("overtook the own request in front")
		}
		if fourth := ask(t.Context(), &r, 'a', 5); !errors.Is(fourth.err, inflight.ErrFull) {
			t.Error("three of one person wait:", fourth.err)
		}
		first.Release()
		first.Release()
		synctest.Wait()
		if !second.done || second.err != nil || !third.done {
			t.Fatal("the share is free, and not given on")
		}
		// A request over the share has it alone.
		big := ask(t.Context(), &r, 'c', 60)
		if big.done {
			t.Fatal("over the bound in all")
		}
		b.Release()
		synctest.Wait()
		if !big.done || big.err != nil {
			t.Fatal("a large one is never let in:", big.err)
		}
		for _, taken := range []*inflight.Taken{second.taken, third.taken, big.taken} {
			taken.Release()
		}
		if used, waiting := r.Used(); used != 0 || waiting != 0 {
			t.Error(used, waiting)
		}
	})
}

// Who waits is served in order, leaves when the time is over or the client went
// away, and is told at once where too many wait.
func TestS26WaitersAreBoundedAndServedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r inflight.Room
		a, b, c := take(t, &r, 'a', 40), take(t, &r, 'b', 40), take(t, &r, 'c', 20)
		ctx, cancel := context.WithCancel(t.Context())
		gone := ask(ctx, &r, 'd', 40)
		large, small := ask(t.Context(), &r, 'e', 40), ask(t.Context(), &r, 'f', 10)
		c.Release()
		synctest.Wait()
		if small.done {
			t.Error("a small one overtook a large one")
		}
		last := ask(t.Context(), &r, 'g', 40)
		if over := ask(t.Context(), &r, 'h', 40); !errors.Is(over.err, inflight.ErrFull) || over.after != 0 {
			t.Error("a fifth waits:", over.err, over.after)
		}
		cancel()
		synctest.Wait()
		if !gone.done || !errors.Is(gone.err, context.Canceled) {
			t.Error("a client that went away waits on")
		}
		a.Release()
		synctest.Wait()
		if !large.done || large.err != nil || !small.done || small.err != nil {
			t.Error("not served", large, small)
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if !last.done || !errors.Is(last.err, inflight.ErrFull) || last.after != 10*time.Second {
			t.Error("waited", last.after, last.err)
		}
		if _, err := r.Take(t.Context(), who('z'), 101, bounds); !errors.Is(err, inflight.ErrFull) {
			t.Error("more than all:", err)
		}
		b.Release()
		large.taken.Release()
		small.taken.Release()
		if used, waiting := r.Used(); used != 0 || waiting != 0 {
			t.Error(used, waiting)
		}
	})
}

func TestS26RateOfOnePerson(t *testing.T) {
	var r inflight.Rate
	now := time.Date(2027, 1, 15, 12, 0, 0, 0, time.UTC)
	for i := range 30 {
		if wait := r.Allow(who('a'), now, 1, 30, time.Minute); wait != 0 {
			t.Fatal(i, wait)
		}
	}
	if wait := r.Allow(who('a'), now, 1, 30, time.Minute); wait.Round(time.Millisecond) != 2*time.Second {
		t.Error(wait)
	}
	if wait := r.Allow(who('b'), now, 1, 30, time.Minute); wait != 0 {
		t.Error("another person:", wait)
	}
	got := 0
	for i := range 600 { // a minute, ten times a second
		if r.Allow(who('a'), now.Add(time.Duration(i)*100*time.Millisecond), 1, 30, time.Minute) == 0 {
			got++
		}
	}
	if got < 28 || got > 31 {
		t.Errorf("%d in the next minute", got)
	}
	if wait := r.Allow(who('d'), now, 20, 30, time.Minute); wait != 0 {
		t.Error("20 of 30:", wait)
	}
	if wait := r.Allow(who('d'), now, 20, 30, time.Minute).Round(time.Second); wait != 20*time.Second {
		t.Error("40 of 30:", wait)
	}
	// Nobody waits longer than the period, whatever the clock did.
	r.Allow(who('c'), now.Add(2*time.Hour), 1, 30, time.Minute)
	for range 31 {
		if wait := r.Allow(who('c'), now, 1, 30, time.Minute); wait > time.Minute {
			t.Fatal(wait)
		}
	}
}
