package records

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// ErrNotFenced is what AcceptFence returns where there is nothing to accept.
var ErrNotFenced = errors.New("the database is not an older copy, so there is nothing to accept")

// Acceptance is how an operator takes an older copy.
type Acceptance struct {
	Now time.Time
	// TrustCodes takes recovery codes of earlier generations: those that were
	// used after the copy was made are good again.
	TrustCodes bool
	// Mend, if not nil, takes away what was taken away after the copy was made.
	// It gets a view of the database that may be used, though nobody else's may.
	Mend func(*DB) error
}

// mendable is a view of the database that nothing refuses.
func (db *DB) mendable() *DB {
	return newDB(&DB{core: db.core, mending: true})
}

// AcceptFence makes the database as it is the one that counts. First, in one
// change, it ends the generation, by which all that can be used once and every
// time-based grant is void, and suspends every API key; then it mends; then the
// engine notes it. Whatever ends it in between leaves the database refused, and
// it may be done again.
//
// Without an older copy it takes nothing but TrustCodes; else it fails with
// [ErrNotFenced].
func (db *DB) AcceptFence(ctx context.Context, a Acceptance) error {
	f := db.fence
	f.mu.Lock()
	defer f.mu.Unlock()
	var found store.Fence
	if f.engine != nil {
		found = f.engine.Fence()
	}
	view := db.mendable()
	if found.Kind != store.FenceRolledBack {
		if !a.TrustCodes || f.state.Load().Recovery == 0 {
			return ErrNotFenced
		}
		return view.changeState(ctx, func(s *fenceState) error {
			s.Recovery = 0
			return nil
		})
	}
	err := view.begin(ctx, found, a.Now, func(s *fenceState) error {
		s.Keys = s.Generation
		if a.TrustCodes {
			s.Recovery = 0
		}
		return nil
	})
	if err != nil {
		return err
	}
	if a.Mend != nil {
		if err := a.Mend(view); err != nil {
			return err
		}
	}
	if err := f.engine.AcceptFence(ctx); err != nil {
		return fmt.Errorf("noting that the database is accepted: %w", err)
	}
	f.refuses(f.engine.Fence())
	return nil
}
