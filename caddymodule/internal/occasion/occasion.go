// Package occasion counts what is refused again and again, so that it is logged now
// and then: strangers choose how many requests are refused.
package occasion

import (
	"sync"
	"time"
)

// Occasion is one reason to refuse. The zero Occasion has had no refusal.
type Occasion struct {
	mu      sync.Mutex
	last    time.Time
	refused int // since then
}

// Due counts a refusal, and reports whether it is to be logged, as the first or since
// quiet has passed since the last that was, and how many there were since that.
func (o *Occasion) Due(now time.Time, quiet time.Duration) (refused int, due bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.refused++
	if !o.last.IsZero() && now.Sub(o.last) < quiet {
		return 0, false
	}
	refused, o.last, o.refused = o.refused, now, 0
	return refused, true
}
