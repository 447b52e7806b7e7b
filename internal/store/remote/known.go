package remote

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// ErrMoved reports that the database is not in the state that is known, so that
// nothing was read or changed.
var ErrMoved = errors.New("the database is not in the state that is known")

// Known is the state of the database as it was met last, nil before, of an engine
// that tells states apart by an I.
type Known[I any] struct {
	atomic.Pointer[I]

	// Name is what errors call the database, and Server what changes where its state
	// does.
	Name, Server string

	// Meet looks which state it is where the old one is not known any more.
	Meet func(ctx context.Context, old *I) error
}

// Do runs f for the state that is known, and again where f returns [ErrMoved].
func (k *Known[I]) Do(ctx context.Context, f func(*I) error) error {
	for range 3 {
		id := k.Load()
		if id == nil {
			return fmt.Errorf("%w: not connected to %s yet", store.ErrUnavailable, k.Name)
		}
		err := f(id)
		if !errors.Is(err, ErrMoved) {
			return err
		}
		if err := k.Meet(ctx, id); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: %s changes again and again", store.ErrUnavailable, k.Server)
}

// Visit runs f, in the time that a visit may take, of a database that is met first
// where none was met before.
func (k *Known[I]) Visit(ctx context.Context, f func(context.Context) error) error {
	first := k.Load() == nil
	timeout := VisitTimeout
	if first {
		timeout = CallTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if first {
		if err := k.Meet(ctx, nil); err != nil {
			return err
		}
	}
	return f(ctx)
}
