package badgerstore

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// rawKeys are Badger's keys that begin with one of the given letters.
func rawKeys(t *testing.T, s *Store, letters string) (keys []string) {
	t.Helper()
	err := s.view(t.Context(), func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			if k := it.Item().KeyCopy(nil); strings.IndexByte(letters, k[0]) >= 0 {
				keys = append(keys, string(k))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func wantRaw(t *testing.T, s *Store, want int, why string) {
	t.Helper()
	if keys := rawKeys(t, s, "co"); len(keys) != want {
		t.Errorf("%d chunks and owners, want %d: %s", len(keys), want, why)
	}
}

func TestChunksGoWithTheirEntry(t *testing.T) {
	s := open(t, t.TempDir())
	large := strings.Repeat("v", 1<<20) // 4 chunks and an owner
	apply := func(want error, ops ...store.Op) {
		t.Helper()
		if err := s.Apply(t.Context(), ops...); !errors.Is(err, want) {
			t.Fatalf("Apply: %v, want %v", err, want)
		}
	}
	apply(nil, put("a", large))
	wantRaw(t, s, 5, "written")
	apply(nil, put("a", large+"!"))
	wantRaw(t, s, 6, "replaced by a larger one")
	apply(nil, put("a", "small"))
	wantRaw(t, s, 0, "replaced by a small one")
	apply(nil, put("a", large), put("b", large))
	wantRaw(t, s, 10, "two of them")
	apply(nil, store.Op{Key: []byte("a")}, put("c", "small"))
	wantRaw(t, s, 5, "one deleted")
	apply(store.ErrConflict, store.Op{Key: []byte("b"), Value: []byte(large), If: store.If(0)})
	eventually(t, func() bool { return len(rawKeys(t, s, "co")) == 5 }) // a refused one is swept up soon
	if e, err := s.Get(t.Context(), []byte("b")); err != nil || string(e.Value) != large {
		t.Errorf("Get after a sweep: %d bytes, %v", len(e.Value), err)
	}
}

// TestOrphansAreSwept leaves what a crash leaves between the chunks and their entry.
func TestOrphansAreSwept(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	large := bytes.Repeat([]byte("v"), 1<<20)
	var orphans []blobID
	for range sweepStep + 3 { // more than one step
		id, _, err := s.writeBlob(t.Context(), []byte("k"), large[:300<<10], 0)
		if err != nil {
			t.Fatal(err)
		}
		orphans = append(orphans, id)
	}
	if err := s.Apply(t.Context(), store.Op{Key: []byte("k"), Value: large}); err != nil {
		t.Fatal(err)
	}
	if err := s.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantRaw(t, s, 3*len(orphans)+5, "all are still being written")

	s.blobs.remove(orphans[:2])
	if err := s.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantRaw(t, s, 3*(len(orphans)-2)+5, "two were given up")

	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir) // sweeps by itself: nothing is being written any more
	eventually(t, func() bool { return len(rawKeys(t, s, "co")) == 5 })
	if e, err := s.Get(t.Context(), []byte("k")); err != nil || !bytes.Equal(e.Value, large) {
		t.Errorf("Get after a sweep: %d bytes, %v", len(e.Value), err)
	}
}

// TestMissingChunkIsNoAbsence damages a large value. It must not be taken for an absent one.
func TestMissingChunkIsNoAbsence(t *testing.T) {
	s := open(t, t.TempDir())
	if err := s.Apply(t.Context(), put("a", strings.Repeat("v", 1<<20))); err != nil {
		t.Fatal(err)
	}
	chunks := rawKeys(t, s, "c")
	if err := s.submit(t.Context(), []change{{key: []byte(chunks[1]), internal: true}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), []byte("a")); !errors.Is(err, ErrDamaged) || errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get: %v, want ErrDamaged", err)
	}
	if _, err := s.List(t.Context(), nil, nil, 9); !errors.Is(err, ErrDamaged) {
		t.Errorf("List: %v, want ErrDamaged", err)
	}
}

// TestExpiry holds that the injected clock and the real one may be centuries apart, and that Badger removes an
// entry at the distance that the injected one tells, with slack.
func TestExpiry(t *testing.T) {
	for _, now := range []time.Time{time.Unix(0, 0), time.Now(), time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC)} {
		s, err := Open(Options{Dir: t.TempDir(), Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			expires time.Time
			left    time.Duration
		}{
			{now.Add(time.Hour), time.Hour},
			{now, 0},
			{now.Add(-time.Hour), 0},
			{now.AddDate(1000, 0, 0), 200 * 365 * 24 * time.Hour},
		} {
			for _, size := range []int{1, 300 << 10} {
				op := store.Op{Key: []byte("a"), Value: make([]byte, size), Expires: c.expires}
				if err := s.Apply(context.Background(), op); err != nil {
					t.Fatal(err)
				}
				if _, err := s.Get(context.Background(), []byte("a")); err != nil {
					t.Errorf("clock at %s, %s left: %v", now, c.left, err)
				}
				var row uint64
				for _, k := range rawKeys(t, s, "rco") {
					expiresAt := rawExpiry(t, s, k)
					if earliest := time.Now().Add(c.left + time.Minute).Unix(); expiresAt < uint64(earliest) {
						t.Errorf("clock at %s, %s left: removed at %d, want %d or later", now, c.left, expiresAt, earliest)
					}
					if latest := time.Now().Add(c.left + time.Hour).Unix(); c.left < 24*time.Hour && expiresAt > uint64(latest) {
						t.Errorf("clock at %s, %s left: kept until %d, want %d at the latest", now, c.left, expiresAt, latest)
					}
					if k[0] == 'r' {
						row = expiresAt
					}
				}
				for _, k := range rawKeys(t, s, "co") {
					if rawExpiry(t, s, k) < row+chunkGrace {
						t.Error("a chunk is removed before its entry")
					}
				}
			}
		}
		s.Close()
	}
}

func rawExpiry(t *testing.T, s *Store, key string) (expiresAt uint64) {
	t.Helper()
	err := s.view(t.Context(), func(txn *badger.Txn) error {
		item, err := txn.Get([]byte(key))
		if err == nil {
			expiresAt = item.ExpiresAt()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return expiresAt
}

// TestDiscardUnderReaders lets compactions drop old versions while readers are at work.
func TestDiscardUnderReaders(t *testing.T) {
	s := open(t, t.TempDir())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 400 {
			if err := s.Apply(context.Background(), put("a", strings.Repeat("v", 40<<10)), put("b", strings.Repeat("w", i))); err != nil {
				t.Errorf("Apply: %v", err)
				return
			}
			if i%10 == 0 {
				s.discard()
			}
			if i%100 == 99 {
				if err := s.db.Flatten(1); err != nil {
					t.Errorf("compacting: %v", err)
				}
			}
		}
	}()
	for {
		select {
		case <-done:
			return
		default:
		}
		entries, err := s.List(t.Context(), nil, nil, 9)
		if err != nil || len(entries) != 0 && len(entries) != 2 {
			t.Fatalf("List: %d entries, %v", len(entries), err)
		}
	}
}
