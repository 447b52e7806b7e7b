package badgerstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"
	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/store"
)

const (
	discardEvery = 30 * time.Second
	sweepEvery   = 10 * time.Minute
	markEvery    = time.Second

	// A sweep deletes this many blobs with one Apply, and looks at most at this many without letting go.
	sweepStep = 64
)

// runTidying lets Badger drop what nobody can read any more, sweeps up what crashes left, makes the mark
// durable and looks for damage, until the store closes.
func (s *Store) runTidying() {
	defer close(s.tidied)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-s.stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	discard := time.NewTicker(discardEvery)
	defer discard.Stop()
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	marks := time.NewTicker(markEvery)
	defer marks.Stop()
	s.requestSweep() // for what the last run left
	for {
		select {
		case <-s.stop:
			return
		case <-discard.C:
			s.discard()
			if err := giveBack(); err != nil {
				s.log.Debug("giving back the memory of tables", zap.Error(err))
			}
			continue
		case <-marks.C:
			s.syncMark()
			continue
		case <-sweep.C:
			s.verify()
		case <-s.kick:
		}
		if s.Fence().Kind == store.FenceRolledBack {
			continue // nothing is removed before an operator has looked
		}
		if err := s.sweep(ctx); err != nil && !errors.Is(err, store.ErrClosed) && ctx.Err() == nil {
			s.log.Warn("sweeping up unfinished large values", zap.Error(err))
		}
	}
}

// verify reads every table and compares its checksums, as judge did at the start. Badger could do that
// whenever it reads, but then takes what is damaged for absent, and its compactions drop it: a spent code would
// be good again. It takes a second or so for each gigabyte.
func (s *Store) verify() {
	s.readers.RLock()
	defer s.readers.RUnlock()
	if s.usable(context.Background()) != nil {
		return
	}
	if err := verifyTables(s.db); err != nil {
		s.fail(err)
	}
}

func verifyTables(db *badger.DB) (err error) {
	defer func() {
		if recover() != nil { // Badger panics where the length of a checksum is damaged
			err = fmt.Errorf("%w: a table does not read", ErrDamaged)
		}
	}()
	if err := db.VerifyChecksum(); err != nil {
		return fmt.Errorf("%w: %s", ErrDamaged, withoutKeys(err))
	}
	return nil
}

// requestSweep asks for a sweep soon.
func (s *Store) requestSweep() {
	select {
	case s.kick <- struct{}{}:
	default: // one is asked for already
	}
}

// discard lets compactions drop every version but the last one of each key, and what open snapshots show.
// Badger keeps what it is told; while no reader is in flight, every later one reads at the last commit or after
// it, or in a snapshot.
func (s *Store) discard() {
	s.readers.Lock()
	defer s.readers.Unlock()
	if !s.closed.Load() {
		s.db.SetDiscardTs(s.snapshots.oldest(s.committed.Load()))
	}
}

// sweep deletes the blobs that no entry refers to: those of an Apply that ended before its entry came.
func (s *Store) sweep(ctx context.Context) error {
	var after []byte
	for {
		orphans, last, err := s.findOrphans(ctx, after)
		if err != nil {
			return err
		}
		if len(orphans) > 0 {
			if err := s.submit(ctx, orphans); err != nil {
				return fmt.Errorf("deleting: %w", err)
			}
		}
		if last == nil {
			return nil
		}
		after = last
	}
}

// findOrphans looks at the next sweepStep blobs with an owner key greater than after. It returns the deletion
// of those that are orphans, and where to go on; nil if there are no more.
func (s *Store) findOrphans(ctx context.Context, after []byte) (deletions []change, last []byte, err error) {
	type owned struct {
		id     blobID
		chunks int
		key    []byte
	}
	var candidates []owned
	err = s.view(ctx, func(txn *badger.Txn) error {
		o := badger.DefaultIteratorOptions
		o.Prefix = []byte{'o'}
		o.PrefetchValues = false
		it := txn.NewIterator(o)
		defer it.Close()
		seen := 0
		for it.Seek(append(append([]byte{'o'}, after...), 0)); it.Valid(); it.Next() {
			item := it.Item()
			key := item.KeyCopy(nil)[1:]
			if len(key) != len(blobID{}) {
				return fmt.Errorf("%w: blob of an unknown form", ErrDamaged)
			}
			encoded, err := item.ValueCopy(nil)
			if err != nil {
				return err
			}
			chunks, owner, err := decodeOwner(encoded)
			if err != nil {
				return err
			}
			// Asked before the entry is read: a blob that is no longer being written has its entry by now, if
			// it ever gets one.
			if id := blobID(key); !s.blobs.has(id) {
				candidates = append(candidates, owned{id, chunks, owner})
			}
			if seen++; seen == sweepStep {
				last = key
				return nil
			}
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	err = s.view(ctx, func(txn *badger.Txn) error {
		for _, c := range candidates {
			r, err := readRow(txn, rowKey(c.key))
			if err != nil && !errors.Is(err, badger.ErrKeyNotFound) {
				return err
			}
			if err == nil && r.kind == kindBlob && r.blob == c.id {
				continue
			}
			for _, e := range blobDeletions(c.id, c.chunks) {
				deletions = append(deletions, change{key: e.Key, internal: true})
			}
		}
		return nil
	})
	return deletions, last, err
}

// view reads the database as of the last commit.
func (s *Store) view(ctx context.Context, read func(*badger.Txn) error) error {
	s.readers.RLock()
	defer s.readers.RUnlock()
	if err := s.usable(ctx); err != nil {
		return err
	}
	txn := s.db.NewTransactionAt(s.committed.Load(), false)
	defer txn.Discard()
	return read(txn)
}
