package ceremonytest

import (
	"sync"
	"time"
)

// Clock is a clock that moves only when told. It may be used concurrently.
type Clock struct {
	mu   sync.Mutex
	at   time.Time
	tick time.Duration
	real bool
}

// Now is the time it shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.real {
		return time.Now()
	}
	c.at = c.at.Add(c.tick)
	return c.at
}

// Follow makes it the machine's clock from now on, by which engines that several
// gateways share judge what is in memory.
func (c *Clock) Follow() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.real = true
}

// Tick moves it on with each reading from now on, as no two readings of a real
// clock are the same.
func (c *Clock) Tick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tick = time.Microsecond
}

// Advance moves it on, or with a negative d back.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}
