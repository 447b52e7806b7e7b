package badgerstore

import (
	"context"
	"fmt"
	"sync"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// snapshotPage is how many bytes the values of a page of a snapshot come to, if not more in one. What
// others wait for comes between two pages.
const snapshotPage = 1 << 20

// snapshots are those that are open, with the timestamps that they read at: what they show is not discarded.
// The zero value has none.
type snapshots struct {
	mu   sync.Mutex
	open map[*snapshot]struct{}
}

// oldest returns the least of a timestamp and those of the open snapshots.
func (s *snapshots) oldest(ts uint64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	for one := range s.open {
		ts = min(ts, one.ts)
	}
	return ts
}

type snapshot struct {
	s  *Store
	ts uint64
}

// Snapshot implements [store.Snapshots].
func (s *Store) Snapshot(ctx context.Context) (store.Snapshot, error) {
	s.readers.RLock() // so that nothing is discarded before it is known that this one is open
	defer s.readers.RUnlock()
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.snapshots.mu.Lock()
	defer s.snapshots.mu.Unlock()
	if s.snapshots.open == nil {
		s.snapshots.open = make(map[*snapshot]struct{})
	}
	one := &snapshot{s: s, ts: s.committed.Load()}
	s.snapshots.open[one] = struct{}{}
	return one, nil
}

func (x *snapshot) Sequence() uint64 { return x.ts }

func (x *snapshot) Dump(ctx context.Context, after []byte, limit int) ([]store.Op, error) {
	x.s.snapshots.mu.Lock()
	_, open := x.s.snapshots.open[x]
	x.s.snapshots.mu.Unlock()
	if !open {
		return nil, fmt.Errorf("%w: the snapshot was closed", store.ErrInvalid)
	}
	return x.s.dump(ctx, func() uint64 { return x.ts }, after, limit, snapshotPage)
}

func (x *snapshot) Close() error {
	x.s.snapshots.mu.Lock()
	defer x.s.snapshots.mu.Unlock()
	delete(x.s.snapshots.open, x)
	return nil
}
