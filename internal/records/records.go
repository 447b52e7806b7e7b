// Package records keeps the gateway's state: which records there are, how each
// is stored and sealed, and a cache of live grants that every configuration of
// the process shares.
//
// A [DB] is one opened database: a store, the keys that seal it, and the
// cache. There is one DB for a directory in a process, whatever the number of
// configurations that use it, so that a grant revoked through one is gone for
// all. Reading and writing go through the tables ([DB.Accounts] and its like),
// each of which gives ops for [DB.Apply]; one Apply may mix ops of all tables
// and is all or nothing.
//
// Every value is sealed with its full key as associated data: a row that was
// moved, altered or made without the key does not open, and that is an error
// of the store, never an absent record. Expiry is judged by the callers, who
// have the time; nothing here forgets a record that has not run out.
package records

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/inflight"
	"github.com/stepup-gateway/caddy-stepup/internal/seal"
	"github.com/stepup-gateway/caddy-stepup/store"
)

var (
	// ErrNotFound reports that there is no such record.
	ErrNotFound = store.ErrNotFound
	// ErrConflict reports that a record changed since it was read; nothing was
	// applied.
	ErrConflict = store.ErrConflict
	// ErrCorrupt reports that a record is there but cannot be opened or read. It
	// must be treated as a failure of the store.
	ErrCorrupt = errors.New("stored record cannot be read")
	// ErrNoData reports that a key was given that has a database, and the
	// database is empty.
	ErrNoData = errors.New("the database is empty")
	// ErrHasData reports that a database was to be created and there is one.
	ErrHasData = errors.New("the database is not empty")
	// ErrWrongKey reports that the database belongs to another key.
	ErrWrongKey = errors.New("the database belongs to another key")
	// ErrNewer reports that the database, or a record of it, was written by a
	// version of the gateway that this one must not write after.
	ErrNewer = errors.New("the database was made by a newer version of the gateway")
)

// DB is an opened database. Its methods may be used concurrently. Where other
// processes change the database too it is a view of one generation; see [DB.View].
type DB struct {
	*core
	// in is the generation that the view is of; nil where the engine is this
	// process's alone, whose current one counts.
	in *fenceState
	// mending marks a view of the database that is used while the fence is down;
	// see AcceptFence.
	mending bool
	// strict marks a view of one tenant, and tenant is its generation; tenants are
	// those of a view of all. See OfTenant.
	strict  bool
	tenant  uint64
	tenants atomic.Pointer[map[tenantKey]*tenantView]

	lastTenant atomic.Pointer[tenantView] // the one of tenants that was asked for last

	Accounts   Table[Account]
	Attempts   Table[Attempts]
	Challenges Table[Challenge]
	Pendings   Table[Pending]
	Invites    Table[Invite]
	Devices    Table[Device]
	Tickets    Table[Ticket]
	Held       Table[HeldRequest]
	Resumes    Table[Resume]
	APIKeys    Table[APIKey]
	Names      Table[Name]
	Sends      Table[Sends]
	Activities Table[Activity]
	// grantRows is read through the cache; see Grant.
	grantRows Table[GrantRow]
	// counts has one row, see Counted, and so has backups.
	counts  Table[Counted]
	backups Table[BackedUp]
}

// core is what all views of a database share.
type core struct {
	store  store.Store
	shared store.Shared // the store, where other processes use it too; else nil
	ring   *seal.Ring
	lookup [32]byte // keys the digests; survives the rotation of the sealing key
	grants *grantCache
	held   heldTotal
	fence  *fencing
	view   atomic.Pointer[DB] // the last; see View
	// viewEpoch counts how often the state of the fence was told to have changed.
	viewEpoch atomic.Uint64
	acked     acknowledged
	backedUp  atomic.Pointer[BackedUp] // see KnownBackup
	// holders remembers digests; see Holder.
	holders  *holders
	counting sync.Mutex
	offers   sync.Map // when each fingerprint was offered; see toRecord

	inFlight inflight.Room
	heldRate inflight.Rate
}

func newCore(s store.Store, ring *seal.Ring, lookup [32]byte, state fenceState) *core {
	shared, _ := s.(store.Shared)
	return &core{
		store: s, shared: shared, ring: ring, lookup: lookup, grants: newGrantCache(), fence: newFencing(state), holders: newHolders(),
	}
}

// Open opens the database in s with the key it belongs to. It fails with
// [ErrNoData] where s is empty and with [ErrWrongKey] where s belongs to another
// key. It does not close s on failure.
func Open(ctx context.Context, s store.Store, key seal.Key) (*DB, error) {
	w, err := readWhose(ctx, s, key)
	if errors.Is(err, ErrNoData) {
		return nil, fmt.Errorf("%w, but a key for it is configured: restore the data from a backup made with that key; "+
			"or, to start anew with it, run: caddy step-up init", err)
	}
	if err != nil {
		return nil, err
	}
	e, m := w.entry, w.meta
	state, err := m.fence(w.ring)
	if err != nil {
		return nil, err
	}
	db := newDB(&DB{core: newCore(s, w.ring, w.lookup, state)})
	// An older copy is not written to before an operator has accepted it.
	if m.Form == metaForm || !isRolledBack(s) {
		if err := db.settle(ctx, e, m); err != nil {
			return nil, err
		}
	}
	if err := db.raiseFence(ctx); err != nil {
		return db, err
	}
	view, err := db.View(ctx)
	if err != nil {
		return nil, err
	}
	db.heed()
	return view, nil
}

// The prefixes of tables that are looked at by their keys.
const (
	attemptsPrefix = "a/"
	keyPrefix      = "k/"
)

// newDB adds the tables to a database.
func newDB(db *DB) *DB {
	db.Accounts = newTable[Account](db, accountPrefix)
	db.Attempts = newTable[Attempts](db, attemptsPrefix)
	db.Challenges = newOnceTable[Challenge](db, "c/")
	db.Pendings = newOnceTable[Pending](db, "p/")
	db.Invites = newOnceTable[Invite](db, "i/")
	db.Devices = newTable[Device](db, "d/")
	db.Tickets = newOnceTable[Ticket](db, "t/")
	db.Held = newOnceTable[HeldRequest](db, "h/")
	db.Resumes = newOnceTable[Resume](db, "r/")
	db.APIKeys = newTable[APIKey](db, keyPrefix)
	db.Names = newTable[Name](db, "n/")
	db.Sends = newTable[Sends](db, "m/")
	db.Activities = newTable[Activity](db, "l/")
	db.grantRows = newPackedTable(db, grantPrefix, &packedGrant)
	db.counts = newTable[Counted](db, "u/")
	db.backups = newTable[BackedUp](db, "b/")
	return db
}

// Create makes an empty store the database of key. It fails with [ErrHasData]
// where the store holds anything.
func Create(ctx context.Context, s store.Store, key seal.Key) error {
	if empty, err := isEmpty(ctx, s); err != nil {
		return err
	} else if !empty {
		return ErrHasData
	}
	ring, err := seal.NewRing(key)
	if err != nil {
		return err
	}
	lookup := make([]byte, 32)
	rand.Read(lookup) // never fails: crypto/rand ends the program instead
	var state fenceState
	if shared, ok := s.(store.Shared); ok {
		state.Engine, _ = shared.Generation()
	}
	db := newDB(&DB{core: newCore(s, ring, [32]byte(lookup), state)})
	ops, err := db.found(store.Entry{Key: metaKey}, meta{StoreID: storeID(key)}, 0, state)
	if err != nil {
		return err
	}
	err = s.Apply(ctx, ops...)
	if errors.Is(err, store.ErrConflict) {
		return ErrHasData
	}
	if err != nil {
		return fmt.Errorf("creating the database: %w", err)
	}
	return nil
}

// Apply makes all changes or none, durably; see store.Store. Grants that it
// touches leave the cache before it returns, whatever the outcome. A caller that
// goes away does not end it: an outcome nobody waited for could be neither acted
// on nor taken out of the cache.
func (db *DB) Apply(ctx context.Context, ops ...store.Op) error {
	defer db.grants.forget(ops)
	ctx = context.WithoutCancel(ctx)
	if err := db.serving(ctx); err != nil {
		return err
	}
	apply := db.apply
	if touchesCount(ops) {
		apply = db.applyCounted
	}
	if err := apply(ctx, ops); err != nil {
		return err
	}
	if db.shared != nil {
		db.acked.note(ops) // before it is known that the generation has not ended
	}
	// The engine may have come back with an older copy meanwhile: nobody can
	// tell then what the change was made in.
	if err := db.serving(ctx); err != nil {
		return errors.Join(store.ErrUnknown, err)
	}
	return nil
}

func (db *DB) apply(ctx context.Context, ops []store.Op) error {
	if db.shared == nil {
		return db.store.Apply(ctx, ops...)
	}
	return db.shared.ApplyIn(ctx, db.engineGeneration(), told(ctx, ops), ops...)
}

// get and list read, and fail with store.ErrRolledBack unless what they read
// counts. It is asked afterwards: the engine may come back with an older copy at
// any time.
func (db *DB) get(ctx context.Context, key []byte) (store.Entry, error) {
	e, err := db.store.Get(ctx, key)
	if fenced := db.serving(ctx); fenced != nil {
		return store.Entry{}, fenced
	}
	return e, err
}

func (db *DB) list(ctx context.Context, prefix, after []byte, limit int) ([]store.Entry, error) {
	entries, err := db.store.List(ctx, prefix, after, limit)
	if fenced := db.serving(ctx); fenced != nil {
		return nil, fenced
	}
	return entries, err
}

// Ping reads one record, and so reports whether the database answers.
func (db *DB) Ping(ctx context.Context) error {
	_, err := db.get(ctx, metaKey)
	return err
}

// Close closes the store; see store.Store.
func (db *DB) Close() error { return db.store.Close() }

// Holder is the digest under which a subject's records are filed: SHA-256 over
// the database's lookup key and the subject. The parts are length-prefixed and
// the key comes first and has a fixed length, so that no two subjects can be
// confused; nobody without the key can extend or verify a digest.
func (db *DB) Holder(s grants.Subject) grants.Holder { return db.holders.of(s, db.holderOf) }

func (db *DB) holderOf(s grants.Subject) grants.Holder {
	var stack [192]byte
	buf := append(stack[:0], db.lookup[:]...)
	buf = append(buf, byte(len(s.Tenant)), byte(len(s.Tenant)>>8))
	buf = append(buf, s.Tenant...)
	buf = append(buf, s.User...)
	return sha256.Sum256(buf)
}

// MAC is a keyed digest of data for one purpose: recovery codes and form
// tokens. Different purposes never give the same digest.
func (db *DB) MAC(purpose string, data ...[]byte) [32]byte {
	h := hmac.New(sha256.New, db.lookup[:])
	part := func(b []byte) {
		h.Write([]byte{byte(len(b)), byte(len(b) >> 8), byte(len(b) >> 16)})
		h.Write(b)
	}
	part([]byte(purpose))
	for _, d := range data {
		part(d)
	}
	return [32]byte(h.Sum(nil))
}
