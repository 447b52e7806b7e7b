package occasion

import (
	"sync"
	"time"
)

// Burst bounds what is written about events that strangers cause: so many of each
// kind in a window of time, and then one line that counts the rest. The zero Burst
// with its fields set is ready to use.
type Burst struct {
	// Each is how many of a kind are written in one Window.
	Each   int
	Window time.Duration

	mu    sync.Mutex
	kinds map[string]*window
}

// window is one kind's.
type window struct {
	ends    time.Time
	written int
	leftOut int
	rest    func(leftOut int)
	timer   *time.Timer
}

// Write calls write, unless there were Each of the kind in the window. In that case
// rest is called with how many were left out, once the window is over. There must be
// few kinds.
func (b *Burst) Write(kind string, now time.Time, write func(), rest func(leftOut int)) {
	if b.admits(kind, now, rest) {
		write()
	}
}

func (b *Burst) admits(kind string, now time.Time, rest func(int)) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	w := b.kinds[kind]
	if w == nil {
		if b.kinds == nil {
			b.kinds = make(map[string]*window)
		}
		w = new(window)
		b.kinds[kind] = w
	}
	if w.leftOut == 0 && !now.Before(w.ends) {
		w.ends, w.written = now.Add(b.Window), 0
	}
	if w.written < b.Each {
		w.written++
		return true
	}
	w.rest = rest // of the configuration that runs now
	if w.leftOut++; w.leftOut == 1 {
		w.timer = time.AfterFunc(w.ends.Sub(now), func() { b.end(w) })
	}
	return false
}

// end tells what was left out, and begins anew.
func (b *Burst) end(w *window) {
	b.mu.Lock()
	leftOut, rest := w.leftOut, w.rest
	w.leftOut, w.rest, w.ends = 0, nil, time.Time{}
	b.mu.Unlock()
	if leftOut > 0 {
		rest(leftOut)
	}
}

// Flush tells at once what was left out.
func (b *Burst) Flush() {
	b.mu.Lock()
	var open []*window
	for _, w := range b.kinds {
		if w.leftOut > 0 {
			w.timer.Stop()
			open = append(open, w)
		}
	}
	b.mu.Unlock()
	for _, w := range open {
		b.end(w)
	}
}
