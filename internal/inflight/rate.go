package inflight

import (
	"sync"
	"time"
)

// Rate counts what each person takes over time, such as bytes. The zero value has
// counted nothing. It may be used concurrently.
//
// Of each person only one time is kept: when all that they took so far is
// forgotten, at the even rate (the generic cell rate algorithm). So a person may
// take all at once, and then goes on at that rate.
type Rate struct {
	mu     sync.Mutex
	ends   map[Who]int64 // in nanoseconds since began
	began  time.Time
	pruned int64
}

// maxPeople bounds whom a Rate remembers. Beyond, all others are one person: who
// is let in late must not be who makes up many names first.
const maxPeople = 100_000

// Allow counts n for who and returns 0, or counts nothing and returns how long to
// wait. Nobody gets more than limit at once, nor more than twice that in any
// stretch of period. n is at most limit.
func (r *Rate) Allow(who Who, now time.Time, n, limit int64, period time.Duration) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ends == nil {
		r.ends, r.began = make(map[Who]int64), now
	}
	at := int64(now.Sub(r.began))
	r.prune(at, int64(period))
	if _, ok := r.ends[who]; !ok && len(r.ends) >= maxPeople {
		who = Who{}
	}
	takes := int64(float64(period) * (float64(min(n, limit)) / float64(limit)))
	// A clock that was set back must cost nobody more than one period.
	end := min(max(r.ends[who], at), at+int64(period))
	if wait := end + takes - (at + int64(period)); wait > 0 {
		return time.Duration(wait)
	}
	r.ends[who] = end + takes
	return 0
}

// prune forgets, once in a period, those who did nothing for one.
func (r *Rate) prune(at, period int64) {
	if since := at - r.pruned; since >= 0 && since < period {
		return
	}
	r.pruned = at
	for who, end := range r.ends {
		if end <= at || end > at+2*period {
			delete(r.ends, who)
		}
	}
}
