package remote

import (
	"testing"
	"time"
)

// The lease ends by whichever clock has gone on longer.
func TestLease(t *testing.T) {
	now := time.Now()
	wall := func(d time.Duration) time.Time { return now.Round(0).Add(d) } // without the steady clock
	for _, c := range []struct {
		began, now time.Time
		good       bool
	}{
		{now, now, true},
		{now, now.Add(999 * time.Millisecond), true},
		{now, now.Add(time.Second), false},
		{now, now.Add(-time.Millisecond), false},
		{wall(0), wall(time.Hour), false},    // the machine was suspended
		{wall(0), wall(-time.Second), false}, // the clock was set back
		{wall(0), wall(time.Millisecond), true},
	} {
		l := Lease{Stale: time.Second}
		l.Renew(c.began)
		if got, leased := Within(c.began, c.now, time.Second), l.Good(c.now); got != c.good || leased != c.good {
			t.Errorf("from %v to %v: %v, by the lease %v", c.began, c.now, got, leased)
		}
	}
	l := Lease{Stale: time.Second}
	if l.Good(time.Now()) {
		t.Error("good before any reading")
	}
	if l.Renew(time.Now()); !l.Good(time.Now()) {
		t.Error("not good after one")
	}
	if l.Renew(time.Now().Add(-time.Second)); l.Good(time.Now()) {
		t.Error("good after a reading that began a second ago")
	}
	l.Renew(time.Now())
	if l.End(); l.Good(time.Now()) {
		t.Error("good after its end")
	}
	if never := (Lease{}); never.Good(time.Now()) {
		t.Error("good though nothing may be kept")
	}
}
