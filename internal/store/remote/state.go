package remote

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
	VisitEvery   = 250 * time.Millisecond
	VisitTimeout = 2 * time.Second
	lostAfter    = 2 * time.Second
	longestWait  = 2 * time.Second
)

// A State is whether the server is in use, and who wants to know. It implements a
// part of [store.Opening] and of [store.Shared]. The zero value is not ready: see
// [NewState].
type State struct {
	mu     sync.Mutex
	down   error
	low    error
	since  time.Time
	tried  chan struct{} // closed: the first attempt is over
	inUse  chan struct{} // closed: it was in use once
	used   bool
	onLost []func()
	onBack []func()
	onTold []func(names [][]byte)
}

// NewState returns the state of a server that was not tried yet.
func NewState() State {
	return State{
		tried: make(chan struct{}), inUse: make(chan struct{}), since: time.Now(),
		down: store.ErrUnavailable,
	}
}

// Supervise visits the server again and again until ctx ends, at once when noticed
// has something. Before the server counts as lost it ends the lease.
func (s *State) Supervise(ctx context.Context, log *zap.Logger, noticed <-chan struct{}, l *Lease, visit func(context.Context) error) {
	wait, failing := time.Duration(0), time.Time{}
	for first := true; ; first = false {
		select {
		case <-ctx.Done():
			return
		case <-noticed:
		case <-time.After(wait):
		}
		err := visit(ctx)
		if ctx.Err() != nil {
			return
		}
		switch {
		case err == nil:
			failing, wait = time.Time{}, VisitEvery
			s.back(log)
		case failing.IsZero():
			failing, wait = time.Now(), 100*time.Millisecond
			fallthrough
		default:
			if !s.wasUsed() || time.Since(failing) > lostAfter {
				l.End()
				s.lost(log, err)
				wait = min(2*wait, longestWait)
			}
		}
		if first {
			close(s.tried)
		}
	}
}

func (s *State) wasUsed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used && s.down == nil
}

func (s *State) lost(log *zap.Logger, err error) {
	s.mu.Lock()
	was := s.down
	s.down = err
	if was == nil {
		s.since = time.Now()
	}
	told := s.onLost
	s.mu.Unlock()
	if was == nil {
		log.Error("the database server cannot be used; what is protected is refused until it can", zap.Error(err))
		for _, f := range told {
			f()
		}
	}
}

func (s *State) back(log *zap.Logger) {
	s.mu.Lock()
	was, first := s.down, !s.used
	told := s.onBack
	s.mu.Unlock()
	if was != nil && !first {
		for _, f := range told {
			f()
		}
		log.Info("the database server is in use again")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down, s.since = nil, time.Time{}
	if first {
		s.used = true
		close(s.inUse)
	}
}

// SetLow says why changes are refused that do more than take access away; nil: none
// is.
func (s *State) SetLow(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.low = err
}

// Health implements [store.Supervised].
func (s *State) Health() store.Health {
	s.mu.Lock()
	defer s.mu.Unlock()
	return store.Health{Down: s.down, Low: s.low, Unmarked: true}
}

// Pass calls those who keep something with names that were told; nil stands for all.
func (s *State) Pass(names [][]byte) {
	s.mu.Lock()
	told := s.onTold
	s.mu.Unlock()
	for _, f := range told {
		f(names)
	}
}

// OnTold implements [store.Shared].
func (s *State) OnTold(f func(names [][]byte)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onTold = append(s.onTold, f)
}

// OnLost implements [store.Supervised].
func (s *State) OnLost(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onLost = append(s.onLost, f)
}

// OnBack implements [store.Supervised].
func (s *State) OnBack(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onBack = append(s.onBack, f)
}

// FirstTry implements [store.Opening].
func (s *State) FirstTry(ctx context.Context) error {
	select {
	case <-s.tried:
		return s.Health().Down
	case <-ctx.Done():
		return ctx.Err()
	}
}

// InUse implements [store.Opening].
func (s *State) InUse() <-chan struct{} { return s.inUse }

// Since implements [store.Opening].
func (s *State) Since() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.since
}
