package records

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/seal"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// meta says whose the database is. It is stored under "meta":
//
//	{"form":2,"writer":1,"store_id":"hex","lookup":sealed 32 bytes,"fence":sealed JSON}
//
// The lookup key is random and only sealed by the key, so that a new key does
// not change the digests under which everything is filed. The fence is a
// fenceState. Members that this version does not know stay.
//
// In form 1, of the versions before the accounts were counted (see Counted), there
// is no writer, and the lookup key is sealed for another name. So neither can a
// database of form 2 be passed off as one of form 1, in which the count may be
// missing, nor can those versions change it.
type meta struct {
	Form int `json:"form"`
	// Writer is the oldest version of what may write the database, as [writer]
	// counts them.
	Writer  int    `json:"writer,omitempty"`
	StoreID string `json:"store_id"`
	Lookup  []byte `json:"lookup"`
	Fence   []byte `json:"fence,omitempty"`
}

// writer is the version of what this gateway writes. A gateway of a lower one than
// the database names refuses it. It is raised, here and in the database by the first
// gateway that opens it (see [DB.settle]), when a record gets a member that must not be
// kept, or not be ignored, by gateways that do not know it, or a form that they cannot
// read; they keep all other members (see keepUnknown).
const writer = 1

// moveWriter is the version that a database names while it is marked (see Move): no
// gateway writes it then, and those that know nothing of the mark need another reason.
// Gateways of version 1 take it for that, so writer is never 2: 3 comes next.
const moveWriter = 2

const metaForm = 2

var (
	metaKey = []byte("meta")
	// lookupName is what the lookup key is sealed for in form 2.
	lookupName = []byte("meta 2")
	fenceName  = []byte("meta fence") // what the fence is sealed for
)

var never time.Time

func (m *meta) lookupKey() []byte {
	if m.Form == 1 {
		return metaKey
	}
	return lookupName
}

// readMeta fails with [ErrNewer] where this gateway must not write the database.
func readMeta(stored []byte) (m meta, err error) {
	if err := json.Unmarshal(stored, &m); err != nil || m.Form < 1 {
		return m, fmt.Errorf("%w: whose the database is", ErrCorrupt)
	}
	if m.Form > metaForm || m.Writer > max(writer, moveWriter) {
		return m, m.newer()
	}
	if m.Form > 1 && len(m.Fence) == 0 {
		return m, fmt.Errorf("%w: the generation of the database", ErrCorrupt)
	}
	return m, nil
}

func (m meta) newer() error {
	return fmt.Errorf("%w: it needs one of version %d.%d, and this is one of version %d.%d; "+
		"use the newer gateway, or restore the data from a backup made before the upgrade", ErrNewer, m.Form, m.Writer, metaForm, writer)
}

// settle checks what the database says about itself, and brings it to the form of
// this version. What a database of form 1 lost before cannot be told.
func (db *DB) settle(ctx context.Context, e store.Entry, m meta) error {
	if m.Form == metaForm {
		if err := db.checkCount(ctx); err != nil || m.Writer >= writer || isRolledBack(db.store) {
			return err
		}
		return db.raiseWriter(ctx)
	}
	n, err := db.countAccounts(ctx)
	if err != nil {
		return err
	}
	ops, err := db.found(e, m, n, *db.fence.state.Load())
	if err != nil {
		return err
	}
	if err := db.store.Apply(ctx, ops...); err != nil {
		return fmt.Errorf("bringing the database to the form of this version: %w", err)
	}
	return nil
}

// raiseWriter makes the database name this version as the oldest that may write it.
// It is told: gateways of an older one that share the database refuse from then on.
func (db *DB) raiseWriter(ctx context.Context) error {
	return Again(func() error {
		return db.changeState(ctx, func(*fenceState) error { return nil })
	})
}

// found returns the ops by which the database, of which meta is stored in e, has the
// form of this version, n accounts and the state of its fence.
func (db *DB) found(e store.Entry, m meta, n int64, state fenceState) ([]store.Op, error) {
	m.Form = metaForm
	m.Lookup = db.ring.Seal(db.lookup[:], lookupName)
	op, err := m.put(db.ring, e, state)
	if err != nil {
		return nil, err
	}
	count, err := db.counts.Put(grants.Holder{}, nil, Counted{Accounts: n}, 0, never)
	return []store.Op{op, count}, err
}

// put is the op that writes meta with the state of the fence in the place of what is
// stored in e.
func (m meta) put(ring *seal.Ring, e store.Entry, state fenceState) (store.Op, error) {
	if m.Writer = writer; state.Move != nil {
		m.Writer = moveWriter
	}
	plain, err := json.Marshal(state)
	if err != nil {
		return store.Op{}, err
	}
	m.Fence = ring.Seal(plain, fenceName)
	value, err := json.Marshal(m)
	if err != nil {
		return store.Op{}, err
	}
	if e.Value != nil {
		value = keepUnknown[meta](e.Value, value)
	}
	return store.Op{Key: metaKey, Value: value, If: store.If(e.Version)}, nil
}

// fence returns the state of a database that may be used.
func (m meta) fence(ring *seal.Ring) (fenceState, error) {
	s, err := m.markedFence(ring)
	switch {
	case err != nil:
	case s.Move != nil:
		err = &moveError{*s.Move}
	case m.Writer > writer:
		err = m.newer()
	}
	return s, err
}

// markedFence returns the state of a database that need not be in use.
func (m meta) markedFence(ring *seal.Ring) (s fenceState, err error) {
	if m.Form == 1 {
		return s, nil
	}
	plain, err := ring.Open(m.Fence, fenceName)
	if err == nil {
		err = json.Unmarshal(plain, &s)
	}
	if err != nil {
		return s, fmt.Errorf("%w: the generation of the database: %w", ErrCorrupt, err)
	}
	return s, nil
}
