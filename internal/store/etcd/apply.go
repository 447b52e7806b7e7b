package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/stepup-gateway/caddy-stepup/internal/store/remote"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// change is what an Apply is to do.
type change struct {
	// generation, where decided is true, is the one in which it was decided.
	generation uint64
	decided    bool
	told       [][]byte
	ops        []store.Op
	taking     bool
}

// Apply implements [store.Store].
func (s *Store) Apply(ctx context.Context, ops ...store.Op) error {
	return s.do(ctx, &change{ops: ops})
}

// ApplyIn implements [store.Shared].
func (s *Store) ApplyIn(ctx context.Context, generation uint64, told [][]byte, ops ...store.Op) error {
	return s.do(ctx, &change{generation: generation, decided: true, told: told, ops: ops})
}

func (s *Store) do(ctx context.Context, c *change) error {
	if err := store.CheckOps(c.ops); err != nil {
		return err
	}
	if len(c.ops) == 0 {
		return nil
	}
	c.taking = store.IsTaking(ctx)
	if ctx.Done() != nil {
		c.ops = remote.Clone(c.ops) // the call may outlast its caller
		c.told = remote.CloneNames(c.told)
	}
	began := time.Now()
	interrupted, err := s.calls.Do(ctx, func(ctx context.Context) error {
		return retried(ctx, func(ctx context.Context) error {
			return s.call(ctx, func(id *identity) error { return s.applyTo(ctx, id, c) })
		})
	})
	if interrupted {
		err = fmt.Errorf("%w: %w", store.ErrUnknown, err)
	}
	s.Note(began, err)
	return err
}

// retried runs f until it does not fail with errNow, or ctx ends.
func retried(ctx context.Context, f func(context.Context) error) error {
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		err := f(ctx)
		if !errors.Is(err, errNow) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

func (s *Store) applyTo(ctx context.Context, id *identity, c *change) error {
	if c.decided && c.generation != id.Generation {
		return store.ErrFenced
	}
	// Without a generation of its own it is of the one that it met first.
	c.generation, c.decided = id.Generation, true
	if err := s.room.refusal(c); err != nil {
		return err
	}
	conditions := s.guards(id)
	for i := range c.ops {
		op := &c.ops[i]
		if op.If == nil {
			continue
		}
		revision, ok := int64(0), true
		if *op.If != 0 {
			revision, ok = id.revision(*op.If)
		}
		if !ok {
			return store.ErrConflict // the version is of another generation
		}
		conditions = append(conditions, clientv3.Compare(clientv3.ModRevision(s.at.entry(op.Key)), "=", revision))
	}
	changes, err := s.changes(ctx, id, c)
	if err != nil {
		return err
	}
	return s.commit(ctx, id, conditions, changes)
}

// changes returns the operations of a change, the signature first. It writes the
// pieces of values that are too large for one transaction.
func (s *Store) changes(ctx context.Context, id *identity, c *change) ([]clientv3.Op, error) {
	leases := make([]clientv3.LeaseID, len(c.ops))
	for i := range c.ops {
		if op := &c.ops[i]; op.Value != nil {
			var err error
			if leases[i], err = s.expiring.lease(ctx, id.client, op.Expires); err != nil {
				return nil, err
			}
		}
	}
	values, err := s.place(ctx, id, c.ops, leases)
	if err != nil {
		return nil, err
	}
	changes := []clientv3.Op{s.sign(id)}
	for i := range c.ops {
		switch op := &c.ops[i]; {
		case op.Value != nil:
			changes = append(changes, clientv3.OpPut(s.at.entry(op.Key), values[i], clientv3.WithLease(leases[i])))
		case op.If == nil || *op.If != 0:
			changes = append(changes, clientv3.OpDelete(s.at.entry(op.Key)))
		}
	}
	if len(c.told) > 0 {
		told, err := json.Marshal(c.told)
		if err != nil {
			return nil, err
		}
		changes = append(changes, clientv3.OpPut(s.at.told(), string(told)))
	}
	return changes, nil
}

// commit makes the changes, the first of which is the signature, if the conditions
// hold, the first of which are the guards.
func (s *Store) commit(ctx context.Context, id *identity, conditions []clientv3.Cmp, changes []clientv3.Op) error {
	before, acknowledged := id.seen.Load(), id.acknowledged.Load()
	resp, err := id.client.Txn(clientv3.WithRequireLeader(ctx)).If(conditions...).Then(changes...).
		Else(clientv3.OpGet(s.at.meta()), clientv3.OpGet(s.at.run(s.run), clientv3.WithKeysOnly())).Commit()
	switch {
	case errors.Is(err, rpctypes.ErrLeaseNotFound):
		// Nothing changed: etcd has given up a lease, of this process's row or of what
		// runs out.
		s.expiring.forget()
		return remote.ErrMoved
	case err != nil:
		return classify(err, true)
	case resp.Succeeded && !id.same(resp.Header, before):
		return fmt.Errorf("%w: etcd is in another state than before", store.ErrUnknown)
	case resp.Succeeded:
		id.acknowledge(resp)
		return nil
	case !id.same(resp.Header, before):
		return remote.ErrMoved
	}
	meta, row := resp.Responses[0].GetResponseRange().Kvs, resp.Responses[1].GetResponseRange().Kvs
	if len(meta) == 0 || string(meta[0].Value) != id.raw || len(row) == 0 || row[0].Version < acknowledged {
		return remote.ErrMoved
	}
	return store.ErrConflict
}
