package etcd

import (
	"bytes"
	"context"
	"errors"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/stepup-gateway/caddy-stepup/internal/store/remote"
	"github.com/stepup-gateway/caddy-stepup/store"
)

const (
	// attemptTimeout is how long one member may take for a reading until another one
	// is asked: a member that was cut off from the others does not know it at once.
	attemptTimeout = 1500 * time.Millisecond
	// pageSize is how many entries are asked for at a time.
	pageSize = 500
)

// read reads in one transaction, linearizably.
func (s *Store) read(ctx context.Context, id *identity, op clientv3.Op) (*clientv3.TxnResponse, error) {
	var resp *clientv3.TxnResponse
	err := retried(ctx, func(ctx context.Context) error {
		attempt, cancel := context.WithTimeout(clientv3.WithRequireLeader(ctx), attemptTimeout)
		defer cancel()
		before := id.seen.Load()
		var err error
		resp, err = id.client.Txn(attempt).If(s.guards(id)...).Then(op).Else(clientv3.OpGet(s.at.meta())).Commit()
		switch {
		case err != nil && attempt.Err() != nil && ctx.Err() == nil:
			return errors.Join(errNow, classify(err, false))
		case err != nil:
			return classify(err, false)
		case !id.same(resp.Header, before), !resp.Succeeded:
			return remote.ErrMoved
		}
		return nil
	})
	return resp, err
}

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, key []byte) (store.Entry, error) {
	if err := store.CheckKey(key); err != nil {
		return store.Entry{}, err
	}
	asked := bytes.Clone(key)
	var found store.Entry
	_, err := s.calls.Do(ctx, func(ctx context.Context) error {
		return s.call(ctx, func(id *identity) error {
			resp, err := s.read(ctx, id, clientv3.OpGet(s.at.entry(asked)))
			if err != nil {
				return err
			}
			rows := resp.Responses[0].GetResponseRange().Kvs
			if len(rows) == 0 {
				return store.ErrNotFound
			}
			found, err = s.resolve(ctx, id, rows[0], resp.Header.Revision)
			return err
		})
	})
	if err != nil {
		return store.Entry{}, err
	}
	return found, nil
}

// resolve makes an entry of a row that was read at a revision.
func (s *Store) resolve(ctx context.Context, id *identity, row *mvccpb.KeyValue, revision int64) (store.Entry, error) {
	e := store.Entry{Key: bytes.Clone(s.at.key(row.Key)), Version: id.version(row.ModRevision)}
	value, pieces, size, err := decode(row.Value)
	if err == nil && value == nil {
		value, err = s.join(ctx, id, e.Key, pieces, size, revision)
	}
	e.Value = value
	return e, err
}

// List implements [store.Store].
func (s *Store) List(ctx context.Context, prefix, after []byte, limit int) ([]store.Entry, error) {
	if err := store.CheckList(prefix, after, limit); err != nil {
		return nil, err
	}
	from, last := bytes.Clone(prefix), bytes.Clone(after)
	var found []store.Entry
	_, err := s.calls.Do(ctx, func(ctx context.Context) error {
		return s.call(ctx, func(id *identity) (err error) {
			found, err = s.list(ctx, id, from, last, limit)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// list reads page after page, all at the revision of the first.
func (s *Store) list(ctx context.Context, id *identity, prefix, after []byte, limit int) ([]store.Entry, error) {
	all := s.at.entry(prefix)
	from, end := all, s.at.end(all)
	if bytes.Compare(after, prefix) >= 0 {
		from = s.at.entry(after) + "\x00"
	}
	found, revision := []store.Entry{}, int64(0)
	for len(found) < limit && from < end {
		n := min(limit-len(found), pageSize)
		resp, err := s.read(ctx, id, clientv3.OpGet(from, clientv3.WithRange(end), clientv3.WithLimit(int64(n)), clientv3.WithRev(revision)))
		if err != nil {
			return nil, err
		}
		if revision == 0 {
			revision = resp.Header.Revision
		}
		rows := resp.Responses[0].GetResponseRange().Kvs
		for _, row := range rows {
			e, err := s.resolve(ctx, id, row, revision)
			if err != nil {
				return nil, err
			}
			found = append(found, e)
		}
		if len(rows) < n {
			break
		}
		from = string(rows[n-1].Key) + "\x00"
	}
	return found, nil
}
