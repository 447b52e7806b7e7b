package badgerstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/stepup-gateway/caddy-stepup/store"
)

const (
	// Rows are removed this long after nobody misses them at the earliest, by Badger and the real clock.
	expirySlack = 5 * time.Minute

	// What an entry takes of a batch beyond its key and value, at most.
	entryOverhead = 32
)

// A change is one op in its stored form.
type change struct {
	key       []byte         // Badger's key
	encoded   []byte         // Badger's value; nil deletes
	condition *store.Version // as in store.Op
	expiresAt uint64         // seconds since 1970 by the real clock; zero is never
	internal  bool           // has no version and no condition: a chunk or an owner
	accept    bool           // accepts the fence, and has nothing else
}

// Apply implements [store.Store].
func (s *Store) Apply(ctx context.Context, ops ...store.Op) error {
	if err := store.CheckOps(ops); err != nil {
		return err
	}
	if err := s.usable(ctx); err != nil {
		return err
	}
	if len(ops) == 0 {
		return nil
	}
	changes := make([]change, len(ops))
	var blobs []blobID // written for this Apply, and in s.blobs
	err := s.encode(ctx, ops, changes, &blobs)
	if err == nil {
		err = s.submit(ctx, changes)
	}
	if blobs != nil {
		s.finishBlobs(blobs, err)
	}
	return err
}

// encode puts ops in their stored form, writing the chunks of large values. It adds to blobs what it wrote.
func (s *Store) encode(ctx context.Context, ops []store.Op, changes []change, blobs *[]blobID) error {
	limit := inlineLimit(ops)
	for i, op := range ops {
		c := change{key: rowKey(op.Key)}
		if op.If != nil {
			c.condition = store.If(*op.If) // the caller may change its own once we returned
		}
		if op.Value != nil {
			c.expiresAt = s.expiresAt(op.Expires)
			if len(op.Value) <= limit {
				c.encoded = inlineRow(op.Value)
			} else {
				id, encoded, err := s.writeBlob(ctx, op.Key, op.Value, c.expiresAt)
				*blobs = append(*blobs, id)
				if err != nil {
					return err
				}
				c.encoded = encoded
			}
		}
		changes[i] = c
	}
	return nil
}

// expiresAt translates a time of the injected clock to one of the real clock, which Badger goes by.
func (s *Store) expiresAt(expires time.Time) uint64 {
	if expires.IsZero() {
		return 0
	}
	left := max(0, expires.Sub(s.now())) // at most 292 years, which adding the slack to would overflow
	return uint64(time.Now().Add(expirySlack).Add(left).Unix())
}

// expires translates back what expiresAt returned, with the slack that it added.
// What is so far off that it has no end in Go's durations has none here either.
func (s *Store) expires(at uint64) time.Time {
	const farOff = 100 * 365 * 24 * 60 * 60
	now := time.Now()
	if at == 0 || at > uint64(now.Unix())+farOff {
		return time.Time{}
	}
	return s.now().Add(time.Unix(int64(at), 0).Sub(now))
}

// runCommitter is the only writer. It ends once the store is closing; what is still queued then is withdrawn.
func (s *Store) runCommitter() {
	defer s.withdrawQueued()
	defer close(s.drained)
	for {
		select {
		case <-s.stop:
			return
		case r := <-s.queue:
			b := s.newBatch()
			b.take(r)
			b.gather()
			b.flush()
		}
	}
}

// A batch is what one commit makes durable: the changes of several requests, in the order they came.
type batch struct {
	s       *Store
	txn     *badger.Txn              // reads what the last commit left
	entries map[string]*badger.Entry // what this commit will change; the latest change of a key counts
	size    int
	room    [2]*error  // whether there is space for a change, and for one that takes; nil is not asked yet
	pending []*request // whose changes are in entries, or who were judged by them
	results []error    // of pending, should the commit succeed
}

func (s *Store) newBatch() *batch {
	return &batch{
		s:       s,
		txn:     s.db.NewTransactionAt(s.committed.Load(), false),
		entries: make(map[string]*badger.Entry),
	}
}

// take adds a request to the batch, committing what is there first if both are too much for one commit.
func (b *batch) take(r *request) {
	if !r.state.CompareAndSwap(waiting, taken) {
		return
	}
	err := b.roomFor(r)
	var staged []*badger.Entry
	var size int
	if err == nil {
		staged, size, err = b.judge(r)
	}
	if err == nil && len(b.entries) > 0 && (b.size+size > batchBytes || len(b.entries)+len(staged) > batchEntries) {
		b.flush()
		*b = *b.s.newBatch()
		staged, size, err = b.judge(r) // the entries it was judged by are in the database now, or failed
	}
	if err == nil {
		for _, e := range staged {
			b.entries[string(e.Key)] = e
		}
		b.size += size
	}
	b.pending = append(b.pending, r)
	b.results = append(b.results, err)
}

// roomFor reports whether there is space for a request; it is asked once for a batch.
func (b *batch) roomFor(r *request) error {
	i := 0
	if r.taking {
		i = 1
	}
	if b.room[i] == nil {
		err := b.s.room(r.taking)
		b.room[i] = &err
	}
	return *b.room[i]
}

// judge reports whether a request's conditions hold, and what it would change in Badger.
func (b *batch) judge(r *request) (staged []*badger.Entry, size int, err error) {
	if failure := b.s.failure.Load(); failure != nil {
		return nil, 0, *failure
	}
	b.s.sequence++
	version := store.Version(b.s.sequence)
	staged = make([]*badger.Entry, 0, len(r.changes))
	for _, c := range r.changes {
		if c.accept {
			if err := b.s.acceptFence(); err != nil {
				return nil, 0, err
			}
			c = b.s.birthRow()
		}
		if c.internal {
			staged = append(staged, entryOf(c))
			continue
		}
		old, found, err := b.lookup(c.key)
		if err != nil {
			return nil, 0, fmt.Errorf("reading entry: %w", err)
		}
		if c.condition != nil && *c.condition != old.version {
			return nil, 0, store.ErrConflict
		}
		if found && old.kind == kindBlob {
			staged = append(staged, blobDeletions(old.blob, chunkCount(old.size))...)
		}
		if c.encoded != nil {
			finishRow(c.key, c.encoded, version)
		} else if !found {
			continue
		}
		staged = append(staged, entryOf(c))
	}
	for _, e := range staged {
		size += len(e.Key) + len(e.Value) + entryOverhead
	}
	return staged, size, nil
}

// lookup finds the row that a change is conditional on: as this batch leaves it, or as the last one did. An
// absent one is a zero row, whose version is the one of absence.
func (b *batch) lookup(key []byte) (r row, found bool, err error) {
	if e, ok := b.entries[string(key)]; ok {
		if e.Value == nil {
			return row{}, false, nil
		}
		r, err = decodeRow(key, e.Value)
		return r, err == nil, err
	}
	if version, known := b.s.versions.of(key, time.Now()); known {
		return row{version: version}, version != 0, nil
	}
	r, err = readRow(b.txn, key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return row{}, false, nil
	}
	return r, err == nil, err
}

func entryOf(c change) *badger.Entry {
	return &badger.Entry{Key: c.key, Value: c.encoded, ExpiresAt: c.expiresAt}
}

func blobDeletions(id blobID, chunks int) []*badger.Entry {
	deletions := make([]*badger.Entry, 0, chunks+1)
	deletions = append(deletions, &badger.Entry{Key: ownerKey(id)})
	for i := range chunks {
		deletions = append(deletions, &badger.Entry{Key: chunkKey(id, i)})
	}
	return deletions
}
