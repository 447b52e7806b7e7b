//go:build clockfault

// Package clock is the clock by which the gateway judges what is stored, off by what
// a file says. It is for tests.
package clock

import (
	"os"
	"strings"
	"sync"
	"time"
)

// file is where the offset stands, as a duration; it is read again after readEvery.
const (
	file      = "STEP_UP_CLOCK_OFFSET_FILE"
	readEvery = 100 * time.Millisecond
)

var (
	mu     sync.Mutex
	read   time.Time
	offset time.Duration
)

// Now returns the time of a clock that is off. A file that is not there or cannot be
// read changes nothing.
func Now() time.Time {
	mu.Lock()
	defer mu.Unlock()
	now := time.Now()
	if now.Sub(read) > readEvery {
		read = now
		if text, err := os.ReadFile(os.Getenv(file)); err == nil {
			if d, err := time.ParseDuration(strings.TrimSpace(string(text))); err == nil {
				offset = d
			}
		}
	}
	return now.Add(offset)
}
