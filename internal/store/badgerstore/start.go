package badgerstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/internal/store/mark"
	"github.com/stepup-gateway/caddy-stepup/internal/store/wal"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// A birth is what a database says of itself, in the row "i":
//
//	form[1] = 1 | database[16] | start[8] | marked[1]
//
// database is its random id, start the one of the last opening, marked whether a
// mark was kept then. The row is written at every opening, after the mark.
type birth struct {
	database wal.ID
	start    mark.Start
	marked   bool
}

var birthKey = []byte("i")

func newID() (id wal.ID) {
	rand.Read(id[:]) // never fails: crypto/rand ends the process instead
	return id
}

const birthForm = 1

func (b birth) encode() []byte {
	row := append([]byte{birthForm}, b.database[:]...)
	row = append(row, b.start[:]...)
	if b.marked {
		return append(row, 1)
	}
	return append(row, 0)
}

// readBirth reads the row; found is false in a database of before.
func readBirth(txn *badger.Txn) (b birth, found bool, err error) {
	row, err := get(txn, birthKey)
	switch {
	case errors.Is(err, badger.ErrKeyNotFound):
		return birth{}, false, nil
	case err != nil:
		return birth{}, false, err
	case len(row) != 1+16+8+1 || row[0] != birthForm:
		return birth{}, false, fmt.Errorf("%w: row of the last start of an unknown form", ErrDamaged)
	}
	return birth{database: wal.ID(row[1:]), start: mark.Start(row[17:]), marked: row[25] == 1}, true, nil
}

// judgeFence compares the database with the mark, where one is kept, and with
// what the caller knows.
func judgeFence(o Options, m *mark.Mark, b birth, born bool, j *judgement) (store.Fence, error) {
	rolledBack := func(format string, args ...any) store.Fence {
		f := store.Fence{Kind: store.FenceRolledBack, Reason: fmt.Sprintf(format, args...)}
		if m != nil {
			f.Newest = m.Time
		}
		return f
	}
	known := o.AtLeast
	if m != nil {
		known = max(known, m.Sequence)
	}
	switch {
	case j.last() < known && j.log.Torn && j.log.TornAt == known:
		return store.Fence{}, fmt.Errorf("%w: the log's last record does not read, and it was acknowledged; nothing was changed: restore the directory from a backup", ErrDamaged)
	case j.last() < known:
		return rolledBack("the database ends with change %d, and change %d was acknowledged: this is an older copy of it", j.last(), known), nil
	case o.Mark != "" && m == nil && born && b.marked:
		return store.Fence{Kind: store.FenceUnsure, Reason: "the mark of how far the database had come, " + o.Mark + ", is missing or cannot be read"}, nil
	case m == nil || m.Sequence == 0:
		return store.Fence{}, nil
	case !born || m.Database != b.database:
		return rolledBack("the mark belongs to another database than the one in the directory"), nil
	case b.start != m.Start && b.start != m.Previous:
		return rolledBack("the database was last opened by another start than the mark: this is a copy that went on elsewhere, or an older one"), nil
	}
	return store.Fence{}, nil
}

// nextStart gives the database another id of a start, in the mark; its row is
// written after that, so that a kill between the two is seen for what it is. It
// belongs to the committer, and to Open before there is one.
func (s *Store) nextStart() error {
	previous := s.birth.start
	rand.Read(s.birth.start[:]) // never fails: crypto/rand ends the process instead
	s.birth.marked = s.mark != nil
	if s.mark == nil {
		return s.dir.note(inUse)
	}
	s.marked = mark.Mark{Database: s.birth.database, Sequence: s.committed.Load(), Time: s.now(), Previous: previous, Start: s.birth.start}
	if err := s.mark.Write(s.marked); err != nil {
		return err
	}
	if err := s.mark.Sync(); err != nil {
		return err
	}
	return s.dir.note(inUse)
}

// birthRow is the change that writes what the database says of itself.
func (s *Store) birthRow() change {
	return change{key: birthKey, encoded: s.birth.encode(), internal: true}
}

// advance writes the mark for a commit that is durable. The committer calls it.
func (s *Store) advance(ts uint64) {
	if s.mark == nil {
		return
	}
	switch s.Fence().Kind {
	case store.FenceUnsure:
		return
	case store.FenceRolledBack:
		// The mark stays ahead of the database until the fence is accepted.
		s.marked.Sequence = max(s.marked.Sequence, ts+1)
	default:
		s.marked.Sequence, s.marked.Time = ts, s.now()
	}
	if err := s.mark.Write(s.marked); err != nil {
		if s.markFailed.CompareAndSwap(false, true) {
			s.log.Error("the mark cannot be written: an older copy of the database might go unnoticed", zap.Error(err))
		}
		return
	}
	s.markFailed.Store(false)
	s.unsynced.Store(true)
}

// Fence implements [store.Fenced].
func (s *Store) Fence() store.Fence { return *s.fence.Load() }

// AcceptFence implements [store.Fenced].
func (s *Store) AcceptFence(ctx context.Context) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	if s.Fence().Kind == store.FenceNone {
		return nil
	}
	// In the committer's turn, since the mark and what it says of commits are its.
	return s.submit(ctx, []change{{accept: true}})
}

// acceptFence is AcceptFence in the committer. The birth row is written by the
// commit that it is part of.
func (s *Store) acceptFence() error {
	s.sequence = max(s.sequence, s.marked.Sequence) // so that no version of what was lost is given again
	if err := s.nextStart(); err != nil {
		return err
	}
	s.fence.Store(new(store.Fence))
	return nil
}

// syncMark makes the mark durable where it changed.
func (s *Store) syncMark() {
	if s.mark == nil || !s.unsynced.CompareAndSwap(true, false) {
		return
	}
	if err := s.mark.Sync(); err != nil {
		s.log.Error("syncing the mark", zap.Error(err))
	}
}
