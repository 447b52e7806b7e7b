package remote

import (
	"context"
	"slices"
	"sync"
	"time"
)

// A Gatherer makes one call of several that wait, so that what each call costs the
// server and the connection is paid once for all of them. It waits for nobody: a call
// that comes while none is under way begins at once, and those that come meanwhile are
// the next one. Only where somebody has waited long another begins beside it.
type Gatherer[C any] struct {
	// Most is of how many calls one is made.
	Most int

	// Run makes one call of several, in [CallTimeout], and returns the error of each.
	Run func(ctx context.Context, calls []C) []error

	mu      sync.Mutex
	running int // how many are under way
	waiting []*gathered[C]
}

type gathered[C any] struct {
	call C
	done chan error // has room for the outcome
}

// Whoever has waited for longer than hurry begins one beside those that are under way,
// unless there are so many.
const (
	hurry       = 20 * time.Millisecond
	mostRunning = 8
)

// Do makes the call with others. Where ctx ends first it returns the error of ctx, and
// whether the call had begun, which then goes on for itself.
func (g *Gatherer[C]) Do(ctx context.Context, call C) (begun bool, err error) {
	w := &gathered[C]{call: call, done: make(chan error, 1)}
	g.mu.Lock()
	g.waiting = append(g.waiting, w)
	g.begin(1)
	g.mu.Unlock()
	long := time.NewTimer(hurry)
	defer long.Stop()
	for {
		select {
		case err := <-w.done:
			return true, err
		case <-ctx.Done():
			return !g.withdraw(w), ctx.Err()
		case <-long.C:
			if g.hurries(w) {
				long.Reset(hurry)
			}
		}
	}
}

// begin begins to make calls, unless so many are under way. The lock is held.
func (g *Gatherer[C]) begin(most int) {
	if g.running < most {
		g.running++
		go g.run()
	}
}

// hurries does what it takes for a call that waits still, and reports whether it does.
func (g *Gatherer[C]) hurries(w *gathered[C]) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	waits := slices.Contains(g.waiting, w)
	if waits {
		g.begin(mostRunning)
	}
	return waits
}

// withdraw takes back what waits still.
func (g *Gatherer[C]) withdraw(w *gathered[C]) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.waiting, w)
	if i < 0 {
		return false
	}
	g.waiting = slices.Delete(g.waiting, i, i+1)
	return true
}

// run makes calls for as long as some wait.
func (g *Gatherer[C]) run() {
	for {
		taken := g.take()
		if len(taken) == 0 {
			return
		}
		calls := make([]C, len(taken))
		for i, w := range taken {
			calls[i] = w.call
		}
		ctx, cancel := context.WithTimeout(context.Background(), CallTimeout)
		outcomes := g.Run(ctx, calls)
		cancel()
		for i, w := range taken {
			w.done <- outcomes[i]
		}
	}
}

// take takes those that have waited longest; where none does it ends.
func (g *Gatherer[C]) take() []*gathered[C] {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(len(g.waiting), g.Most)
	if n == 0 {
		g.running--
		return nil
	}
	taken := slices.Clone(g.waiting[:n])
	g.waiting = slices.Delete(g.waiting, 0, n)
	return taken
}
