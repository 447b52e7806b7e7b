package etcd

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// sweepBite is how many pieces are looked at in one reading.
const sweepBite = 1000

// tidyOften compacts the history, and removes pieces of values that nobody names,
// until ctx ends. All that use the database do.
func (s *Store) tidyOften(ctx context.Context) {
	h, every := history{keep: s.history}, s.history/10
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(every/2 + rand.N(every)):
		}
		id := s.known.Load()
		if id == nil {
			continue
		}
		if old := h.note(id, time.Now()); old > 0 {
			tidying, cancel := context.WithTimeout(ctx, time.Minute)
			if err := s.tidy(tidying, id, old); err != nil && ctx.Err() == nil {
				s.log.Debug("what is gone could not be removed from etcd; it is tried again", zap.Error(err))
			}
			cancel()
		}
	}
}

// history is when which revision was seen, in one state of the database.
type history struct {
	keep time.Duration
	id   *identity
	seen []sighting
}

type sighting struct {
	at       time.Time
	revision int64
}

// note notes the revision now, and returns the highest that is older than what is
// kept; 0: none is.
func (h *history) note(id *identity, now time.Time) (old int64) {
	if h.id == nil || h.id.raw != id.raw {
		h.seen = nil
	}
	h.id = id
	h.seen = append(h.seen, sighting{now, id.seen.Load()})
	for len(h.seen) > 0 && now.Sub(h.seen[0].at) >= h.keep {
		old, h.seen = h.seen[0].revision, h.seen[1:]
	}
	return old
}

func (s *Store) tidy(ctx context.Context, id *identity, old int64) error {
	_, err := id.client.Compact(clientv3.WithRequireLeader(ctx), old)
	if err != nil && !errors.Is(err, rpctypes.ErrCompacted) {
		return classify(err, false)
	}
	return s.sweepPieces(ctx, id, old)
}

// sweepPieces removes pieces that were written before the revision and that no entry
// names: of values that were replaced or deleted, and of changes that did not take
// place. A change that will name its pieces is not that old.
func (s *Store) sweepPieces(ctx context.Context, id *identity, old int64) error {
	from, end := s.at.pieces(), s.at.end(s.at.pieces())
	for {
		resp, err := s.read(ctx, id, clientv3.OpGet(from, clientv3.WithRange(end), clientv3.WithLimit(sweepBite), clientv3.WithKeysOnly()))
		if err != nil {
			return err
		}
		rows := resp.Responses[0].GetResponseRange().Kvs
		for _, row := range rows {
			if row.ModRevision <= old {
				if err := s.sweepPiece(ctx, id, row.Key); err != nil {
					return err
				}
			}
		}
		if len(rows) < sweepBite {
			return nil
		}
		from = string(rows[len(rows)-1].Key) + "\x00"
	}
}

func (s *Store) sweepPiece(ctx context.Context, id *identity, piece []byte) error {
	key, name, ok := s.at.owner(piece)
	if !ok {
		return nil // not of this version's form
	}
	entry := s.at.entry(key)
	resp, err := s.read(ctx, id, clientv3.OpGet(entry))
	if err != nil {
		return err
	}
	revision := int64(0)
	if rows := resp.Responses[0].GetResponseRange().Kvs; len(rows) > 0 {
		value, named, _, err := decode(rows[0].Value)
		if err != nil || value == nil && named == name {
			return err
		}
		revision = rows[0].ModRevision
	}
	unchanged := append(s.guards(id), clientv3.Compare(clientv3.ModRevision(entry), "=", revision))
	return s.commit(ctx, id, unchanged, []clientv3.Op{s.sign(id), clientv3.OpDelete(string(piece))})
}
