package records

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/clock"
	"github.com/stepup-gateway/caddy-stepup/internal/seal"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// ErrNoSnapshot reports that the engine cannot show one moment of the database.
var ErrNoSnapshot = errors.New("the store cannot be backed up while it is in use: its engine shows no moment of it (it is no store.Snapshots); use what its database server has for that")

// Snapshot is a database as it was at one moment, sealed as it is stored.
type Snapshot struct {
	store.Snapshot
	StoreID    seal.StoreID
	KeyID      seal.KeyID
	Generation uint64
	// Moment is before the snapshot began.
	Moment time.Time

	ring *seal.Ring
}

// Snapshot returns the database as it is now. It fails while what is in the database
// does not count, as an older copy of which no operator has said so.
func (db *DB) Snapshot(ctx context.Context) (*Snapshot, error) {
	s, ok := db.store.(store.Snapshots)
	if !ok {
		return nil, ErrNoSnapshot
	}
	if err := db.serving(ctx); err != nil {
		return nil, err
	}
	x := &Snapshot{StoreID: db.ring.StoreID(), KeyID: db.ring.PrimaryID(), Generation: db.Generation(), Moment: clock.Now().UTC(), ring: db.ring}
	var err error
	if x.Snapshot, err = s.Snapshot(ctx); err != nil {
		return nil, fmt.Errorf("beginning a snapshot: %w", err)
	}
	if err := db.serving(ctx); err != nil { // since before it began
		return nil, errors.Join(err, x.Close())
	}
	return x, nil
}

// backupName is what the digest of a backup is sealed for. No record has such a key.
var backupName = []byte("backup 1")

// Sign returns what only who has the key can make of the digest of a backup.
func (x *Snapshot) Sign(digest [32]byte) []byte { return x.ring.Seal(digest[:], backupName) }

// Source is the database that a backup was made of, as far as its rows were seen.
type Source struct {
	whose
	state fenceState
	key   seal.Key
}

// NewSource begins with the rows of a backup that was made with the key.
func NewSource(key seal.Key) (*Source, error) {
	ring, err := seal.NewRing(key)
	return &Source{whose: whose{ring: ring}, key: key}, err
}

// See opens a row of a backup, and fails where it does not open.
func (b *Source) See(op store.Op) (err error) {
	if !bytes.Equal(op.Key, metaKey) {
		if _, err = b.ring.Open(op.Value, op.Key); err != nil {
			err = fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		return err
	}
	b.entry = store.Entry{Key: metaKey, Value: op.Value}
	if b.meta, err = readMeta(op.Value); err != nil {
		return err
	}
	if b.ring, b.lookup, err = b.meta.open(b.key); err != nil {
		return err
	}
	b.state, err = b.meta.fence(b.ring)
	return err
}

// Complete checks, once all rows were seen, that the backup was made with the key.
func (b *Source) Complete(digest [32]byte, tag []byte) error {
	if b.entry.Value == nil {
		return fmt.Errorf("%w: there is no record that says whose it is", ErrCorrupt)
	}
	signed, err := b.ring.Open(tag, backupName)
	if err != nil || !bytes.Equal(signed, digest[:]) {
		return fmt.Errorf("%w: it was not made with the key: %w", ErrCorrupt, err)
	}
	return nil
}
