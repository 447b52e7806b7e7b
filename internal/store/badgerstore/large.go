package badgerstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"

	"github.com/dgraph-io/badger/v4"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// Badger limits what one commit holds, so larger values are cut up. Their chunks are made durable first,
// under a name that nothing refers to, and the entry that refers to them last, in the commit that is
// conditional. So an entry is either there with all of its chunks or not at all, and what a crash leaves in
// between is swept away later (see sweep). Whatever replaces or deletes the entry deletes its chunks in the
// same commit.
const (
	chunkSize = 256 << 10

	// A commit of chunks alone takes this many of them.
	chunksPerCommit = 3

	// Values up to maxInline are stored whole. If all of an Apply's together are over maxInlineTotal, only
	// those up to maxInlineCrowded are, and 256 of these fit in any case.
	maxInline        = 64 << 10
	maxInlineTotal   = 512 << 10
	maxInlineCrowded = 1 << 10

	// Chunks outlive the entry that refers to them by this many seconds, so that it never lacks them.
	chunkGrace = 60
)

// inlineLimit is the size up to which the values of ops are stored whole.
func inlineLimit(ops []store.Op) int {
	total := 0
	for _, op := range ops {
		if len(op.Value) <= maxInline {
			total += len(op.Value)
		}
	}
	if total > maxInlineTotal {
		return maxInlineCrowded
	}
	return maxInline
}

func chunkCount(size int) int { return (size + chunkSize - 1) / chunkSize }

// A blobSet holds the blobs that are being written: their entry is yet to come, and no sweep may take them
// for orphans.
type blobSet struct {
	mu  sync.Mutex
	ids map[blobID]struct{}
}

func (b *blobSet) add(id blobID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ids == nil {
		b.ids = make(map[blobID]struct{})
	}
	b.ids[id] = struct{}{}
}

func (b *blobSet) remove(ids []blobID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range ids {
		delete(b.ids, id)
	}
}

func (b *blobSet) has(id blobID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok := b.ids[id]
	return ok
}

// writeBlob makes the chunks of value durable and returns the row that refers to them. The blob is in s.blobs
// from then on, even after an error; finishBlobs takes it out.
func (s *Store) writeBlob(ctx context.Context, key, value []byte, expiresAt uint64) (blobID, []byte, error) {
	var id blobID
	rand.Read(id[:]) // never fails: crypto/rand ends the process instead
	s.blobs.add(id)

	if expiresAt != 0 {
		expiresAt += chunkGrace
	}
	chunks := chunkCount(len(value))
	// The owner goes first, so that no chunk is ever without one that a sweep can find.
	changes := []change{{key: ownerKey(id), encoded: encodeOwner(chunks, key), expiresAt: expiresAt, internal: true}}
	for i := range chunks {
		part := value[i*chunkSize : min((i+1)*chunkSize, len(value))]
		// Copied, since the caller may have its slice back before Badger is done with it.
		changes = append(changes, change{key: chunkKey(id, i), encoded: append([]byte(nil), part...), expiresAt: expiresAt, internal: true})
		if (i+1)%chunksPerCommit == 0 || i == chunks-1 {
			if err := s.submit(ctx, changes); err != nil {
				return id, nil, fmt.Errorf("writing large value: %w", err)
			}
			changes = nil
		}
	}
	return id, blobRow(id, value), nil
}

// finishBlobs is told how the Apply that the blobs were written for ended.
func (s *Store) finishBlobs(ids []blobID, err error) {
	if errors.Is(err, store.ErrUnknown) {
		// Their entry may still be on its way, so they stay out of a sweep's reach until the next start.
		return
	}
	s.blobs.remove(ids)
	if err != nil {
		s.requestSweep()
	}
}

// readBlob puts a large value together again.
func readBlob(txn *badger.Txn, r row) ([]byte, error) {
	value := make([]byte, 0, r.size)
	for i := range chunkCount(r.size) {
		part, err := get(txn, chunkKey(r.blob, i))
		if errors.Is(err, badger.ErrKeyNotFound) {
			// Not passed on: the entry is there, and must not be taken for absent.
			return nil, fmt.Errorf("%w: a part of a large value is missing", ErrDamaged)
		}
		if err != nil {
			return nil, err
		}
		value = append(value, part...)
	}
	if len(value) != r.size || crc32.Checksum(value, castagnoli) != r.sum {
		return nil, fmt.Errorf("%w: a large value with a wrong checksum", ErrDamaged)
	}
	return value, nil
}
