package postgres

import (
	"fmt"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/internal/store/remote"
	"github.com/stepup-gateway/caddy-stepup/store"
)

const (
	// mostSkew is by how much this machine's clock may differ from the database's: one
	// gateway judges times that another one wrote.
	mostSkew = 2 * time.Second
	// skewedAfter is after how many readings in a row it counts as another one.
	skewedAfter = 3
)

// clockOf compares this machine's clock with the database's. The zero value found
// nothing wrong. Only the supervisor changes it.
type clockOf struct {
	skew  atomic.Int64 // by how much the database's is ahead, at least, in nanoseconds
	times atomic.Int32 // how often in a row it was beyond what may be
	wrong bool         // it was logged to be
}

// told says that the database's clock showed a time between two readings of this
// machine's.
func (c *clockOf) told(shown, from, to time.Time) {
	skew := remote.Skew(shown, from.Round(0), to.Round(0))
	c.skew.Store(int64(skew))
	if skew.Abs() <= mostSkew {
		c.times.Store(0)
	} else {
		c.times.Store(min(c.times.Load()+1, skewedAfter))
	}
}

// refusal says why this process must not go on.
func (c *clockOf) refusal() error {
	if c.times.Load() < skewedAfter {
		return nil
	}
	skew, word := time.Duration(c.skew.Load()), "behind"
	if skew < 0 {
		skew, word = -skew, "ahead of"
	}
	return fmt.Errorf("%w: this machine's clock is %v %s the database server's, and at most %v are allowed: set the clocks, by NTP",
		store.ErrUnavailable, skew.Round(100*time.Millisecond), word, mostSkew)
}

// tellClock logs when the clock has become wrong, and when it is right again.
func (s *Store) tellClock(refusal error) {
	switch wrong := refusal != nil; {
	case wrong == s.clock.wrong:
		return
	case wrong:
		s.log.Error("the clock is wrong; what is protected is refused until it is right", zap.Error(refusal))
	default:
		s.log.Info("the clock is right again")
	}
	s.clock.wrong = refusal != nil
}

// ClockSkew returns by how much the database's clock is ahead of this machine's, at
// least.
func (s *Store) ClockSkew() time.Duration { return time.Duration(s.clock.skew.Load()) }
