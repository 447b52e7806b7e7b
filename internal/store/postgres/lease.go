package postgres

import (
	"sync/atomic"
	"time"
)

// lease is until when what is in memory may be used: less than stale after the last
// complete reading of the feed began. Two clocks are asked, since each has a fault
// that the other has not: one stands still while the machine is suspended, the other
// may be set.
type lease struct {
	stale time.Duration
	began atomic.Pointer[time.Time]
}

// renew says that a complete reading began then.
func (l *lease) renew(began time.Time) { l.began.Store(&began) }

func (l *lease) end() { l.began.Store(nil) }

func (l *lease) isGood() bool {
	began := l.began.Load()
	return began != nil && within(*began, time.Now(), l.stale)
}

// within reports whether less than d has gone by between two readings of the clocks.
func within(began, now time.Time, d time.Duration) bool {
	elapsed, wall := now.Sub(began), now.Round(0).Sub(began.Round(0))
	return 0 <= elapsed && elapsed < d && 0 <= wall && wall < d
}
