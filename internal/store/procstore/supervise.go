package procstore

import (
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/store"
)

const (
	// A child that was lost is replaced after firstPause, and each further
	// attempt waits twice as long, up to longestPause. A call that is refused
	// meanwhile has the next attempt made at once, if the last one began
	// askedPause ago.
	firstPause   = 100 * time.Millisecond
	longestPause = 30 * time.Second
	askedPause   = 5 * time.Second

	// The pauses begin anew after a child that was in use for settledAfter, or
	// answered settledCalls.
	settledAfter = 30 * time.Second
	settledCalls = 10

	// lockPatience is how long another process may have the database open at
	// the first attempt: the child of a gateway that was killed closes it.
	lockPatience = 5 * time.Second

	// silence is how long a child may answer nothing before it is killed.
	silence = 60 * time.Second

	// closeDeadline is how long Close waits for a child.
	closeDeadline = 10 * time.Second
)

// supervise runs one child after the other until the store is closed.
func (s *Store) supervise() {
	defer close(s.finished)
	pause := time.Duration(0)
	began := time.Now()
	for first := true; !s.isClosed(); {
		started := time.Now()
		conn, err := startConn(s, s.committed.Load())
		opened := false
		if err == nil {
			opened, err = s.serve(conn)
		}
		switch {
		case s.isClosed():
		case !opened && first && errors.Is(err, store.ErrLocked) && time.Since(began) < lockPatience:
		case !opened:
			said := ""
			if conn != nil {
				said, _ = conn.why()
			}
			s.report(err, said)
			s.refuse(err)
			if first { // whoever waits for it finds the reason in Health
				first = false
				s.tried = err
				close(s.firstTry)
			}
		default:
			first = false
		}
		if conn != nil {
			s.awaitExit(conn)
		}
		if opened && (time.Since(started) > settledAfter || conn.answered() >= settledCalls) {
			pause = 0
		}
		pause = min(max(firstPause, 2*pause), longestPause)
		s.rest(pause, started)
	}
	s.refuse(store.ErrClosed)
	select {
	case <-s.firstTry:
	default:
		s.tried = store.ErrClosed
		close(s.firstTry)
	}
}

// rest waits before the next attempt.
func (s *Store) rest(pause time.Duration, started time.Time) {
	until := time.Now().Add(pause)
	next := time.NewTimer(pause)
	defer next.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-next.C:
			return
		case <-s.asked:
			if soon := started.Add(askedPause); soon.Before(until) {
				until = soon
				next.Reset(time.Until(until))
			}
		}
	}
}

// serve waits for a child to open the database, and then for its end. It
// reports whether it was opened.
func (s *Store) serve(c *conn) (opened bool, err error) {
	select {
	case st := <-c.opened:
		if err := s.check(st); err != nil {
			c.kill()
			return false, err
		}
		s.use(c, st)
	case <-c.lost:
		c.fail()
		_, err := c.why()
		return false, err
	case <-s.stop:
		// It may be reading large tables, or hang.
		c.send(mustFinish(newFrame(kindClose, 0, 0)))
		c.in.Close()
		select {
		case <-c.lost:
		case <-time.After(closeDeadline / 2):
			c.kill()
		}
		return false, store.ErrClosed
	}
	ticks := time.NewTicker(time.Second)
	defer ticks.Stop()
	for {
		select {
		case <-c.lost:
			said, err := c.why()
			s.report(err, said)
			s.lose(err)
			c.fail()
			return true, err
		case <-s.stop:
			s.closeConn(c)
			return true, store.ErrClosed
		case <-ticks.C:
			s.look(c)
		}
	}
}

// check refuses a database that is older than what was acknowledged, should the
// engine not have told by itself.
func (s *Store) check(st status) error {
	if last := s.committed.Load(); st.Committed < last && st.Fence != store.FenceRolledBack {
		return fmt.Errorf("%w: it has %d changes, and %d were acknowledged", store.ErrRolledBack, st.Committed, last)
	}
	return nil
}

// use takes a child that has opened the database into use.
func (s *Store) use(c *conn, st status) {
	s.state.Lock()
	defer s.state.Unlock()
	s.acknowledged(st.Committed)
	s.change(func(now *condition) { now.conn = c })
	s.setStatus(st)
	s.back()
	for _, opened := range []chan struct{}{s.inUse, s.firstTry} {
		select {
		case <-opened:
		default:
			close(opened)
		}
	}
}

// back ends being out of use. The caller holds state.
func (s *Store) back() {
	select {
	case <-s.firstTry: // there was something to come back from
		s.log.Info("the database is back in use", zap.Duration("after", time.Since(s.now.Load().since).Round(time.Millisecond)))
	default:
	}
	s.hung = false
	for _, f := range s.onBack {
		f()
	}
	s.change(func(now *condition) { now.down = nil })
}

// lose takes a child out of use.
func (s *Store) lose(reason error) {
	s.state.Lock()
	defer s.state.Unlock()
	s.change(func(now *condition) { now.conn = nil })
	s.out(reason)
}

// out begins being out of use, or changes why. The caller holds state.
func (s *Store) out(reason error) {
	before := s.now.Load().down
	s.hung = false
	s.change(func(now *condition) {
		if now.down = reason; before == nil {
			now.since = time.Now()
		}
	})
	if before == nil {
		for _, f := range s.onLost {
			f()
		}
	}
}

// refuse changes why the store is out of use.
func (s *Store) refuse(reason error) {
	s.state.Lock()
	defer s.state.Unlock()
	s.out(reason)
}

// admit begins a call.
func (s *Store) admit(change bool, frame []byte) (*conn, *call, error) {
	s.state.RLock()
	defer s.state.RUnlock()
	if s.isClosed() {
		return nil, nil, store.ErrClosed
	}
	now := s.now.Load()
	if now.down != nil {
		select {
		case s.asked <- struct{}{}:
		default:
		}
		return nil, nil, outOfUse(now.down)
	}
	c, err := now.conn.add(change, frame)
	return now.conn, c, err
}

// overdue is called when a call to a child waited for callDeadline.
func (s *Store) overdue(c *conn) {
	if !silentFor(c, callDeadline) {
		return // one large read takes long
	}
	inUse := func() bool { now := s.now.Load(); return now.conn == c && now.down == nil }
	if !inUse() {
		return
	}
	s.state.Lock()
	defer s.state.Unlock()
	if !inUse() {
		return
	}
	reason := &silent{since: time.Now().Add(-callDeadline).Round(time.Second)}
	s.out(reason)
	s.hung = true
	go s.report(reason, "")
}

// silent is the reason for being out of use while the child does not answer.
type silent struct{ since time.Time }

func (e *silent) Error() string {
	return "the disk does not answer since " + e.since.UTC().Format(time.RFC3339) + "; check the disk or the network under the data directory"
}

// answered is called after each answer: a child that was silent may be in use
// again.
func (s *Store) answered(c *conn) {
	if now := s.now.Load(); now.down == nil || now.conn != c || silentFor(c, callDeadline) {
		return
	}
	s.state.Lock()
	defer s.state.Unlock()
	if s.hung && s.now.Load().conn == c {
		s.back()
	}
}

// silentFor reports whether a disk does not answer: a change waits for d, or a
// read does while nothing else is answered.
func silentFor(c *conn, d time.Duration) bool {
	waits := func(at time.Time) bool { return !at.IsZero() && time.Since(at) >= d }
	return waits(c.oldest(true)) || waits(c.oldest(false)) && time.Since(c.lastHeard()) >= d/2
}

// look is called every second while a child is in use.
func (s *Store) look(c *conn) {
	s.overdue(c)
	if silentFor(c, silence) && time.Since(c.lastHeard()) > silence {
		c.kill()
	}
}

// note takes what a child tells about the database.
func (s *Store) note(c *conn, st status) {
	s.state.Lock()
	defer s.state.Unlock()
	if s.now.Load().conn == c {
		s.setStatus(st)
	}
}
