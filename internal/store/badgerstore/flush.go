package badgerstore

import (
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"
	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// flush commits the batch and tells everybody in it. After a failure all are told of that, those with a
// conflict too: they may have been judged by a change that failed.
func (b *batch) flush() {
	b.txn.Discard()
	var failed error
	if len(b.entries) > 0 {
		began := time.Now()
		failed = b.s.persist(b.entries)
		b.s.pace = pace{callers: len(b.pending) + len(b.s.queue), took: time.Since(began)}
	}
	for i, r := range b.pending {
		outcome := b.results[i]
		if failed != nil {
			outcome = failed
		}
		r.done(outcome, i < len(b.pending)-1)
	}
}

// persist makes entries durable and then visible, or puts the database out of use.
func (s *Store) persist(entries map[string]*badger.Entry) error {
	ts := s.sequence
	err := s.write(entries, ts)
	if errors.Is(err, ErrNoSpace) {
		return err // the log took nothing
	}
	if err != nil {
		return fmt.Errorf("%w: %w", store.ErrUnknown, s.fail(err))
	}
	s.versions.wrote(entries, ts)
	s.committed.Store(ts)
	return nil
}

// fail puts the database out of use.
func (s *Store) fail(err error) error {
	failure := fmt.Errorf("%w: %w", ErrFailed, err)
	if s.failure.CompareAndSwap(nil, &failure) {
		s.log.Error("database is out of use until it is opened again", zap.Error(err))
	}
	return *s.failure.Load()
}

// commit makes entries durable in the log, brings them into Badger, and then writes the mark.
func (s *Store) commit(entries map[string]*badger.Entry, ts uint64) error {
	if err := s.wal.Append(ts, appendEntries(s.wal.Buffer(), entries)); err != nil {
		return logError(err)
	}
	if err := s.insert(entries, ts); err != nil {
		return err
	}
	s.advance(ts)
	return s.prune()
}

// insert writes entries, and the sequence, in one transaction of Badger.
func (s *Store) insert(entries map[string]*badger.Entry, ts uint64) error {
	txn := s.db.NewTransactionAt(ts, true)
	defer txn.Discard()
	for _, e := range entries {
		var err error
		if e.Value == nil {
			err = txn.Delete(e.Key)
		} else {
			err = txn.SetEntry(e)
		}
		if err != nil {
			return fmt.Errorf("gathering commit: %w", err)
		}
	}
	if err := txn.Set(sequenceKey, encodeSequence(ts)); err != nil {
		return fmt.Errorf("gathering commit: %w", err)
	}
	if err := txn.CommitAt(ts, nil); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	return nil
}

// pruneEvery is how often segments of the log are looked at that may go.
const pruneEvery = time.Second

// prune removes the segments of the log whose changes are all in tables.
func (s *Store) prune() error {
	if s.wal.Sealed() == 0 || time.Since(s.pruned) < pruneEvery {
		return nil
	}
	s.pruned = time.Now()
	flushed := s.flushed()
	if err := s.dir.sync(); err != nil { // the tables' names
		return err
	}
	return s.wal.Prune(flushed)
}
