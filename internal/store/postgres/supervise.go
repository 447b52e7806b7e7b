package postgres

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// How often the server is looked at, and how long it may fail to answer until it
// counts as lost.
const (
	visitTimeout = 2 * time.Second
	lostAfter    = 2 * time.Second
	longestWait  = 2 * time.Second
)

// state is whether the database is in use.
type state struct {
	mu     sync.Mutex
	down   error
	since  time.Time
	tried  chan struct{} // closed: the first attempt is over
	inUse  chan struct{} // closed: it was in use once
	used   bool
	onLost []func()
	onBack []func()
	onTold []func(names [][]byte)
}

func newState() state {
	return state{
		tried: make(chan struct{}), inUse: make(chan struct{}), since: time.Now(),
		down: store.ErrUnavailable,
	}
}

// supervise connects, and looks after the connection, until the store is closed.
func (s *Store) supervise(ctx context.Context) {
	wait, failing := time.Duration(0), time.Time{}
	for first := true; ; first = false {
		select {
		case <-ctx.Done():
			return
		case <-s.noticed:
		case <-time.After(wait):
		}
		err := s.visit(ctx)
		if ctx.Err() != nil {
			return
		}
		switch {
		case err == nil:
			failing, wait = time.Time{}, readEvery
			s.back()
		case failing.IsZero():
			failing, wait = time.Now(), 100*time.Millisecond
			fallthrough
		default:
			if !s.wasUsed() || time.Since(failing) > lostAfter {
				s.lost(err)
				wait = min(2*wait, longestWait)
			}
		}
		if first {
			close(s.tried)
		}
	}
}

// visit reads the feed, of a server that it meets first where none was met before.
func (s *Store) visit(ctx context.Context) error {
	timeout := visitTimeout
	if s.known.Load() == nil {
		timeout = callTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if s.known.Load() == nil {
		if err := s.meet(ctx, nil); err != nil {
			return err
		}
	}
	return s.follow(ctx)
}

func (s *Store) wasUsed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used && s.down == nil
}

func (s *Store) lost(err error) {
	s.lease.end()
	s.mu.Lock()
	was := s.down
	s.down = err
	if was == nil {
		s.since = time.Now()
	}
	told := s.onLost
	s.mu.Unlock()
	if was == nil {
		s.log.Error("the database server cannot be used; what is protected is refused until it can", zap.Error(err))
		for _, f := range told {
			f()
		}
	}
}

func (s *Store) back() {
	s.mu.Lock()
	was, first := s.down, !s.used
	told := s.onBack
	s.mu.Unlock()
	if was != nil && !first {
		for _, f := range told {
			f()
		}
		s.log.Info("the database server is in use again")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down, s.since = nil, time.Time{}
	if first {
		s.used = true
		close(s.inUse)
	}
}

// Health implements [store.Supervised].
func (s *Store) Health() store.Health {
	s.mu.Lock()
	defer s.mu.Unlock()
	return store.Health{Down: s.down, Unmarked: true}
}

// OnLost implements [store.Supervised].
func (s *Store) OnLost(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onLost = append(s.onLost, f)
}

// OnBack implements [store.Supervised].
func (s *Store) OnBack(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onBack = append(s.onBack, f)
}

// FirstTry implements [store.Opening].
func (s *Store) FirstTry(ctx context.Context) error {
	select {
	case <-s.tried:
		return s.Health().Down
	case <-ctx.Done():
		return ctx.Err()
	}
}

// InUse implements [store.Opening].
func (s *Store) InUse() <-chan struct{} { return s.inUse }

// Since implements [store.Opening].
func (s *Store) Since() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.since
}
