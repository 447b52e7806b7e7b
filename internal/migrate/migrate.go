// Package migrate takes a database from one store to another, of the same kind or of
// another one, while no gateway uses either.
//
// [Run] marks the one as being moved and the other as incomplete, which both refuse to
// be served then; copies what is there, sealed as it is; reads both again and compares
// them; and lets the other one be served. [Abandon] undoes what was begun. Whatever
// ends them in between, at most one of the two can be served, and the same call again
// goes on from there: what is in the copy already is compared instead of written.
//
// Of shared engines it ends the generation first, so that neither a gateway that
// still runs, nor another migration, changes anything that this one has read or
// written. It reads page after page, and never keeps more than two of them.
//
// It knows stores and the record that says whose a database is, and opens no other.
package migrate

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/internal/seal"
	"github.com/stepup-gateway/caddy-stepup/store"
)

var (
	// ErrInUse reports that a gateway uses one of the databases.
	ErrInUse = errors.New("in use")
	// ErrNotEmpty reports that the other database has something in it that is not the
	// copy of this move.
	ErrNotEmpty = errors.New("not empty")
	// ErrDiffers reports that the copy is not what was copied. Neither is served.
	ErrDiffers = errors.New("the copy differs from the original")
)

// Database is an open store, and whose it is to be.
type Database struct {
	Name  string // for sentences; no secret is in it
	Store store.Store
	Key   seal.Key
}

// Progress is how far a migration is with what it is doing.
type Progress struct {
	Doing string // copied, compared or removed
	Rows  int64
	Bytes int64
	Done  bool // with that
}

// Options are what to migrate. Tell, if not nil, is called now and then.
type Options struct {
	From, To Database
	Tell     func(Progress)
}

// Sum is what a database holds, but for the record that says whose it is: how many
// rows of how many bytes, and the SHA-256 of all their keys and values in order.
type Sum struct {
	Rows, Bytes int64
	Digest      [32]byte
}

// Report is what a migration did.
type Report struct {
	// Written counts the rows that were written, and Found those that an earlier run
	// had written.
	Written, Found int64
	// Expired counts the rows that had run out, and were left.
	Expired int64
	// From and To are what was read again of both in the end.
	From, To Sum
	// Before reports that an earlier run had done it all.
	Before bool
}

// Run migrates a database.
func Run(ctx context.Context, o Options) (Report, error) {
	if !o.From.Key.Equal(o.To.Key) {
		return Report{}, errors.New("the two configurations have different keys, and what is stored opens with the one that it was sealed with alone: " +
			"give the new configuration the key of the old one")
	}
	m, err := begin(ctx, o)
	if err != nil || m.done {
		return Report{Before: m.done}, err
	}
	report, err := Copy(ctx, m.from, m.to, o.Tell)
	if err == nil {
		err = records.Complete(ctx, m.from, m.to, time.Now())
	}
	if err != nil {
		return report, interrupted(err)
	}
	return report, nil
}

// interrupted says of an error how things stand.
func interrupted(err error) error {
	if errors.Is(err, store.ErrFenced) {
		err = fmt.Errorf("%w (another migration runs, or the database server changed)", err)
	}
	return fmt.Errorf("%w; neither database is served now: run the same command again to go on, or with --abandon to go back", err)
}

// move is a migration that has begun.
type move struct {
	from, to *records.Side
	done     bool // there is nothing left to do
}

// begin finds out how far the migration is, and refuses what it must not touch before
// anything is written.
func begin(ctx context.Context, o Options) (m move, err error) {
	if m.to, err = openCopy(ctx, o.To); err != nil {
		return m, err
	}
	m.from, err = records.OpenSide(ctx, o.From.Store, o.From.Key)
	if errors.Is(err, records.ErrNoData) {
		return m, fmt.Errorf("there is nothing to move: %s is empty", o.From.Name)
	}
	if err != nil {
		return m, fmt.Errorf("opening %s: %w", o.From.Name, err)
	}
	mark := m.from.Move()
	switch {
	case mark == nil:
		return m, m.start(ctx, o)
	case mark.Stage == records.Incomplete:
		return m, fmt.Errorf("%s: %w", o.From.Name, m.from.Refusal())
	case m.to != nil && m.to.Move() == nil && m.to.Came() == mark.ID && mark.Stage == records.Moved:
		m.done = true
		return m, nil
	case !m.isCopy(mark) && (m.to != nil || mark.Stage == records.Moved || mark.Other != o.To.Name):
		return m, fmt.Errorf("%s: %w", o.From.Name, m.from.Refusal())
	}
	if lost := m.from.Lost(); lost != "" {
		return m, fmt.Errorf("%s may have lost something since the move began (%s): run the command with --abandon, start a gateway on it, and move it then", o.From.Name, lost)
	}
	return m, m.take(ctx, o)
}

// isCopy reports whether the other database is the copy that a mark is about.
func (m *move) isCopy(mark *records.Move) bool {
	return m.to != nil && m.to.Move() != nil && m.to.Move().Stage == records.Incomplete && m.to.Move().ID == mark.ID
}

// openCopy opens the database to move to; nil: it is empty.
func openCopy(ctx context.Context, to Database) (*records.Side, error) {
	x, err := records.OpenSide(ctx, to.Store, to.Key)
	switch {
	case errors.Is(err, records.ErrNoData):
		return nil, nil
	case errors.Is(err, records.ErrWrongKey), errors.Is(err, records.ErrCorrupt):
		return nil, fmt.Errorf("%s is %w, and must be empty: %w", to.Name, ErrNotEmpty, err)
	case err != nil:
		return nil, fmt.Errorf("opening %s: %w", to.Name, err)
	}
	if older := x.Older(); older != "" {
		return nil, fmt.Errorf("%s is %w, and must be empty: %s", to.Name, ErrNotEmpty, older)
	}
	return x, nil
}

// start begins a migration of a database that is served.
func (m *move) start(ctx context.Context, o Options) error {
	switch {
	case m.to == nil:
	case m.to.Move() != nil:
		return fmt.Errorf("%s is %w, and must be empty, or the copy of %s: %w", o.To.Name, ErrNotEmpty, o.From.Name, m.to.Refusal())
	default:
		return fmt.Errorf("%s is %w, and must be empty: a migration makes the database itself, without `caddy step-up init`", o.To.Name, ErrNotEmpty)
	}
	if older := m.from.Older(); older != "" {
		return fmt.Errorf("%s cannot be moved before it is known what counts in it (%s): start a gateway on it, and look at `caddy step-up fence`", o.From.Name, older)
	}
	for _, d := range []Database{o.From, o.To} {
		if err := unused(ctx, d); err != nil {
			return err
		}
	}
	// As a gateway does at its start: it knows whether something is missing, and
	// writes what it has to.
	if _, err := records.Open(ctx, o.From.Store, o.From.Key); err != nil {
		return fmt.Errorf("opening %s: %w", o.From.Name, err)
	}
	var err error
	if m.from, err = records.OpenSide(ctx, o.From.Store, o.From.Key); err != nil {
		return fmt.Errorf("opening %s: %w", o.From.Name, err)
	}
	var id [8]byte
	rand.Read(id[:]) // never fails: crypto/rand ends the program instead
	mark := records.Move{ID: hex.EncodeToString(id[:]), Stage: records.Moving, Other: o.To.Name, At: time.Now()}
	if err := m.from.Mark(ctx, mark); err != nil {
		return fmt.Errorf("marking %s as being moved: %w", o.From.Name, err)
	}
	return m.take(ctx, o)
}

// unused fails with [ErrInUse] where another process uses a shared engine. An engine
// that is not shared cannot be opened then.
func unused(ctx context.Context, d Database) error {
	shared, ok := d.Store.(store.Shared)
	if !ok {
		return nil
	}
	n, err := shared.Others(ctx)
	if err != nil {
		return fmt.Errorf("looking who uses %s: %w", d.Name, err)
	}
	if n > 0 {
		return fmt.Errorf("%s is %w by %d gateways or migrations: stop all gateways first, on all machines; nothing was changed", d.Name, ErrInUse, n)
	}
	return nil
}

// take makes both databases this migration's.
func (m *move) take(ctx context.Context, o Options) error {
	if err := m.from.Take(ctx); err != nil {
		return interrupted(fmt.Errorf("%s: %w", o.From.Name, err))
	}
	var err error
	if m.to != nil {
		err = m.to.Take(ctx)
	} else {
		mark := *m.from.Move()
		mark.Stage, mark.Other = records.Incomplete, o.From.Name
		m.to, err = records.NewCopy(ctx, o.To.Store, m.from, mark)
	}
	if err != nil {
		return interrupted(fmt.Errorf("%s: %w", o.To.Name, err))
	}
	return nil
}
