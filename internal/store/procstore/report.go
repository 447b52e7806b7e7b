package procstore

import (
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// A reason is logged when it appears and then every reportEvery at most: a
// database that does not open is tried again all the time. No more than
// maxReasons are told apart.
const (
	reportEvery = 10 * time.Minute
	maxReasons  = 32
)

type reports struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// due reports whether a reason is to be logged now. Reasons that differ in
// their numbers are the same one.
func (r *reports) due(reason string, now time.Time) bool {
	reason = strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' {
			return -1
		}
		return c
	}, reason)
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, ok := r.last[reason]; ok && now.Sub(at) < reportEvery {
		return false
	}
	if r.last == nil || len(r.last) >= maxReasons {
		r.last = make(map[string]time.Time)
	}
	r.last[reason] = now
	return true
}

// report logs why the database is out of use.
func (s *Store) report(reason error, said string) {
	if s.isClosed() || !s.reports.due(reason.Error(), time.Now()) {
		return
	}
	fields := []zap.Field{zap.Error(reason), zap.String("dir", s.o.Dir)}
	if said != "" {
		fields = append(fields, zap.String("output", said))
	}
	s.log.Error("the database is out of use or refuses changes; what is protected is refused until its cause is gone", fields...)
}
