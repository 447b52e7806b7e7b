package records

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/clock"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// Where several processes use one database (store.Shared), what one takes away is
// told to the others: the keys of grants that were revoked, and the accounts that
// were reset. Spends are not told, since grants that are good for once are in no
// cache.

// told returns the keys of ops that other processes must forget, or read anew.
func told(ctx context.Context, ops []store.Op) (keys [][]byte) {
	for i := range ops {
		op := &ops[i]
		switch {
		case isGrant(op.Key) && op.Value == nil,
			isAccount(op.Key) && (op.Value == nil || store.IsTaking(ctx)),
			string(op.Key) == string(metaKey):
			keys = append(keys, op.Key)
		}
	}
	return keys
}

// forgetTold is called with the keys that some process told; nil means all.
func (db *DB) forgetTold(keys [][]byte) {
	if keys == nil {
		db.grants.forgetAll()
		return
	}
	for _, key := range keys {
		switch {
		case isGrant(key):
			db.grants.forgetKey(key)
		case isAccount(key) && len(key) == len(accountPrefix)+len(grants.Holder{}):
			db.grants.forgetHolder(grants.Holder(key[len(accountPrefix):]))
		default: // the state of the fence, or what a newer version tells
			db.forgetView()
			db.grants.forgetAll()
		}
	}
}

// View returns the database as it is in the current generation. What is decided with
// a view is applied in its generation or not at all: it fails with store.ErrFenced
// once that has ended. So whoever begins something asks for a view first and keeps it
// to the end, and no longer. Where the engine is this process's alone, it is db.
func (db *DB) View(ctx context.Context) (*DB, error) {
	if db.shared == nil || db.mending {
		return db, nil
	}
	if v := db.lastView(); v != nil {
		return v, nil
	}
	return db.newView(ctx)
}

// viewTries bounds how often a generation is begun or read, while others do too.
const viewTries = 20

func (db *DB) newView(ctx context.Context) (*DB, error) {
	f := db.fence
	f.mu.Lock()
	defer f.mu.Unlock()
	if v := db.lastView(); v != nil {
		return v, nil // somebody else made it meanwhile
	}
	if err := f.viewed.recent(); err != nil {
		return nil, err
	}
	v, err := db.makeView(ctx)
	f.viewed.note(err)
	return v, err
}

// lastView is the last view, if its generation is the current one.
func (db *DB) lastView() *DB {
	generation, _ := db.shared.Generation()
	if v := db.view.Load(); v != nil && v.in.Engine == generation {
		return v
	}
	return nil
}

// makeView reads the state of the current generation, and begins it where nobody
// has. The lock is held.
func (db *DB) makeView(ctx context.Context) (*DB, error) {
	f := db.fence
	for range viewTries {
		epoch := db.viewEpoch.Load()
		generation, cause := db.shared.Generation()
		state, err := db.readState(ctx)
		if err != nil {
			return nil, err
		}
		switch {
		case state.Engine == generation:
			f.keep(state)
			db.grants.forgetAll()
			v := newDB(&DB{core: db.core, in: &state})
			if err := v.applyAgain(ctx); err != nil {
				return nil, err
			}
			db.view.Store(v)
			if db.viewEpoch.Load() != epoch {
				db.view.CompareAndSwap(v, nil)
				continue // the state was told to have changed since it was read
			}
			if state.Generation != f.announced {
				f.announced, f.began = state.Generation, true
				f.tell()
			}
			return v, nil
		case state.Engine > generation:
			return nil, fmt.Errorf("%w: %w: another gateway is in generation %d already, and this one in %d", store.ErrUnavailable, store.ErrFenced, state.Engine, generation)
		}
		err = db.mendable().begin(ctx, store.Fence{Kind: store.FenceUnsure, Reason: cause}, clock.Now(), func(s *fenceState) error {
			if s.Engine >= generation {
				return store.ErrConflict // another gateway began it meanwhile
			}
			s.Engine = generation
			return nil
		})
		if err != nil && !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrFenced) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w: generations begin faster than they can be read", store.ErrUnavailable)
}

// forgetView makes the state be read anew.
func (db *DB) forgetView() {
	db.viewEpoch.Add(1)
	db.view.Store(nil)
}

// failedLately lets those who wait for the same thing share its failure, rather than
// fail one after the other.
type failedLately struct {
	err error
	at  time.Time
}

func (f *failedLately) note(err error) { f.err, f.at = err, time.Now() }

func (f *failedLately) recent() error {
	if time.Since(f.at) < 200*time.Millisecond {
		return f.err
	}
	return nil
}

// readState reads what is stored of the fence.
func (db *DB) readState(ctx context.Context) (fenceState, error) {
	e, err := db.store.Get(ctx, metaKey)
	if err != nil {
		return fenceState{}, fmt.Errorf("reading the generation: %w", err)
	}
	m, err := readMeta(e.Value)
	if err != nil {
		return fenceState{}, err
	}
	return m.fence(db.ring)
}

// engineGeneration is the engine's generation in which the view decides.
func (db *DB) engineGeneration() uint64 {
	if db.in != nil {
		return db.in.Engine
	}
	generation, _ := db.shared.Generation()
	return generation
}

// fenced returns store.ErrFenced where the view's generation has ended, so that
// what was read may be of another one.
func (db *DB) fenced() error {
	if db.shared == nil || db.in == nil {
		return nil
	}
	if generation, _ := db.shared.Generation(); generation != db.in.Engine {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, store.ErrFenced)
	}
	return nil
}

// current reports whether what is in the cache may be used by somebody who began now.
func (db *DB) current(now time.Time) bool { return db.shared == nil || db.shared.Current(now) }

// fresh reads until the reading took no longer than what is read may be old.
func fresh[T any](db *DB, read func() (T, error)) (T, error) {
	const tries = 3
	for range tries {
		began := time.Now()
		v, err := read()
		if err != nil || db.shared == nil || time.Since(began) < max(db.shared.Stale(), leastStale) {
			return v, err
		}
	}
	var none T
	return none, fmt.Errorf("%w: reading takes longer than what is read may be old", store.ErrUnavailable)
}

// leastStale is how long a reading may take where nothing may be kept at all.
const leastStale = time.Second

func isGrant(key []byte) bool {
	return bytes.HasPrefix(key, []byte(grantPrefix)) && len(key) == len(grantPrefix)+64
}
