package badgerstore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/dgraph-io/badger/v4"
	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/internal/store/mark"
	"github.com/stepup-gateway/caddy-stepup/internal/store/wal"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// Open opens the database, making it if there is none. It fails with
//
//   - [ErrLocked] where another process has it open,
//   - [ErrMissing] where there is none and there was one by the mark or Options.AtLeast,
//   - [ErrDamaged] where a file is not what was written, and
//   - [ErrNoSpace] where the disk has too little left to open it,
//
// each with a sentence that says what to do. A database that is older than what was acknowledged opens; see
// [Store.Fence].
func Open(o Options) (*Store, error) {
	if o.Dir == "" {
		return nil, errors.New("opening database: no directory given")
	}
	s := &Store{
		log:     o.Logger,
		now:     o.Now,
		queue:   make(chan *request, queueLength),
		stop:    make(chan struct{}),
		drained: make(chan struct{}),
		kick:    make(chan struct{}, 1),
		tidied:  make(chan struct{}),
	}
	if s.log == nil {
		s.log = zap.NewNop()
	}
	if s.now == nil {
		s.now = time.Now
	}
	m, err := readMark(o)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(o.Dir); errors.Is(err, os.ErrNotExist) {
		if err := missing(o, m); err != nil {
			return nil, err
		}
	}
	if s.dir, err = openDirectory(o.Dir); err != nil {
		return nil, err
	}
	s.free, s.write = s.dir.freeSpace, s.commit
	// While there is a fence the mark is left as it is until the fence is accepted.
	err = s.open(o, m)
	unfenced := err == nil && s.Fence().Kind == store.FenceNone
	if unfenced {
		err = s.nextStart()
	}
	if err != nil {
		return nil, errors.Join(err, s.release())
	}
	row := s.birthRow()
	go s.runCommitter()
	go s.runTidying()
	if unfenced {
		err = s.submit(context.Background(), []change{row})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening database in %s: %w", o.Dir, err), s.Close())
	}
	return s, nil
}

// readMark returns the mark; nil where none is kept or none can be read.
func readMark(o Options) (*mark.Mark, error) {
	if o.Mark == "" {
		return nil, nil
	}
	m, found, err := mark.Read(o.Mark)
	if err != nil || !found {
		return nil, err
	}
	return &m, nil
}

// missing reports whether there was a database where there is none.
func missing(o Options, m *mark.Mark) error {
	switch {
	case m != nil && m.Sequence > 0:
		return fmt.Errorf("%w: %s is missing or empty, and by its mark in %s there was one with %d changes: mount the volume or restore a backup; "+
			"or, to start anew, move the mark and the key file away, and everybody enrolls again", ErrMissing, o.Dir, o.Mark, m.Sequence)
	case o.AtLeast > 0:
		return fmt.Errorf("%w: %s is missing or empty: put it back, or restart the gateway to start anew", ErrMissing, o.Dir)
	}
	return nil
}

// open judges the directory and opens what it holds, all but what runs.
func (s *Store) open(o Options, m *mark.Mark) (err error) {
	if err := s.dir.lock(); err != nil {
		return err
	}
	if free, err := s.free(); err != nil {
		return fmt.Errorf("asking for space on the disk: %w", err)
	} else if free < reserveOpen {
		return fmt.Errorf("%w: %d MiB are free and opening it takes %d MiB; make room", ErrNoSpace, free>>20, reserveOpen>>20)
	}
	j, err := judge(o.Dir)
	if err != nil {
		return fmt.Errorf("opening database in %s: %w", o.Dir, err)
	}
	if j.empty {
		if err := missing(o, m); err != nil {
			return err
		}
	}
	if o.Mark != "" {
		if s.mark, err = mark.Open(o.Mark); err != nil {
			return fmt.Errorf("%w; `mark PATH` in the store's block places it elsewhere, `mark off` does without", err)
		}
	}
	if err := s.openTables(o.Dir, &j); err != nil {
		return err
	}
	born, err := s.restore(&j)
	if err != nil {
		return fmt.Errorf("opening database in %s: %w", o.Dir, err)
	}
	if born && j.log.Found && j.log.ID != s.birth.database {
		return fmt.Errorf("opening database in %s: %w: the log belongs to another database", o.Dir, ErrDamaged)
	}
	fence, err := judgeFence(o, m, s.birth, born, &j)
	if err != nil {
		return fmt.Errorf("opening database in %s: %w", o.Dir, err)
	}
	copied, err := s.dir.isCopy()
	if err != nil {
		return fmt.Errorf("opening database in %s: %w", o.Dir, err)
	}
	if copied && fence.Kind == store.FenceNone {
		fence = store.Fence{Kind: store.FenceUnsure, Reason: "the directory is a copy that was made while a gateway used it, or after one was killed: what was acknowledged may be missing"}
	}
	s.fence.Store(&fence)
	if m != nil {
		s.marked = *m
	}
	s.marked.Sequence = max(s.marked.Sequence, o.AtLeast)
	// Segments that may hold what is missing are kept for anyone who looks into it.
	s.wal, err = wal.Begin(logDir(o.Dir), s.birth.database, s.committed.Load(), fence.Kind == store.FenceRolledBack)
	if err != nil {
		return logError(err)
	}
	return nil
}

// openTables opens Badger with everything in tables that is in the log, or in Badger's own log in a database
// of before.
func (s *Store) openTables(dir string, j *judgement) (err error) {
	if s.db, err = s.openBadger(dir, j.logged); err != nil {
		return err
	}
	if j.empty || j.logged && j.log.Last <= j.flushed {
		return nil
	}
	if err := s.replay(dir, j); err != nil {
		return fmt.Errorf("opening database in %s: %w", dir, err)
	}
	// Closing writes the memory table to a table, and MANIFEST, both synced.
	if err := s.db.Close(); err != nil {
		s.db = nil
		return fmt.Errorf("opening database in %s: writing what was in the log to a table: %w", dir, err)
	}
	if s.db, err = s.openBadger(dir, true); err != nil {
		return err
	}
	if flushed := s.flushed(); flushed < j.last() {
		return fmt.Errorf("opening database in %s: the tables end with change %d after the log up to %d was written to them", dir, flushed, j.last())
	}
	return s.dir.sync()
}

// openBadger opens the database after removing those of its files that carry nothing, where the database has
// our log: Badger's own logs of memory tables, the value log, which is never written to, and its statistics.
// Damage of these is of no consequence then.
func (s *Store) openBadger(dir string, logged bool) (*badger.DB, error) {
	if logged {
		if err := removeDerived(dir); err != nil {
			return nil, fmt.Errorf("opening database in %s: %w", dir, err)
		}
	}
	// Managed: timestamps are ours, see the package comment about readers.
	db, err := openManaged(badgerOptions(dir, s.log))
	if err != nil {
		return nil, openError(dir, err)
	}
	return db, nil
}

// registry is what Badger's key registry holds where nothing is encrypted, after 16 random bytes.
const registry = "Hello Badger"

func removeDerived(dir string) error {
	names, err := fileNames(dir)
	if err != nil {
		return err
	}
	derived := append(append(names.with(".mem"), names.with(".vlog")...), names.with("DISCARD")...)
	if held, err := os.ReadFile(filepath.Join(dir, badger.KeyRegistryFileName)); err == nil && (len(held) != 16+len(registry) || string(held[16:]) != registry) {
		derived = append(derived, badger.KeyRegistryFileName)
	}
	for _, name := range derived {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("removing a file to be made anew: %w", err)
		}
	}
	return nil
}

// replay brings into Badger what is in the log and not in its tables. In a database of before Badger did so
// with its own log, and what is left is to mark it as one that has a log of ours.
func (s *Store) replay(dir string, j *judgement) error {
	if !j.logged {
		last := s.db.MaxVersion() + 1
		j.flushed = last
		return s.insert(nil, last)
	}
	_, err := wal.Read(logDir(dir), func(sequence uint64, payload []byte) error {
		if sequence <= j.flushed {
			return nil
		}
		entries, err := parseEntries(payload)
		if err != nil {
			return err
		}
		return s.insert(entries, sequence)
	})
	return err
}

// flushed is the sequence up to which all changes are in tables: memory tables are written in their order,
// and every commit has the sequence row.
func (s *Store) flushed() (flushed uint64) {
	for _, t := range s.db.Tables() {
		flushed = max(flushed, t.MaxVersion)
	}
	return flushed
}

// restore finds where the last run ended, and what the database says of itself; born is whether it says so.
// Badger's own idea of the highest timestamp may fall back, once the entry that carried it is deleted and
// compacted away; the sequence row is rewritten by every commit.
func (s *Store) restore(j *judgement) (born bool, err error) {
	txn := s.db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	sequence, err := readSequence(txn)
	if err != nil {
		return false, err
	}
	if s.birth, born, err = readBirth(txn); err != nil {
		return false, err
	}
	if !born {
		s.birth.database = newID()
	}
	s.sequence = max(sequence, s.db.MaxVersion(), j.last())
	s.committed.Store(s.sequence)
	s.db.SetDiscardTs(s.sequence)
	return born, nil
}

// logError puts errors of the log into the terms of the store.
func logError(err error) error {
	if errors.Is(err, wal.ErrNoSpace) {
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	return err
}
