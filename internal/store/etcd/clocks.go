package etcd

import (
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/store/remote"
	"github.com/stepup-gateway/caddy-stepup/store"
)

const (
	// mostSkew is by how much the clocks of two processes may differ: one judges times
	// that another one wrote.
	mostSkew = 4 * time.Second
	// skewedAfter is after how many readings in a row a clock counts as another one.
	skewedAfter = 3
	// silentAfter is after which time a process counts no more that wrote none.
	silentAfter = 10 * time.Second
)

// clocks are those of the other processes that use the database. The zero value
// knows none.
type clocks struct {
	mu     sync.Mutex
	others map[string]*reading
}

type reading struct {
	skew  time.Duration // by how much its clock is certainly ahead; 0: it may be right
	times int           // how often in a row it was beyond what may be
	at    time.Time
}

// told says that a process wrote its time, between two readings of this one's clock.
func (c *clocks) told(run, text string, from, to time.Time) {
	nanos, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return // of a form that is not known here: it counts as silent
	}
	skew := remote.Skew(time.Unix(0, nanos), from.Round(0), to.Round(0))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.others == nil {
		c.others = map[string]*reading{}
	}
	r := c.others[run]
	if r == nil {
		r = new(reading)
		c.others[run] = r
	}
	r.skew, r.at = skew, time.Now()
	if skew.Abs() > mostSkew {
		r.times++
	} else {
		r.times = 0
	}
}

// heard returns how many processes wrote their time since then.
func (c *clocks) heard(since time.Time) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.others {
		if r.at.After(since) {
			n++
		}
	}
	return n
}

func (c *clocks) gone(run string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.others, run)
}

// compare counts the processes whose clock is alike and those whose clock differs,
// and returns by how much one is ahead, at least: the one that differs most, of those
// that differ in all readings if there are any.
func (c *clocks) compare() (alike, differing int, worst time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, alike, seen := time.Now(), 1, time.Duration(0)
	for run, r := range c.others {
		switch {
		case now.Sub(r.at) > silentAfter:
			delete(c.others, run)
		case r.times < skewedAfter:
			alike++
			seen = further(seen, r.skew)
		default:
			differing++
			worst = further(worst, r.skew)
		}
	}
	if differing == 0 {
		worst = seen
	}
	return alike, differing, worst
}

func further(a, b time.Duration) time.Duration {
	if b.Abs() > a.Abs() {
		return b
	}
	return a
}

// ClockSkew returns by how much the clock of another gateway is ahead of this one's,
// at least; that of the one that differs most.
func (s *Store) ClockSkew() time.Duration {
	_, _, worst := s.clocks.compare()
	return worst
}

// refusal says why this process must not go on, if its clock is not that of most:
// of two that differ nobody can say which is right, and both refuse.
func (c *clocks) refusal() error {
	alike, differing, worst := c.compare()
	if differing < alike {
		return nil
	}
	if worst > 0 {
		return fmt.Errorf("%w: this machine's clock is %v behind another gateway's, and at most %v are allowed: set the clocks, by NTP", store.ErrUnavailable, worst.Round(100*time.Millisecond), mostSkew)
	}
	return fmt.Errorf("%w: this machine's clock is %v ahead of another gateway's, and at most %v are allowed: set the clocks, by NTP", store.ErrUnavailable, -worst.Round(100*time.Millisecond), mostSkew)
}
