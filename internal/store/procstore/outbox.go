package procstore

import (
	"bufio"
	"io"
	"sync"
	"time"
)

// An outbox writes frames in the order in which they are put. Anyone who sends
// writes what all have put until then, in as few system calls as it fits in;
// pieces that are larger than the buffer are not copied into it.
type outbox struct {
	w *bufio.Writer // of whoever is writing

	mu      sync.Mutex
	pending [][]byte
	spare   [][]byte // the array of what was written last
	writing bool
	err     error
}

func newOutbox(to io.Writer) *outbox { return &outbox{w: bufio.NewWriterSize(to, 64<<10)} }

// put queues a frame in one or more pieces, which are not to be changed.
func (o *outbox) put(pieces ...[]byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		o.pending = append(o.pending, pieces...)
	}
}

// send writes what was put. Where somebody else is at it they write that too; what
// comes while it writes is left to a goroutine, so that nobody writes for others for
// long.
func (o *outbox) send() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.writing || len(o.pending) == 0 {
		return
	}
	o.writing = true
	o.writePending()
	if len(o.pending) == 0 {
		o.writing = false
		return
	}
	go func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		for len(o.pending) > 0 {
			o.writePending()
		}
		o.writing = false
	}()
}

// writePending writes what is pending. The lock is held, but not meanwhile.
func (o *outbox) writePending() {
	batch := o.pending
	o.pending = o.spare[:0]
	o.mu.Unlock()
	err := o.write(batch)
	o.mu.Lock()
	o.spare = batch
	if err != nil {
		o.err, o.pending = err, nil // nobody reads any more
	}
}

func (o *outbox) write(batch [][]byte) (err error) {
	for i, piece := range batch {
		if err == nil {
			_, err = o.w.Write(piece)
		}
		batch[i] = nil
	}
	if err == nil {
		err = o.w.Flush()
	}
	return err
}

// flush sends, and waits until everything is written or cannot be, but no longer
// than d.
func (o *outbox) flush(d time.Duration) {
	go o.send()
	for late := time.Now().Add(d); time.Now().Before(late); time.Sleep(time.Millisecond) {
		o.mu.Lock()
		done := len(o.pending) == 0 && !o.writing
		o.mu.Unlock()
		if done {
			return
		}
	}
}
