package procstore

import (
	"bufio"
	"io"
	"sync"
	"time"
)

// An outbox writes frames in the order in which they are put. What many
// goroutines put at once goes out in one system call; pieces that are larger
// than the buffer are not copied into it.
type outbox struct {
	mu      sync.Mutex
	pending [][]byte
	err     error
	wake    chan struct{} // of capacity one
	written chan struct{} // closed and replaced after each write
	busy    bool
}

func newOutbox(to io.Writer) *outbox {
	o := &outbox{wake: make(chan struct{}, 1), written: make(chan struct{})}
	go o.run(to)
	return o
}

// put queues a frame in one or more pieces, which are not to be changed.
func (o *outbox) put(pieces ...[]byte) {
	o.mu.Lock()
	o.pending = append(o.pending, pieces...)
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

func (o *outbox) run(to io.Writer) {
	w := bufio.NewWriterSize(to, 64<<10)
	var batch [][]byte
	for range o.wake {
		o.mu.Lock()
		batch, o.pending = o.pending, batch[:0]
		o.busy = true
		o.mu.Unlock()
		var err error
		for i, piece := range batch {
			if err == nil {
				_, err = w.Write(piece)
			}
			batch[i] = nil
		}
		if err == nil {
			err = w.Flush()
		}
		o.mu.Lock()
		o.busy = false
		close(o.written)
		o.written = make(chan struct{})
		if err != nil {
			o.err, o.pending = err, nil
		}
		o.mu.Unlock()
		if err != nil {
			return // nobody reads any more
		}
	}
}

// flush waits until everything is written or cannot be, but no longer than d.
func (o *outbox) flush(d time.Duration) {
	late := time.After(d)
	for {
		o.mu.Lock()
		done, written := o.err != nil || len(o.pending) == 0 && !o.busy, o.written
		o.mu.Unlock()
		if done {
			return
		}
		select {
		case <-written:
		case <-late:
			return
		}
	}
}
