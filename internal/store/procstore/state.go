package procstore

import (
	"fmt"
	"time"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// setStatus takes a status over. The caller holds state.
func (s *Store) setStatus(st status) {
	was := s.now.Load().low
	var low error
	if st.Low != "" {
		low = &remote{text: st.Low, is: []error{store.ErrNoSpace}}
	}
	s.change(func(now *condition) { now.low, now.unmarked, now.fence = low, st.Unmarked, st.fence() })
	switch {
	case low != nil && was == nil:
		go s.report(low, "")
	case low == nil && was != nil:
		s.log.Info("there is room for the database again")
	}
}

// acknowledged notes a sequence that the child told.
func (s *Store) acknowledged(sequence uint64) {
	for {
		last := s.committed.Load()
		if sequence <= last || s.committed.CompareAndSwap(last, sequence) {
			return
		}
	}
}

// closeConn has a child close its database.
func (s *Store) closeConn(c *conn) {
	c.send(mustFinish(newFrame(kindClose, 0, 0)))
	select {
	case <-c.lost:
	case <-time.After(closeDeadline):
		c.kill()
		s.closeErr = fmt.Errorf("closing database: its disk did not answer within %s; nothing that was acknowledged is lost", closeDeadline)
		select {
		case <-c.lost:
		case <-time.After(2 * endGrace):
		}
	}
	c.mu.Lock()
	clean, err := c.clean, c.closed
	c.mu.Unlock()
	if clean {
		s.closeErr = err
	} else if s.closeErr == nil {
		said, reason := c.why()
		s.report(reason, said)
		s.closeErr = fmt.Errorf("closing database: %w", reason)
	}
	s.lose(store.ErrClosed)
	c.failAs(store.ErrClosed)
}

// awaitExit waits until a process is gone, since its database is locked as long
// as it is there. One that hangs in the kernel goes when the disk answers.
func (s *Store) awaitExit(c *conn) {
	late := time.NewTimer(closeDeadline)
	defer late.Stop()
	for {
		select {
		case <-c.exited:
			return
		case <-late.C:
			c.kill()
			reason := fmt.Errorf("the process of the database (%d) was killed and does not end, since the disk does not answer", c.cmd.Process.Pid)
			s.report(reason, "")
			if s.isClosed() {
				return
			}
			s.refuse(reason)
			late.Reset(silence)
		case <-s.stop:
			// Nobody waits for the database any more.
			c.kill()
			select {
			case <-c.exited:
			case <-time.After(2 * endGrace):
			}
			return
		}
	}
}

func mustFinish(frame []byte) []byte {
	frame, err := finish(frame)
	if err != nil {
		panic(err) // it has no payload
	}
	return frame
}
