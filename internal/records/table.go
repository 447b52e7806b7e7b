package records

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// Table is all records of one kind. A record's key is the table's prefix, the
// holder's digest and what tells it from the holder's other records, so that
// everything of one subject can be listed without an index.
type Table[T any] struct {
	db     *DB
	prefix string
	// once marks records that can be used once. Each carries the generation
	// under which it was made, and is absent under any other; see [Fencing].
	once bool
	// packing is the form in which records that can be used once are written,
	// where that is not JSON.
	packing *packing[T]
}

func newTable[T any](db *DB, prefix string) Table[T] { return Table[T]{db: db, prefix: prefix} }

func newOnceTable[T any](db *DB, prefix string) Table[T] {
	return Table[T]{db: db, prefix: prefix, once: true}
}

func newPackedTable[T any](db *DB, prefix string, p *packing[T]) Table[T] {
	return Table[T]{db: db, prefix: prefix, once: true, packing: p}
}

// Row is a record as it was read. The zero Version means that there is none.
type Row[T any] struct {
	Value      T
	Version    store.Version
	key        []byte
	json       []byte // as it was stored, for the members that T does not have
	generation uint64
}

// The first byte of a record's plaintext. After formJSON follows its JSON. After
// formOnce follow the generation, in 8 bytes, the most significant first, and
// the JSON. A record that can be used once and has formJSON was made before there
// were generations, which is generation 0.
const (
	formJSON = 1
	formOnce = 2
	// lastForm is the last that this version knows; see formPacked and formGrant.
	lastForm = formGrant
)

// errPast reports that a record was made under another generation. To callers it
// is absent.
var errPast = errors.New("record of another generation")

func (t Table[T]) key(h grants.Holder, id []byte) []byte {
	k := make([]byte, 0, len(t.prefix)+len(h)+len(id))
	k = append(k, t.prefix...)
	k = append(k, h[:]...)
	return append(k, id...)
}

// Get reads one record; [ErrNotFound] where there is none.
func (t Table[T]) Get(ctx context.Context, h grants.Holder, id []byte) (Row[T], error) {
	row, err := t.read(ctx, t.key(h, id))
	switch {
	case errors.Is(err, errPast):
		return Row[T]{}, ErrNotFound
	case errors.Is(err, store.ErrNotFound):
		return Row[T]{}, err
	case err != nil:
		return row, fmt.Errorf("reading a record: %w", err)
	}
	return row, nil
}

// Find is Get, but an absent record is its zero value, with Version 0 unless
// there is one of another generation, which may be overwritten.
func (t Table[T]) Find(ctx context.Context, h grants.Holder, id []byte) (Row[T], error) {
	row, err := t.read(ctx, t.key(h, id))
	switch {
	case errors.Is(err, errPast), errors.Is(err, store.ErrNotFound):
		return Row[T]{Version: row.Version, key: t.key(h, id), generation: t.db.once()}, nil
	case err != nil:
		return row, fmt.Errorf("reading a record: %w", err)
	}
	return row, nil
}

func (t Table[T]) read(ctx context.Context, key []byte) (Row[T], error) {
	e, err := t.db.get(ctx, key)
	if err != nil {
		return Row[T]{}, err
	}
	return t.open(e)
}

// List reads up to limit records of h whose id begins with idPrefix, in the
// order of their ids.
func (t Table[T]) List(ctx context.Context, h grants.Holder, idPrefix []byte, limit int) ([]Row[T], error) {
	return t.list(ctx, t.key(h, idPrefix), nil, limit)
}

// All reads up to limit records of every holder, beginning after the record
// that a former call ended with. The cursor is opaque; the empty one begins, and
// an empty one returned means that there are no more.
func (t Table[T]) All(ctx context.Context, cursor []byte, limit int) (rows []Row[T], next []byte, err error) {
	rows, err = t.list(ctx, []byte(t.prefix), cursor, limit)
	if err != nil || len(rows) < limit {
		return rows, nil, err
	}
	return rows, rows[len(rows)-1].key, nil
}

// list reads on until there are limit rows or no more: those of other generations
// do not count.
func (t Table[T]) list(ctx context.Context, prefix, after []byte, limit int) ([]Row[T], error) {
	rows := []Row[T]{}
	for {
		want := limit - len(rows)
		entries, err := t.db.list(ctx, prefix, after, want)
		if err != nil {
			return nil, fmt.Errorf("listing records: %w", err)
		}
		for _, e := range entries {
			row, err := t.open(e)
			if errors.Is(err, errPast) {
				continue
			}
			if err != nil {
				return nil, err
			}
			rows = append(rows, row)
		}
		if len(entries) < want || len(rows) == limit {
			return rows, nil
		}
		after = entries[len(entries)-1].Key
	}
}

func (t Table[T]) open(e store.Entry) (Row[T], error) {
	row := Row[T]{Version: e.Version, key: e.Key}
	plain, err := t.db.ring.Open(e.Value, e.Key)
	if err != nil {
		return row, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	packed := false
	switch {
	case len(plain) > 0 && plain[0] == formJSON:
		plain = plain[1:]
	case t.once && len(plain) >= 9 && (plain[0] == formOnce || t.packing != nil && plain[0] == t.packing.form):
		packed = plain[0] != formOnce
		row.generation, plain = binary.BigEndian.Uint64(plain[1:]), plain[9:]
	default:
		return row, unknownForm(plain)
	}
	if t.once && !t.db.isGood(row.generation) {
		return row, errPast
	}
	if packed {
		if row.Value, err = t.packing.unpack(plain); err != nil {
			return row, fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		return row, nil
	}
	row.json = plain
	if err := json.Unmarshal(plain, &row.Value); err != nil {
		return row, fmt.Errorf("%w: not the JSON expected", ErrCorrupt)
	}
	return row, nil
}

// unknownForm tells a record that a newer version wrote from one that nothing did.
func unknownForm(plain []byte) error {
	if len(plain) > 0 && plain[0] > lastForm {
		return fmt.Errorf("%w: %w: a record has form %d", ErrCorrupt, ErrNewer, plain[0])
	}
	return fmt.Errorf("%w: unknown form", ErrCorrupt)
}

// Put is the op that writes a record if the stored one still is the version
// given, 0 standing for absent. A zero expires keeps it for ever.
func (t Table[T]) Put(h grants.Holder, id []byte, value T, if_ store.Version, expires time.Time) (store.Op, error) {
	op, err := t.Set(h, id, value, expires)
	op.If = store.If(if_)
	return op, err
}

// Set is the op that writes a record whatever is stored.
func (t Table[T]) Set(h grants.Holder, id []byte, value T, expires time.Time) (store.Op, error) {
	return t.set(t.key(h, id), value, nil, t.db.once(), expires)
}

func (t Table[T]) set(key []byte, value T, stored []byte, generation uint64, expires time.Time) (store.Op, error) {
	form := []byte{formJSON}
	switch {
	case t.packing != nil:
		form = binary.BigEndian.AppendUint64([]byte{t.packing.form}, generation)
		return store.Op{Key: key, Value: t.db.ring.Seal(t.packing.pack(form, &value), key), Expires: expires}, nil
	case t.once:
		form = binary.BigEndian.AppendUint64([]byte{formOnce}, generation)
	}
	plain, err := json.Marshal(value)
	if err != nil {
		return store.Op{}, fmt.Errorf("encoding a record: %w", err)
	}
	if stored != nil {
		plain = keepUnknown[T](stored, plain)
	}
	return store.Op{Key: key, Value: t.db.ring.Seal(append(form, plain...), key), Expires: expires}, nil
}

// Update is the op that replaces the row that was read by value. Members of the
// row that a newer version stored, and T does not have, stay. It stays of the
// generation under which it was made, too: what was read before a new one began is
// not made good again by writing it.
func (t Table[T]) Update(row Row[T], value T, expires time.Time) (store.Op, error) {
	op, err := t.set(row.key, value, row.json, row.generation, expires)
	op.If = store.If(row.Version)
	return op, err
}

// Delete is the op that removes the row if it still is as it was read.
func (t Table[T]) Delete(row Row[T]) store.Op {
	return store.Op{Key: row.key, If: store.If(row.Version)}
}

// Drop is the op that removes the row however it has changed.
func (t Table[T]) Drop(row Row[T]) store.Op { return store.Op{Key: row.key} }

// ID is what tells the row's record from others of its holder.
func (t Table[T]) ID(row Row[T]) []byte {
	_, id := t.split(row)
	return id
}

// Holder is whose record the row is.
func (t Table[T]) Holder(row Row[T]) grants.Holder {
	h, _ := t.split(row)
	return h
}

func (t Table[T]) split(row Row[T]) (grants.Holder, []byte) {
	n := len(t.prefix)
	return grants.Holder(row.key[n : n+len(grants.Holder{})]), row.key[n+len(grants.Holder{}):]
}

// DropAll gives the ops that remove up to limit records of h.
func (t Table[T]) DropAll(ctx context.Context, h grants.Holder, limit int) ([]store.Op, error) {
	entries, err := t.db.list(ctx, t.key(h, nil), nil, limit)
	if err != nil {
		return nil, fmt.Errorf("listing records: %w", err)
	}
	ops := make([]store.Op, len(entries))
	for i, e := range entries {
		ops[i] = store.Op{Key: e.Key}
	}
	return ops, nil
}

// DropID is the op that removes the record of that id, if there is one.
func (t Table[T]) DropID(h grants.Holder, id []byte) store.Op { return store.Op{Key: t.key(h, id)} }
