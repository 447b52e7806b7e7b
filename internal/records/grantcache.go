package records

import (
	"context"
	"fmt"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/store"
)

const grantPrefix = "g/"

// GrantRow is a grant as stored under "g/" holder SHA-256-of-token, in formGrant;
// versions before stored its JSON.
type GrantRow struct {
	Action    string `json:"action"` // the name, at most maxActionText bytes of it; the grant itself has only its digest
	Digest    []byte `json:"digest"`
	Session   []byte `json:"session,omitempty"`
	Request   []byte `json:"request,omitempty"`
	AuthTime  int64  `json:"auth_time"`
	Expires   int64  `json:"expires"`
	Methods   uint16 `json:"methods"`
	Origin    uint16 `json:"origin,omitempty"` // absent before S24: full strength
	Use       string `json:"use"`
	API       bool   `json:"api,omitempty"`
	CreatedBy string `json:"created_by,omitempty"` // the authenticator's id
	// Spent marks a one-time grant as used; it is random, so that anyone who spent
	// it, and nobody else, may give it back.
	Spent []byte `json:"spent,omitempty"`
}

// Live is a grant as it is checked.
type Live struct {
	Grant grants.Grant
	Spent bool
	// Row is the stored row, with its version, so that a one-time grant is spent
	// without reading it again; nil if the grant came from the cache.
	Row *Row[GrantRow]
}

// grantCache holds grants without pointers, so that a million of them cost the
// collector nothing, and so that a request with a live grant reads no database.
//
// It is coherent with writes of this process, and those of others are told (see
// told): Apply forgets the rows that it
// touched, and each forgetting raises the shard's epoch; a row read from the
// store enters the cache only if the epoch is still the one seen before the
// read. Thus a row read before a revocation cannot enter the cache after it.
type grantCache struct{ shards [grantShards]grantShard }

const (
	grantShards = 64
	// maxShardRows bounds the cache to 1.6 million grants; one more pushes out
	// another, which is then read again from the store. A grant costs 170 to
	// 256 bytes, all of them 280 MB.
	maxShardRows = 26_000
)

type grantShard struct {
	mu    sync.RWMutex
	epoch uint64
	rows  grantTable
	_     [64]byte // keeps neighbours' locks off this cache line
}

func newGrantCache() *grantCache { return new(grantCache) }

func (c *grantCache) shard(id *grants.ID) *grantShard { return &c.shards[id[0]%grantShards] }

func (c *grantCache) forget(ops []store.Op) {
	for i := range ops {
		if isGrant(ops[i].Key) {
			c.forgetKey(ops[i].Key)
		}
	}
}

func (c *grantCache) forgetKey(key []byte) {
	id := grants.ID(key[len(grantPrefix)+32:])
	s := c.shard(&id)
	s.mu.Lock()
	s.epoch++
	s.rows.drop(&id)
	s.mu.Unlock()
}

// forgetHolder drops all grants of a holder, and keeps out what is being read.
func (c *grantCache) forgetHolder(h grants.Holder) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.epoch++
		s.rows.dropHolder(&h)
		s.mu.Unlock()
	}
}

// forgetAll empties the cache, and keeps out what is being read.
func (c *grantCache) forgetAll() {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.epoch++
		s.rows = grantTable{}
		s.mu.Unlock()
	}
}

// keep puts a row into the cache if nothing of its shard changed since epoch. A
// grant that is good for one request is left to the store: it is read once, and
// anyone who spends it needs all of its row. So is one that is bound to one request:
// it is for rules that show a person what they approve, and would double the size
// of every row.
func (s *grantShard) keep(id *grants.ID, l *Live, epoch uint64, now time.Time) {
	if l.Grant.Use != grants.TimeBased || l.Grant.Request != [32]byte{} {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch != epoch {
		return
	}
	s.rows.tidy(id, now.UnixNano(), maxShardRows)
	if s.rows.n < maxShardRows {
		s.rows.put(id, l)
	}
}

// Grant returns the holder's grant of that id: from the cache, else from the
// store. [ErrNotFound] where there is none. From the cache it may be another
// holder's, which grants.Grant.Check tells. Now is read last before the call: whether
// the cache may be used is judged by it.
func (db *DB) Grant(ctx context.Context, h *grants.Holder, id *grants.ID, now time.Time) (l Live, err error) {
	current := db.current(now) // before looking: what is found then was not forgotten before
	s := db.grants.shard(id)
	s.mu.RLock()
	ok := s.rows.get(id, &l)
	epoch := s.epoch
	s.mu.RUnlock()
	if ok && current {
		return l, nil
	}
	row, err := fresh(db, func() (Row[GrantRow], error) { return db.grantRows.Get(ctx, *h, id[:]) })
	if err != nil {
		return Live{}, err
	}
	if l, err = row.Value.live(*h); err != nil {
		return Live{}, err
	}
	l.Row = &row
	s.keep(id, &l, epoch, now)
	return l, nil
}

func (r *GrantRow) live(h grants.Holder) (Live, error) {
	use, err := grants.ParseUse(r.Use)
	if err != nil || len(r.Digest) != 16 {
		return Live{}, fmt.Errorf("%w: a grant", ErrCorrupt)
	}
	g := grants.Grant{
		Holder: h, Action: [16]byte(r.Digest), AuthTime: r.AuthTime, Expires: r.Expires,
		Methods: grants.Methods(r.Methods), Origin: grants.Methods(r.Origin), Use: use, API: r.API,
	}
	copy(g.Session[:], r.Session)
	copy(g.Request[:], r.Request)
	return Live{Grant: g, Spent: len(r.Spent) > 0}, nil
}

// PutGrant is the op that stores a new grant.
func (db *DB) PutGrant(id grants.ID, g grants.Grant, a grants.Action, createdBy string) (store.Op, error) {
	row := GrantRow{
		Action: actionText(a), Digest: g.Action[:], AuthTime: g.AuthTime, Expires: g.Expires,
		Methods: uint16(g.Methods), Origin: uint16(g.Origin), Use: g.Use.String(), API: g.API, CreatedBy: createdBy,
	}
	if g.Session != [16]byte{} {
		row.Session = g.Session[:]
	}
	if g.Request != [32]byte{} {
		row.Request = g.Request[:]
	}
	return db.grantRows.Put(g.Holder, id[:], row, 0, time.Unix(0, g.Expires))
}

// maxActionText bounds the name of an action type in a stored grant, in bytes: its
// length is stored in one.
const maxActionText = 255

// actionText is the name for people. Those that are longer than a row can hold end
// in an ellipsis; what decides is the digest.
func actionText(a grants.Action) string {
	const more = "…"
	name := a.String()
	if len(name) <= maxActionText {
		return name
	}
	end := maxActionText - len(more)
	for !utf8.RuneStart(name[end]) {
		end--
	}
	return name[:end] + more
}

// ReadGrant reads the stored row past the cache, for those who will change it.
func (db *DB) ReadGrant(ctx context.Context, h grants.Holder, id grants.ID) (Row[GrantRow], error) {
	return db.grantRows.Get(ctx, h, id[:])
}

// IsCurrent reports whether the row is of the generation that is the current one.
// A row that is kept for some time is to be asked again once it was changed: a new
// generation may have begun meanwhile, under which it is no longer good.
func (db *DB) IsCurrent(row Row[GrantRow]) bool { return db.isGood(row.generation) }

// MarkGrant is the op that sets or, with nil, clears a grant's spent mark, if
// the row still is as it was read. It fails with [ErrNotFound] where a new
// generation began since.
func (db *DB) MarkGrant(row Row[GrantRow], spent []byte) (store.Op, error) {
	if !db.IsCurrent(row) {
		return store.Op{}, ErrNotFound
	}
	value := row.Value
	value.Spent = spent
	return db.grantRows.Update(row, value, time.Unix(0, value.Expires))
}

// GrantsOf lists the holder's grants, spent and expired ones included.
func (db *DB) GrantsOf(ctx context.Context, h grants.Holder, limit int) ([]Row[GrantRow], error) {
	return db.grantRows.List(ctx, h, nil, limit)
}

// GrantID is the id of a listed grant.
func (db *DB) GrantID(row Row[GrantRow]) grants.ID { return grants.ID(db.grantRows.ID(row)) }

// DropGrant is the op that revokes a listed grant, spent or not.
func (db *DB) DropGrant(row Row[GrantRow]) store.Op { return db.grantRows.Drop(row) }
