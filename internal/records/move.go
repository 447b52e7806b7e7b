package records

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A database that is taken to a store of another kind must not be served in both. So
// one that must not be served says so itself, in the sealed state of its fence, from
// before its first record is copied: whoever opens it refuses, and so does a gateway
// that has it open, on a shared engine since the mark is told, and else when it has
// the database back. See [Side] for the marks' writer.

// ErrMoved reports that the database must not be served, since it is being moved to
// another store, or was. The error says which, and what to do.
var ErrMoved = errors.New("the database is marked as moved")

// A Stage is how far the move of a database is.
type Stage string

// The stages. A database that is served has none.
const (
	Moving     Stage = "moving"     // it is being copied to another one
	Moved      Stage = "moved"      // the other one took its place
	Incomplete Stage = "incomplete" // it is the copy, and lacks records
	Restoring  Stage = "restoring"  // it is made of a backup, and lacks records
)

// Move is the mark of a database that must not be served, stored in the sealed state
// of the fence:
//
//	{"id":"hex","stage":"moving","other":"postgres://db:5432/step_up","at":"…"}
type Move struct {
	// ID is random, and the same in both databases of a move.
	ID    string `json:"id"`
	Stage Stage  `json:"stage"`
	// Other is the place of the other database, or the name of the backup.
	Other string `json:"other"`
	// At is when the stage began.
	At time.Time `json:"at"`
}

// moveError is an [ErrMoved] for operators.
type moveError struct{ Move }

func (e *moveError) Error() string {
	at := e.At.UTC().Format("2006-01-02 15:04:05 UTC")
	switch e.Stage {
	case Moved:
		return fmt.Sprintf("the database was moved to %s at %s and is not served any more: use the configuration that names that one; "+
			"to go back, move that one by `caddy step-up migrate` into an empty database", e.Other, at)
	case Moving:
		return fmt.Sprintf("the database is being moved to %s since %s and is not served meanwhile: to go on, run the same `caddy step-up migrate` again; "+
			"to give the move up and serve this database, run it with --abandon", e.Other, at)
	case Incomplete:
		return fmt.Sprintf("the database is the incomplete copy of %s, begun at %s: to go on, run the same `caddy step-up migrate` again; "+
			"to give the move up and empty the copy, run it with --abandon", e.Other, at)
	case Restoring:
		return fmt.Sprintf("the database is being restored from the backup %s since %s and is incomplete: run `caddy step-up restore` again, with that backup or another one of this database", e.Other, at)
	}
	return fmt.Sprintf("the database has the mark %q of a newer version of the gateway: use that version", e.Stage)
}

func (e *moveError) Unwrap() error { return ErrMoved }

// stillHere reads, once for each time that the engine was out of use, whether the
// database may be used: somebody else had the chance to move it meanwhile.
func (db *DB) stillHere(ctx context.Context) error {
	f := db.fence
	lost := f.lost.Load()
	if f.looked.Load() == lost || db.shared != nil {
		return nil
	}
	if _, err := db.readState(ctx); err != nil {
		return err
	}
	f.looked.Store(lost)
	return nil
}
