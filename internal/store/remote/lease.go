package remote

import (
	"sync/atomic"
	"time"
)

// A Lease is until when what is in memory may be used: less than Stale after the
// last complete reading of what was told began. Two clocks are asked, since each has
// a fault that the other has not: one stands still while the machine is suspended,
// the other may be set.
type Lease struct {
	Stale time.Duration
	began atomic.Pointer[reading]
}

// reading is when one began, by both clocks.
type reading struct {
	at   time.Time
	wall int64 // nanoseconds
}

// Renew says that a complete reading began then.
func (l *Lease) Renew(began time.Time) { l.began.Store(&reading{began, began.UnixNano()}) }

// End makes the lease no good.
func (l *Lease) End() { l.began.Store(nil) }

// Good reports whether what is in memory may be used by somebody who began now.
func (l *Lease) Good(now time.Time) bool {
	began := l.began.Load()
	if began == nil {
		return false
	}
	return within(now.Sub(began.at), time.Duration(now.UnixNano()-began.wall), l.Stale)
}

// Began returns when the last complete reading began; zero before the first, and
// after End.
func (l *Lease) Began() time.Time {
	if began := l.began.Load(); began != nil {
		return began.at
	}
	return time.Time{}
}

// Within reports whether less than d has gone by between two readings of the clocks.
func Within(began, now time.Time, d time.Duration) bool {
	return within(now.Sub(began), now.Round(0).Sub(began.Round(0)), d)
}

// within is Within of what has gone by on each of the clocks.
func within(elapsed, wall, d time.Duration) bool {
	return 0 <= elapsed && elapsed < d && 0 <= wall && wall < d
}

// Skew returns by how much a clock is ahead, at least, that showed this time
// between two others.
func Skew(shown, from, to time.Time) time.Duration {
	switch {
	case shown.After(to):
		return shown.Sub(to)
	case shown.Before(from):
		return shown.Sub(from)
	}
	return 0
}
