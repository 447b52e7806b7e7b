package etcd

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// snapshot is the database at a revision, which etcd shows until it is compacted.
type snapshot struct {
	s        *Store
	raw      string // the record of the generation
	revision int64
}

// Snapshot implements [store.Snapshots].
func (s *Store) Snapshot(ctx context.Context) (store.Snapshot, error) {
	x := &snapshot{s: s}
	_, err := s.calls.Do(context.WithoutCancel(ctx), func(ctx context.Context) error {
		return s.call(ctx, func(id *identity) error {
			resp, err := s.read(ctx, id, clientv3.OpGet(s.at.meta(), clientv3.WithKeysOnly()))
			if err == nil {
				x.raw, x.revision = id.raw, resp.Header.Revision
			}
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return x, nil
}

func (x *snapshot) Sequence() uint64 { return uint64(x.revision) }

func (x *snapshot) Dump(ctx context.Context, after []byte, limit int) (found []store.Op, err error) {
	if err := store.CheckList(nil, after, limit); err != nil {
		return nil, err
	}
	last := bytes.Clone(after)
	_, err = x.s.calls.Do(context.WithoutCancel(ctx), func(ctx context.Context) error {
		return x.s.call(ctx, func(id *identity) (err error) {
			if id.raw != x.raw {
				return fmt.Errorf("%w: the snapshot is of another one", store.ErrFenced)
			}
			found, err = x.s.dump(ctx, id, x.revision, last, limit)
			return err
		})
	})
	switch {
	case errors.Is(err, rpctypes.ErrCompacted):
		return nil, fmt.Errorf("etcd keeps its history for %v, and reading took longer: %w", x.s.history, err)
	case err != nil:
		return nil, err
	}
	return found, ctx.Err()
}

func (x *snapshot) Close() error { return nil }
