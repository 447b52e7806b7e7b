package records

import (
	"context"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// BackedUp is the last backup, stored under "b/" and the zero holder.
type BackedUp struct {
	// Moment is whose state it has.
	Moment time.Time `json:"moment"`
	Rows   int64     `json:"rows"`
	SHA256 []byte    `json:"sha256"`
}

// LastBackup returns the last backup; its Moment is zero where there is none.
func (db *DB) LastBackup(ctx context.Context) (BackedUp, error) {
	row, err := db.backups.Find(ctx, grants.Holder{}, nil)
	if err == nil {
		db.backedUp.Store(&row.Value)
	}
	return row.Value, err
}

// KnownBackup is LastBackup as this process knew it last. It does not wait.
func (db *DB) KnownBackup() BackedUp {
	if b := db.backedUp.Load(); b != nil {
		return *b
	}
	return BackedUp{}
}

// NoteBackup notes a backup that is where it is to be, unless a later one is noted.
func (db *DB) NoteBackup(ctx context.Context, b BackedUp) error {
	err := Again(func() error {
		row, err := db.backups.Find(ctx, grants.Holder{}, nil)
		if err != nil || row.Value.Moment.After(b.Moment) {
			return err
		}
		op, err := db.backups.Put(grants.Holder{}, nil, b, row.Version, never)
		if err != nil {
			return err
		}
		return db.Apply(ctx, op)
	})
	if err == nil {
		_, err = db.LastBackup(ctx)
	}
	return err
}

// Restoration is what becomes of a database that was restored from a backup, before it
// is served.
type Restoration struct {
	Now time.Time
	// From is the backup.
	From BackedUp
	// Known reports that it is known what was taken away after the backup was made. Else
	// API keys are suspended, and authenticators are, by Mend, until they are confirmed.
	Known bool
	// TrustCodes takes recovery codes that the backup shows unused.
	TrustCodes bool
	// Mend takes away what was taken away after the backup was made. It gets a view of
	// the database that may be used, though nobody else's may.
	Mend func(*DB) error
}

// NewRestored makes the first record of a database that is restored from a backup, in an
// empty store: the mark by which it is incomplete.
func NewRestored(ctx context.Context, to store.Store, from *Source, m Move) (*Side, error) {
	return NewCopy(ctx, to, &Side{whose: from.whose, state: from.state}, m)
}

// Restored ends the restoration of a database: what was issued before the backup and can
// be used once is void, time-based grants have ended, codes that may have been used are
// refused; and it is served from now on. Whatever ends it in between leaves the database
// marked, and it may be done again once what was restored is as it was in the backup.
func (x *Side) Restored(ctx context.Context, from *Source, r Restoration) error {
	state := from.state
	state.Engine = x.generation
	db := newDB(&DB{core: newCore(x.Movable, from.ring, from.lookup, state), mending: true})
	latest, err := db.latest(ctx)
	if err != nil {
		return err
	}
	for _, t := range []time.Time{r.From.Moment, r.Now} {
		if t.After(latest) {
			latest = t
		}
	}
	state.next(r.Now, "the database was restored from a backup of "+r.From.Moment.UTC().Format("2006-01-02 15:04:05 UTC"), latest)
	if state.Came = x.state.Move.ID; !r.Known {
		state.Keys, state.Unconfirmed = state.Generation, true
	}
	if r.TrustCodes {
		state.Recovery = 0
	}
	db.fence.keep(state)
	if err := r.Mend(db); err != nil {
		return err
	}
	if err := db.NoteBackup(ctx, r.From); err != nil {
		return err
	}
	x.meta = from.meta
	if err := x.set(ctx, func(s *fenceState) { *s = state }); err != nil {
		return err
	}
	return x.accept(ctx)
}

// accept makes the database, as it is, the one that counts to its engine.
func (x *Side) accept(ctx context.Context) error {
	if fenced, ok := x.Movable.(store.Fenced); ok && x.Older() != "" {
		return fenced.AcceptFence(ctx)
	}
	return nil
}

// Confirmed notes that none waits to be confirmed any more.
func (db *DB) Confirmed(ctx context.Context) error {
	db.fence.mu.Lock()
	defer db.fence.mu.Unlock()
	return Again(func() error {
		return db.changeState(ctx, func(s *fenceState) error {
			s.Unconfirmed = false
			return nil
		})
	})
}
