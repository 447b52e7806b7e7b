package records

import (
	"context"
	"errors"
	"fmt"

	"github.com/stepup-gateway/caddy-stepup/internal/seal"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// whose is whose a database is: it belongs to the key of the ring.
type whose struct {
	entry  store.Entry // as meta is stored
	meta   meta
	ring   *seal.Ring
	lookup [32]byte
}

// readWhose fails as Open does.
func readWhose(ctx context.Context, s store.Store, key seal.Key) (w whose, err error) {
	w.entry, err = s.Get(ctx, metaKey)
	if errors.Is(err, store.ErrNotFound) {
		if empty, err := isEmpty(ctx, s); err != nil {
			return w, err
		} else if !empty {
			return w, fmt.Errorf("%w: the database has records, but not the one that tells whose it is", ErrCorrupt)
		}
		return w, ErrNoData
	}
	if err != nil {
		return w, fmt.Errorf("reading whose the database is: %w", err)
	}
	if w.meta, err = readMeta(w.entry.Value); err != nil {
		return w, err
	}
	w.ring, w.lookup, err = w.meta.open(key)
	return w, err
}

// MetaKey is the key under which a store tells whose the database is.
func MetaKey() []byte { return append([]byte{}, metaKey...) }

// Belongs reports, of what is stored under [MetaKey], why a gateway with the key would
// refuse the database: nil, [ErrWrongKey], [ErrNewer], [ErrMoved] or
// [ErrCorrupt].
func Belongs(stored []byte, key seal.Key) error {
	m, err := readMeta(stored)
	if err != nil {
		return err
	}
	ring, _, err := m.open(key)
	if err == nil {
		_, err = m.fence(ring)
	}
	return err
}

// open returns the ring of the key, which the database belongs to, and the lookup key.
func (m meta) open(key seal.Key) (ring *seal.Ring, lookup [32]byte, err error) {
	if m.StoreID != storeID(key) {
		return nil, lookup, wrongKey(key, m.StoreID)
	}
	if ring, err = seal.NewRing(key); err != nil {
		return nil, lookup, err
	}
	plain, err := ring.Open(m.Lookup, m.lookupKey())
	if errors.Is(err, seal.ErrUnknownKey) {
		return nil, lookup, wrongKey(key, m.StoreID)
	}
	if err != nil || len(plain) != len(lookup) {
		return nil, lookup, fmt.Errorf("%w: whose the database is: %w", ErrCorrupt, err)
	}
	return ring, [32]byte(plain), nil
}

func wrongKey(key seal.Key, store string) error {
	return fmt.Errorf("%w: %s is of database %s, and the data is of database %s under a key that is not given; "+
		"configure the key that this data was made with, or the data directory of this key", ErrWrongKey, key, key.StoreID(), clip(store))
}

// clip bounds what an error shows of a stored text.
func clip(s string) string { return s[:min(len(s), 32)] }

func storeID(k seal.Key) string {
	id := k.StoreID()
	return fmt.Sprintf("%x", id[:])
}
