package records

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/seal"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// Side is one of the two databases of a move, whether it may be served or not. It
// writes the marks. Whatever it changes, it changes in the generation of the engine
// that [Side.Take] began: another process that did so too ends what this one does.
type Side struct {
	store.Movable
	shared     store.Shared // the store, where other processes use it too; else nil
	generation uint64       // of the shared engine
	whose
	state fenceState
}

// OpenSide opens a database that belongs to the key. It fails with [ErrNoData] and
// [ErrWrongKey] as Open does.
func OpenSide(ctx context.Context, s store.Store, key seal.Key) (*Side, error) {
	x, err := newSide(s)
	if err != nil {
		return nil, err
	}
	if x.whose, err = readWhose(ctx, s, key); err == nil {
		x.state, err = x.meta.markedFence(x.ring)
	}
	if err != nil {
		return nil, err
	}
	return x, nil
}

func newSide(s store.Store) (*Side, error) {
	movable, ok := s.(store.Movable)
	if !ok {
		return nil, errors.New("the store cannot be moved: its engine does not say when its entries run out (it is no store.Movable)")
	}
	x := &Side{Movable: movable}
	if x.shared, ok = s.(store.Shared); ok {
		x.generation, _ = x.shared.Generation()
	}
	return x, nil
}

// Move returns the mark; nil: the database may be served.
func (x *Side) Move() *Move { return x.state.Move }

// Refusal returns the [ErrMoved] with which the database is refused; nil: it is not.
func (x *Side) Refusal() error {
	if x.state.Move == nil {
		return nil
	}
	return &moveError{*x.state.Move}
}

// Came returns the id of the move by which the database came where it is; empty: it
// was made there.
func (x *Side) Came() string { return x.state.Came }

// ended is why a generation of a shared engine ended for a move.
func ended(id string) string { return "the database was moved (" + id + ")" }

// Older returns why the engine takes the database for an older copy of itself; empty:
// it does not.
func (x *Side) Older() string {
	if fenced, ok := x.Movable.(store.Fenced); ok && fenced.Fence().Kind != store.FenceNone {
		return fenced.Fence().Reason
	}
	return ""
}

// Lost returns why a marked database may have lost something since it was marked;
// empty: it has not.
func (x *Side) Lost() string {
	if x.shared == nil {
		return x.Older()
	}
	switch generation, cause := x.shared.Generation(); {
	case generation == x.state.Engine:
	case generation == x.state.Engine+1 && cause == ended(x.state.Move.ID): // it was interrupted before it was noted
	case cause == "":
		return "the database server is in another generation"
	default:
		return cause
	}
	return ""
}

// Mark marks a database that is served.
func (x *Side) Mark(ctx context.Context, m Move) error {
	return x.set(ctx, func(s *fenceState) { s.Move = &m })
}

// Take ends the generation of a shared engine, so that nothing takes place any more
// that was decided by somebody who has not read the mark.
func (x *Side) Take(ctx context.Context) error {
	if err := x.end(ctx); err != nil || x.shared == nil {
		return err
	}
	return x.set(ctx, func(s *fenceState) { s.Engine = x.generation })
}

func (x *Side) end(ctx context.Context) (err error) {
	if x.shared == nil {
		return nil
	}
	if x.generation, err = x.shared.EndGeneration(ctx, ended(x.state.Move.ID)); err != nil || x.entry.Version == 0 {
		return err
	}
	// A version of the generation before is no condition in this one.
	e, err := x.Get(ctx, metaKey)
	if err != nil {
		return err
	}
	return x.keep(e, x.entry.Value)
}

// keep notes the record that has the mark, which must be the one that is known.
func (x *Side) keep(e store.Entry, known []byte) error {
	if !bytes.Equal(e.Value, known) {
		return fmt.Errorf("%w: by another process", store.ErrConflict)
	}
	x.entry = e
	return nil
}

// NewCopy makes the first record of the copy of a database in an empty store: the
// mark by which it is incomplete.
func NewCopy(ctx context.Context, s store.Store, of *Side, m Move) (*Side, error) {
	x, err := newSide(s)
	if err != nil {
		return nil, err
	}
	x.whose, x.state = of.whose, of.state
	x.entry.Version, x.state.Move = 0, &m
	if err := x.end(ctx); err != nil {
		return nil, err
	}
	return x, x.set(ctx, func(s *fenceState) { s.Engine = x.generation })
}

// Complete ends a move: from is not served any more, and to is.
func Complete(ctx context.Context, from, to *Side, now time.Time) error {
	if from.state.Move.Stage != Moved {
		err := from.set(ctx, func(s *fenceState) {
			done := *s.Move
			done.Stage, done.At = Moved, now
			s.Move = &done
		})
		if err != nil {
			return fmt.Errorf("marking the database as moved: %w", err)
		}
	}
	to.meta = from.meta
	err := to.set(ctx, func(s *fenceState) {
		*s = from.state
		s.Move, s.Came, s.Engine = nil, from.state.Move.ID, to.generation
	})
	if err != nil {
		return fmt.Errorf("marking the copy as complete: %w", err)
	}
	return nil
}

// GiveBack lets a database that is being moved be served again. What it may have lost
// meanwhile, its gateways find out as ever.
func (x *Side) GiveBack(ctx context.Context) error {
	lost := x.Lost() != ""
	if err := x.end(ctx); err != nil {
		return err
	}
	return x.set(ctx, func(s *fenceState) {
		if s.Move = nil; !lost {
			s.Engine = x.generation
		}
	})
}

// Dump is Dump of the store, without the record that has the mark. It returns nothing
// only where there are no more.
func (x *Side) Dump(ctx context.Context, after []byte, limit int) ([]store.Op, error) {
	ops, err := x.Movable.Dump(ctx, after, limit)
	for i := range ops {
		if bytes.Equal(ops[i].Key, metaKey) {
			ops = append(ops[:i], ops[i+1:]...)
			if len(ops) == 0 {
				return x.Movable.Dump(ctx, metaKey, limit)
			}
			break
		}
	}
	return ops, err
}

// Apply is Apply of the store, in the generation that Take began.
func (x *Side) Apply(ctx context.Context, ops ...store.Op) error {
	if x.shared == nil {
		return x.Movable.Apply(ctx, ops...)
	}
	return x.shared.ApplyIn(ctx, x.generation, told(ctx, ops), ops...)
}

// Forget removes the last record of a copy, the one that has the mark.
func (x *Side) Forget(ctx context.Context) error {
	return x.Apply(store.Taking(ctx), store.Op{Key: metaKey, If: store.If(x.entry.Version)})
}

// set changes the state, if nobody else has.
func (x *Side) set(ctx context.Context, change func(*fenceState)) error {
	state := x.state
	change(&state)
	op, err := x.meta.put(x.ring, x.entry, state)
	if err != nil {
		return err
	}
	if err := x.Apply(store.Taking(ctx), op); err != nil {
		return err
	}
	e, err := x.Get(ctx, metaKey)
	if err == nil {
		err = x.keep(e, op.Value)
	}
	if err != nil {
		return err
	}
	x.state = state
	x.meta, err = readMeta(e.Value)
	return err
}
