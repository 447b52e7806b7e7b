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
		if got := Within(c.began, c.now, time.Second); got != c.good {
			t.Errorf("from %v to %v: %v", c.began, c.now, got)
		}
	}
	l := Lease{Stale: time.Second}
	if l.Good() {
		t.Error("good before any reading")
	}
	if l.Renew(time.Now()); !l.Good() {
		t.Error("not good after one")
	}
	if l.Renew(time.Now().Add(-time.Second)); l.Good() {
		t.Error("good after a reading that began a second ago")
	}
	l.Renew(time.Now())
	if l.End(); l.Good() {
		t.Error("good after its end")
	}
	if never := (Lease{}); never.Good() {
		t.Error("good though nothing may be kept")
	}
}
