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
	if w.meta.StoreID != storeID(key) {
		return w, wrongKey(key, w.meta.StoreID)
	}
	if w.ring, err = seal.NewRing(key); err != nil {
		return w, err
	}
	lookup, err := w.ring.Open(w.meta.Lookup, w.meta.lookupKey())
	if errors.Is(err, seal.ErrUnknownKey) {
		return w, wrongKey(key, w.meta.StoreID)
	}
	if err != nil || len(lookup) != 32 {
		return w, fmt.Errorf("%w: whose the database is: %w", ErrCorrupt, err)
	}
	w.lookup = [32]byte(lookup)
	return w, nil
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
