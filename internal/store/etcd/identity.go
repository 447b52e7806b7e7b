package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/stepup-gateway/caddy-stepup/internal/store/remote"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// meta is the record of the generation:
//
//	{"schema": 1, "store": "…", "cluster": "…", "generation": 0, "begun": "…", "cause": "…"}
//
// Store and Begun are random: two databases, and two generations of one number that
// began apart, are not taken for each other.
type meta struct {
	Schema     int    `json:"schema"`
	Store      string `json:"store"`
	Cluster    string `json:"cluster"`
	Generation uint64 `json:"generation"`
	Begun      string `json:"begun"`
	Cause      string `json:"cause,omitempty"`
}

const schemaVersion = 1

// revisionBits are those of a version that are the revision of etcd. So a version
// means nothing in another generation, in which etcd may give out the same
// revisions again.
const revisionBits = store.VersionBits

// identity is the database, in a state of it, as this process knows it. Another
// state has another record of the generation, or lacks something that was seen or
// acknowledged in this one.
type identity struct {
	meta
	raw     string // the record as it is stored
	cluster uint64
	client  *clientv3.Client

	// lease removes the rows of this process an hour after it was renewed last.
	lease   clientv3.LeaseID
	renewed atomic.Pointer[time.Time]
	// seen is the highest revision that a server named, and acknowledged how often
	// this process has written its row, as far as it knows.
	seen, acknowledged atomic.Int64
}

const runLease = time.Hour

// guards are the conditions of every transaction.
func (s *Store) guards(id *identity) []clientv3.Cmp {
	return []clientv3.Cmp{
		clientv3.Compare(clientv3.Value(s.at.meta()), "=", id.raw),
		clientv3.Compare(clientv3.Version(s.at.run(s.run)), ">", id.acknowledged.Load()-1),
	}
}

// same reports whether an answer is of the state that is known. Before is what had
// been seen before the question was sent.
func (id *identity) same(h interface {
	GetClusterId() uint64
	GetRevision() int64
}, before int64) bool {
	if h.GetClusterId() != id.cluster || h.GetRevision() < before {
		return false
	}
	raise(&id.seen, h.GetRevision())
	return true
}

func raise(v *atomic.Int64, to int64) {
	for now := v.Load(); now < to && !v.CompareAndSwap(now, to); now = v.Load() {
	}
}

func (id *identity) version(revision int64) store.Version {
	return store.Version(id.Generation<<revisionBits | uint64(revision))
}

// revision returns the revision that a version stands for; false: it is of another
// generation.
func (id *identity) revision(v store.Version) (int64, bool) {
	return int64(v & (1<<revisionBits - 1)), v.Generation() == id.Generation
}

var errNoSchema = unfit("there is no database of the gateway under the prefix: run `caddy step-up init` once")

// meet looks at the database, where it is not old any more, and begins the next
// generation where it is not in the state that it was in.
func (s *Store) meet(ctx context.Context, old *identity) error {
	s.meeting.Lock()
	defer s.meeting.Unlock()
	if s.known.Load() != old {
		return nil // somebody else did
	}
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	if old == nil {
		if err := examine(ctx, client); err != nil {
			return err
		}
	}
	for range 3 {
		last := old.last() // before the look: changes may be under way
		id, found, err := s.look(ctx, client)
		if err != nil {
			return err
		}
		if cause := id.differs(old, last, found); cause != "" {
			if _, err := s.begin(ctx, id, old, cause); err != nil {
				return err
			}
			continue
		}
		if old == nil {
			if err := s.probe(ctx, client); err != nil {
				return err
			}
		}
		ok, err := s.enter(ctx, id)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if old == nil || old.raw != id.raw {
			s.lease.End()
			s.Pass(nil)
		}
		s.expiring.forget()
		s.known.Store(id)
		return nil
	}
	return fmt.Errorf("%w: the state of etcd changes again and again", store.ErrUnavailable)
}

// point is how far a database has come, for one process.
type point struct {
	seen         int64 // the revision
	acknowledged int64 // how often the process has written its row; 0: there is none
}

func (id *identity) last() (p point) {
	if id != nil {
		p = point{id.seen.Load(), id.acknowledged.Load()}
	}
	return p
}

// look reads the record, and how far the database has come.
func (s *Store) look(ctx context.Context, client *clientv3.Client) (id *identity, found point, err error) {
	var resp *clientv3.TxnResponse
	err = retried(ctx, func(ctx context.Context) error {
		resp, err = client.Txn(clientv3.WithRequireLeader(ctx)).
			Then(clientv3.OpGet(s.at.meta()), clientv3.OpGet(s.at.run(s.run), clientv3.WithKeysOnly())).Commit()
		if err != nil {
			return classify(err, false)
		}
		return nil
	})
	if err != nil {
		return nil, found, err
	}
	record := resp.Responses[0].GetResponseRange().Kvs
	if len(record) == 0 {
		return nil, found, errNoSchema
	}
	id = &identity{raw: string(record[0].Value), cluster: resp.Header.ClusterId, client: client}
	if err := json.Unmarshal(record[0].Value, &id.meta); err != nil {
		return nil, found, fmt.Errorf("%w: the record of the generation cannot be read", store.ErrDamaged)
	}
	switch {
	case id.Schema > schemaVersion:
		return nil, found, unfit("the database under the prefix is of version %d, made by a newer gateway, and this one knows version %d: use the newer gateway", id.Schema, schemaVersion)
	case resp.Header.Revision>>(revisionBits-1) != 0:
		return nil, found, unfit("etcd has come to revision %d, and the gateway can use no more than 2^%d", resp.Header.Revision, revisionBits-1)
	}
	id.seen.Store(resp.Header.Revision)
	found.seen = resp.Header.Revision
	if row := resp.Responses[1].GetResponseRange().Kvs; len(row) > 0 {
		found.acknowledged = row[0].Version
	}
	return id, found, nil
}

func clusterName(id uint64) string { return strconv.FormatUint(id, 16) }

// differs says why the database is in another state than it has recorded, or than
// the one that was known before, for operators; empty: it is not.
func (id *identity) differs(old *identity, last, found point) string {
	switch {
	case clusterName(id.cluster) != id.Cluster:
		return fmt.Sprintf("the database is in the cluster %x, and was in %s: a snapshot was restored", id.cluster, id.Cluster)
	case old == nil:
	case id.Store != old.Store:
		return "the database under the prefix is another one than this gateway knew"
	case id.raw != old.raw:
		if id.Generation <= old.Generation {
			return "the database is without the last generation: an older copy of etcd was restored"
		}
	case found.seen < last.seen:
		return fmt.Sprintf("etcd is at revision %d, and was at %d: an older copy was restored, or members that had the last changes were given up", found.seen, last.seen)
	case found.acknowledged > 0 && found.acknowledged < last.acknowledged,
		found.acknowledged == 0 && remote.Within(*old.renewed.Load(), time.Now(), runLease/2):
		return "etcd lacks changes that it had acknowledged to this gateway: an older copy was restored, or members that had the last changes were given up"
	}
	return ""
}

// begin begins a generation above all that are known; false: somebody was faster.
func (s *Store) begin(ctx context.Context, id, old *identity, cause string) (bool, error) {
	next := id.meta
	if old != nil {
		next.Generation = max(next.Generation, old.Generation)
	}
	next.Generation++
	next.Cluster, next.Begun, next.Cause = clusterName(id.cluster), newRun(), cause
	text, err := json.Marshal(next)
	if err != nil {
		return false, err
	}
	resp, err := id.client.Txn(clientv3.WithRequireLeader(ctx)).
		If(clientv3.Compare(clientv3.Value(s.at.meta()), "=", id.raw)).
		Then(clientv3.OpPut(s.at.meta(), string(text))).Commit()
	if err != nil {
		return false, fmt.Errorf("beginning a new generation: %w", classify(err, true))
	}
	return resp.Succeeded, nil
}

// enter writes this process's row; false: the generation has ended meanwhile.
func (s *Store) enter(ctx context.Context, id *identity) (bool, error) {
	granted, err := id.client.Grant(ctx, int64(runLease/time.Second))
	if err != nil {
		return false, classify(err, false)
	}
	now := time.Now()
	id.lease = granted.ID
	id.renewed.Store(&now)
	resp, err := id.client.Txn(clientv3.WithRequireLeader(ctx)).
		If(clientv3.Compare(clientv3.Value(s.at.meta()), "=", id.raw)).
		Then(s.sign(id)).Commit()
	if err != nil {
		return false, classify(err, true)
	}
	if !resp.Succeeded || !id.same(resp.Header, id.seen.Load()) {
		return false, nil
	}
	id.acknowledge(resp)
	return true, nil
}

// sign is the part of a change by which this process writes its row; it is the first.
func (s *Store) sign(id *identity) clientv3.Op {
	return clientv3.OpPut(s.at.run(s.run), "", clientv3.WithLease(id.lease), clientv3.WithPrevKV())
}

// acknowledge notes that a change took place that was signed.
func (id *identity) acknowledge(resp *clientv3.TxnResponse) {
	written := int64(1)
	if before := resp.Responses[0].GetResponsePut().PrevKv; before != nil {
		written += before.Version
	}
	raise(&id.acknowledged, written)
}

// renew keeps the rows of this process, now and then.
func (s *Store) renew(ctx context.Context, id *identity) error {
	if remote.Within(*id.renewed.Load(), time.Now(), runLease/8) {
		return nil
	}
	now := time.Now()
	_, err := id.client.KeepAliveOnce(clientv3.WithRequireLeader(ctx), id.lease)
	switch {
	case errors.Is(err, rpctypes.ErrLeaseNotFound):
		return nil // its rows are gone, which the next transaction finds
	case err != nil:
		return classify(err, false)
	}
	id.renewed.Store(&now)
	return nil
}

// leave removes the rows of this process.
func (s *Store) leave(c *clientv3.Client) {
	id := s.known.Load()
	if id == nil {
		return
	}
	ctx, cancel := context.WithTimeout(clientv3.WithRequireLeader(context.Background()), time.Second)
	defer cancel()
	_, _ = c.Revoke(ctx, id.lease) // otherwise etcd removes them in an hour
}
