package procstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// maxSnapshots bounds the snapshots that are open in one child: each keeps what was
// overwritten since it began.
const maxSnapshots = 8

// snapshot is one in the child. Its name is random, so that another child, which is
// started where the first one is lost, does not know it.
type snapshot struct {
	s        *Store
	name     string
	sequence uint64
	closed   bool
}

// Snapshot implements [store.Snapshots].
func (s *Store) Snapshot(ctx context.Context) (store.Snapshot, error) {
	x := &snapshot{s: s, name: rand.Text()}
	r := s.call(ctx, false, func(id uint64) ([]byte, error) { return namedFrame(kindSnapshot, id, x.name) })
	if r.err == nil && len(r.entries) != 1 {
		r.err = fmt.Errorf("%w: %w", store.ErrUnavailable, errNonsense)
	}
	if r.err != nil {
		x.Close() // it may have begun, for all that is known
		return nil, r.err
	}
	x.sequence = uint64(r.entries[0].Version)
	return x, nil
}

func (x *snapshot) Sequence() uint64 { return x.sequence }

func (x *snapshot) Dump(ctx context.Context, after []byte, limit int) ([]store.Op, error) {
	if err := store.CheckList(nil, after, limit); err != nil {
		return nil, err
	}
	r := x.s.call(ctx, false, func(id uint64) ([]byte, error) { return dumpFrame(id, x.name, after, limit) })
	return r.dumped, r.err
}

func (x *snapshot) Close() error {
	if x.closed {
		return nil
	}
	x.closed = true
	err := x.s.call(context.Background(), false, func(id uint64) ([]byte, error) { return namedFrame(kindRelease, id, x.name) }).err
	if errors.Is(err, store.ErrClosed) || errors.Is(err, store.ErrUnavailable) {
		return nil // it is gone with the child
	}
	return err
}

// beginSnapshot begins a snapshot in the child, and answers with its sequence.
func (s *server) beginSnapshot(ctx context.Context, name string) result {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.snapshots) >= maxSnapshots {
		return result{err: fmt.Errorf("%w: %d snapshots are open already", store.ErrUnavailable, maxSnapshots)}
	}
	x, err := s.db.Snapshot(ctx)
	if err != nil {
		return result{err: err}
	}
	s.snapshots[name] = x
	return result{entries: []store.Entry{{Version: store.Version(x.Sequence())}}}
}

func (s *server) endSnapshot(name string) result {
	s.mu.Lock()
	x := s.snapshots[name]
	delete(s.snapshots, name)
	s.mu.Unlock()
	if x == nil {
		return result{}
	}
	return result{err: x.Close()}
}

// dump reads entries of the snapshot of that name, or of the database as it is.
func (s *server) dump(ctx context.Context, name string, after []byte, limit int) result {
	read := s.db.Dump
	if name != "" {
		s.mu.Lock()
		x := s.snapshots[name]
		s.mu.Unlock()
		if x == nil {
			return result{err: fmt.Errorf("%w: the snapshot is gone, since the process of the database was started anew", store.ErrUnavailable)}
		}
		read = x.Dump
	}
	ops, err := read(ctx, after, limit)
	return result{dumped: ops, err: err}
}
