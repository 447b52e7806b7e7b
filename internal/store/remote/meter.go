package remote

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// A Meter counts the changes that were asked for. The zero value has counted none.
type Meter struct {
	done, refused, unknown, failed atomic.Uint64
	took                           atomic.Int64 // nanoseconds, of all of them
}

// Changes is what a [Meter] has counted since the start.
type Changes struct {
	Done    uint64 // that took place
	Refused uint64 // whose conditions did not hold, or whose generation had ended
	Unknown uint64 // of which nobody knows whether they took place
	Failed  uint64 // that did not take place for another reason
	Took    time.Duration
}

// Note counts a change that ended with err.
func (m *Meter) Note(began time.Time, err error) {
	m.took.Add(int64(time.Since(began)))
	switch {
	case err == nil:
		m.done.Add(1)
	case errors.Is(err, store.ErrUnknown):
		m.unknown.Add(1)
	case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrFenced):
		m.refused.Add(1)
	default:
		m.failed.Add(1)
	}
}

// Changes returns what was counted.
func (m *Meter) Changes() Changes {
	return Changes{m.done.Load(), m.refused.Load(), m.unknown.Load(), m.failed.Load(), time.Duration(m.took.Load())}
}
