package etcd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// dumpPage is how many entries are asked for at a time by Dump. With values of up to
// mostInline each they still fit into memory.
const dumpPage = 32

// Dump implements [store.Movable].
func (s *Store) Dump(ctx context.Context, after []byte, limit int) ([]store.Op, error) {
	if err := store.CheckList(nil, after, limit); err != nil {
		return nil, err
	}
	last := bytes.Clone(after)
	var found []store.Op
	_, err := s.calls.Do(ctx, func(ctx context.Context) error {
		return s.call(ctx, func(id *identity) (err error) {
			found, err = s.dump(ctx, id, 0, last, limit)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// dump reads on, at a revision or, where that is 0, as the database is, until something
// is found that has not just run out, or no more.
func (s *Store) dump(ctx context.Context, id *identity, revision int64, after []byte, limit int) ([]store.Op, error) {
	all := s.at.entry(nil)
	from, end := all, s.at.end(all)
	if len(after) > 0 {
		from = s.at.entry(after) + "\x00"
	}
	ends := map[int64]time.Time{} // of leases; the zero one is none
	for {
		n := min(limit, dumpPage)
		resp, err := s.read(ctx, id, clientv3.OpGet(from, clientv3.WithRange(end), clientv3.WithLimit(int64(n)), clientv3.WithRev(revision)))
		if err != nil {
			return nil, err
		}
		at := revision
		if at == 0 {
			at = resp.Header.Revision
		}
		rows := resp.Responses[0].GetResponseRange().Kvs
		var found []store.Op
		for i, size := 0, 0; i < len(rows) && size <= store.MaxValue; i++ {
			row := rows[i]
			expires, there, err := s.leaseEnds(ctx, id, row.Lease, ends)
			if err != nil {
				return nil, err
			}
			if !there {
				continue
			}
			e, err := s.resolve(ctx, id, row, at)
			if err != nil {
				return nil, err
			}
			found = append(found, store.Op{Key: e.Key, Value: e.Value, Expires: expires})
			size += len(e.Value)
		}
		if len(found) > 0 || len(rows) < n {
			return found, nil
		}
		from = string(rows[n-1].Key) + "\x00"
	}
}

// leaseEnds returns when a lease ends, which is after all runs out that has it; false:
// it has ended.
func (s *Store) leaseEnds(ctx context.Context, id *identity, lease int64, known map[int64]time.Time) (end time.Time, there bool, err error) {
	if lease == int64(clientv3.NoLease) {
		return end, true, nil
	}
	if end, there = known[lease]; there {
		return end, true, nil
	}
	resp, err := id.client.TimeToLive(clientv3.WithRequireLeader(ctx), clientv3.LeaseID(lease))
	switch {
	case errors.Is(err, rpctypes.ErrLeaseNotFound) || err == nil && resp.TTL <= 0:
		return end, false, nil
	case err != nil:
		return end, false, classify(err, false)
	}
	end = time.Now().Add(time.Duration(resp.TTL+1) * time.Second) // it is in whole seconds, rounded down
	known[lease] = end
	return end, true, nil
}

// EndGeneration implements [store.Shared].
func (s *Store) EndGeneration(ctx context.Context, cause string) (began uint64, err error) {
	_, err = s.calls.Do(ctx, func(ctx context.Context) error {
		return s.call(ctx, func(id *identity) error {
			mine, err := s.begin(ctx, id, nil, cause)
			if err == nil && !mine {
				err = fmt.Errorf("%w: by another process, at the same time", store.ErrFenced)
			}
			if err != nil {
				return err
			}
			began = id.Generation + 1
			return s.meet(ctx, id)
		})
	})
	return began, err
}

// Others implements [store.Shared]. Each process writes its time every tickEvery.
func (s *Store) Others(ctx context.Context) (int, error) {
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(2*tickEvery + lagging):
	}
	if down := s.Health().Down; down != nil {
		return 0, down
	}
	return s.clocks.heard(time.Now().Add(-2 * tickEvery)), nil
}
