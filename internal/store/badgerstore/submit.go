package badgerstore

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// A caller whose context ends while its change is being made durable waits this much longer for the outcome,
// which is worth more than the time, before it is told that the outcome is unknown.
const outcomeGrace = 5 * time.Second

// A request is a set of changes that take place together, and whom to tell what became of them.
type request struct {
	changes []change
	taking  bool // see store.Taking
	state   atomic.Int32
	// done is told the outcome, once. It must not wait. more says that further outcomes follow at once.
	done func(err error, more bool)
}

// The states of a request. Anyone who leaves waiting first, its caller or the committer, decides.
const (
	waiting   int32 = iota
	taken           // by the committer, which will send an outcome
	withdrawn       // by its caller, or when the store was closed: nothing changed
)

// submit queues changes for the committer and waits for the outcome.
func (s *Store) submit(ctx context.Context, changes []change) error {
	done := make(chan error, 1)
	r := &request{changes: changes, taking: store.IsTaking(ctx), done: func(err error, _ bool) { done <- err }}
	select {
	case s.queue <- r:
	case <-s.stop:
		return store.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-done:
		return err
	case <-s.drained:
		if r.state.CompareAndSwap(waiting, withdrawn) {
			return store.ErrClosed
		}
		return <-done
	case <-ctx.Done():
		if r.state.CompareAndSwap(waiting, withdrawn) {
			return ctx.Err()
		}
	}
	grace := time.NewTimer(outcomeGrace)
	defer grace.Stop()
	select {
	case err := <-done:
		return err
	case <-grace.C:
		return fmt.Errorf("%w: %w", store.ErrUnknown, ctx.Err())
	}
}

// Begin is Apply for a caller that does not wait: done is told the outcome, once, by anyone who finds it out, and
// must not wait for anything. more says that further outcomes follow at once. It reports false, and has not
// begun, where Apply is needed: a value is large, or too many changes wait already. withdraw takes a change
// back that was not taken up yet, which done is told as [context.Canceled].
func (s *Store) Begin(taking bool, ops []store.Op, done func(err error, more bool)) (withdraw func(), begun bool) {
	limit := inlineLimit(ops)
	for i := range ops {
		if len(ops[i].Value) > limit {
			return nil, false
		}
	}
	err := store.CheckOps(ops)
	if err == nil {
		err = s.usable(context.Background())
	}
	changes := make([]change, len(ops))
	if err == nil {
		err = s.encode(context.Background(), ops, changes, nil) // writes nothing
	}
	if err != nil || len(ops) == 0 {
		done(err, false)
		return func() {}, true
	}
	r := &request{changes: changes, taking: taking, done: done}
	select {
	case s.queue <- r:
	default:
		return nil, false
	}
	select {
	case <-s.drained: // nobody takes it any more, unless it was seen still
		r.withdraw(store.ErrClosed)
	default:
	}
	return func() { r.withdraw(context.Canceled) }, true
}

// withdraw tells a request that the committer has not taken that nothing changed.
func (r *request) withdraw(reason error) {
	if r.state.CompareAndSwap(waiting, withdrawn) {
		r.done(reason, false)
	}
}

// withdrawQueued withdraws what the committer has left in the queue.
func (s *Store) withdrawQueued() {
	for {
		select {
		case r := <-s.queue:
			r.withdraw(store.ErrClosed)
		default:
			return
		}
	}
}
