package procstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stepup-gateway/caddy-stepup/store"
)

const (
	// callDeadline is how long any call waits. A disk that does not answer must
	// not keep a request, and what waits for it.
	callDeadline = 5 * time.Second

	// maxCalls and maxBytes bound what waits for one child: calls, and the
	// bytes in them. One call beyond maxBytes goes when nothing else waits.
	maxCalls = 4096
	maxBytes = 64 << 20
)

// A call is one request to the child. Its fields belong to the conn's lock.
type call struct {
	id     uint64
	change bool // an Apply
	began  time.Time
	frame  []byte // nil once it was given to the writer
	size   int
	done   chan result // of capacity one
}

var (
	errBusy = fmt.Errorf("%w: too many calls wait for it already", store.ErrUnavailable)
	errLate = fmt.Errorf("%w: the disk does not answer", store.ErrUnavailable)
)

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, key []byte) (store.Entry, error) {
	if err := store.CheckKey(key); err != nil {
		return store.Entry{}, err
	}
	r := s.call(ctx, false, func(id uint64) ([]byte, error) { return getFrame(id, key) })
	if r.err != nil {
		return store.Entry{}, r.err
	}
	if len(r.entries) != 1 {
		return store.Entry{}, fmt.Errorf("%w: %w", store.ErrUnavailable, errNonsense)
	}
	e := r.entries[0]
	e.Key = append([]byte(nil), key...)
	return e, nil
}

// List implements [store.Store].
func (s *Store) List(ctx context.Context, prefix, after []byte, limit int) ([]store.Entry, error) {
	if err := store.CheckList(prefix, after, limit); err != nil {
		return nil, err
	}
	r := s.call(ctx, false, func(id uint64) ([]byte, error) { return listFrame(id, prefix, after, limit) })
	return r.entries, r.err
}

// Dump implements [store.Movable].
func (s *Store) Dump(ctx context.Context, after []byte, limit int) ([]store.Op, error) {
	if err := store.CheckList(nil, after, limit); err != nil {
		return nil, err
	}
	r := s.call(ctx, false, func(id uint64) ([]byte, error) { return dumpFrame(id, "", after, limit) })
	return r.dumped, r.err
}

// Apply implements [store.Store].
func (s *Store) Apply(ctx context.Context, ops ...store.Op) error {
	if err := store.CheckOps(ops); err != nil {
		return err
	}
	taking := store.IsTaking(ctx)
	return s.call(ctx, true, func(id uint64) ([]byte, error) { return applyFrame(id, taking, ops) }).err
}

// AcceptFence implements [store.Fenced].
func (s *Store) AcceptFence(ctx context.Context) error {
	r := s.call(ctx, true, func(id uint64) ([]byte, error) { return finish(newFrame(kindAccept, id, 0)) })
	if r.err == nil {
		s.state.Lock()
		s.committed.Store(r.committed) // what was acknowledged before counts no more
		s.change(func(now *condition) { now.fence = store.Fence{} })
		s.state.Unlock()
	}
	return r.err
}

// call sends a frame to the child and waits for the answer, for ctx, and for
// the deadline, whatever comes first.
func (s *Store) call(ctx context.Context, change bool, frame func(id uint64) ([]byte, error)) result {
	if err := ctx.Err(); err != nil {
		if s.isClosed() {
			err = store.ErrClosed
		}
		return result{err: err}
	}
	bytes, err := frame(0)
	if err != nil {
		return result{err: fmt.Errorf("%w: %w", store.ErrTooLarge, err)}
	}
	conn, c, err := s.admit(change, bytes)
	if err != nil {
		return result{err: err}
	}
	late := time.NewTimer(callDeadline)
	defer late.Stop()
	gone := ctx.Done()
	for {
		select {
		case r := <-c.done:
			return s.judge(ctx, change, r)
		case <-gone:
			if conn.withdraw(c) || !change {
				return result{err: ctx.Err()}
			}
			gone = nil // the child tells what became of it
		case <-late.C:
			if conn.withdraw(c) {
				s.overdue(conn)
				return result{err: errLate}
			}
			s.overdue(conn)
			select {
			case r := <-c.done: // it came, or the child was lost, at this very moment
				return s.judge(ctx, change, r)
			default:
			}
			switch {
			case !change:
				err = errLate
			case ctx.Err() != nil:
				err = fmt.Errorf("%w: %w: %w", store.ErrUnknown, errLate, ctx.Err())
			default:
				err = fmt.Errorf("%w: %w", store.ErrUnknown, errLate)
			}
			return result{err: err}
		}
	}
}

// judge translates an answer to what the contract says.
func (s *Store) judge(ctx context.Context, change bool, r result) result {
	switch {
	case r.err == nil:
	case errors.Is(r.err, store.ErrClosed) && !s.isClosed():
		// The child is ending for a reason of its own. What it did not begin
		// changed nothing.
		r.err = fmt.Errorf("%w: %w", store.ErrUnavailable, &remote{text: "its process is ending"})
	case errors.Is(r.err, errFailed) && !errors.Is(r.err, store.ErrUnavailable):
		r.err = fmt.Errorf("%w: %w", store.ErrUnavailable, r.err)
	case errors.Is(r.err, context.Canceled) && ctx.Err() != nil:
		// The child knows that nobody waits, not why.
		if errors.Is(r.err, store.ErrUnknown) {
			r.err = fmt.Errorf("%w: %w", store.ErrUnknown, ctx.Err())
		} else {
			r.err = ctx.Err()
		}
	}
	return r
}
