package badgerstore

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/stepup-gateway/caddy-stepup/store"
)

func inlineEntry(key string, v store.Version) *badger.Entry {
	e := &badger.Entry{Key: rowKey([]byte(key)), Value: inlineRow([]byte("value"))}
	finishRow(e.Key, e.Value, v)
	return e
}

// What is known of a row is what the last commit left, whatever readers that come
// late tell, and however much was forgotten meanwhile.
func TestVersionsAreNeverStale(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const rows = 3 * knownVersions
	var (
		v       versions
		now     = time.Now()
		at      uint64
		current [rows]store.Version
		late    []func()
		hits    int
	)
	name := func(i int) string { return fmt.Sprint("k", i) }
	pick := func() int { // some rows are changed often, most seldom
		if random.IntN(2) == 0 {
			return random.IntN(8)
		}
		return random.IntN(rows)
	}
	for range 20 * knownVersions {
		switch i := pick(); random.IntN(4) {
		case 0:
			at++
			e := inlineEntry(name(i), store.Version(at))
			if current[i] = store.Version(at); random.IntN(4) == 0 {
				e.Value, current[i] = nil, 0
			}
			v.wrote(map[string]*badger.Entry{string(e.Key): e}, at)
		case 1: // somebody reads, and tells so at any time after
			if ts, found := at, current[i]; found != 0 {
				late = append(late, func() { v.read(rowKey([]byte(name(i))), row{version: found}, ts) })
			}
		case 2:
			if n := len(late); n > 0 {
				j := random.IntN(n)
				late[j]()
				late[j] = late[n-1]
				late = late[:n-1]
			}
		default:
			if got, known := v.of(rowKey([]byte(name(i))), now); known {
				if hits++; got != current[i] {
					t.Fatalf("version %d of a row that has %d", got, current[i])
				}
			}
		}
		if len(v.young.rows) > knownVersions || len(v.old.rows) > knownVersions {
			t.Fatal("more than is allowed is known")
		}
	}
	if hits == 0 {
		t.Error("nothing was ever known")
	}
}

func TestVersionsThatAreNotKnown(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	large := &badger.Entry{Key: rowKey([]byte("large")), Value: blobRow(blobID{1}, make([]byte, chunkSize+1))}
	finishRow(large.Key, large.Value, 7)
	damaged := inlineEntry("damaged", 7)
	damaged.Value[len(damaged.Value)-1]++
	expired, lasting := inlineEntry("expired", 7), inlineEntry("lasting", 7)
	expired.ExpiresAt, lasting.ExpiresAt = uint64(now.Unix()), uint64(now.Unix())+1
	var v versions
	for e, want := range map[*badger.Entry]bool{large: false, damaged: false, expired: false, lasting: true} {
		v.wrote(map[string]*badger.Entry{string(e.Key): e}, 7)
		// What a reader found before the commit does not count.
		v.read(e.Key, row{version: 3}, 6)
		if got, known := v.of(e.Key, now); known != want || known && got != 7 {
			t.Errorf("%q: version %d, known %v", e.Key[1:], got, known)
		}
	}
}

// The committer knows what was just read or written, and judges the same as by
// reading.
func TestCommitterKnowsVersions(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	know := func(what, key string, want store.Version) {
		t.Helper()
		if got, known := s.versions.of(rowKey([]byte(key)), time.Now()); !known || got != want {
			t.Errorf("%s: version %d, known %v, want %d", what, got, known, want)
		}
	}
	if err := s.Apply(t.Context(), put("a", "1")); err != nil {
		t.Fatal(err)
	}
	e, err := s.Get(t.Context(), []byte("a"))
	if err != nil {
		t.Fatal(err)
	}
	know("written", "a", e.Version)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	if _, err := s.Get(t.Context(), []byte("a")); err != nil {
		t.Fatal(err)
	}
	know("read", "a", e.Version)
	if err := s.Apply(t.Context(), store.Op{Key: []byte("a"), If: store.If(e.Version)}); err != nil {
		t.Fatal(err)
	}
	know("deleted", "a", 0)
	if err := s.Apply(t.Context(), store.Op{Key: []byte("a"), If: store.If(e.Version)}); !errors.Is(err, store.ErrConflict) {
		t.Error("deleted twice:", err)
	}
}

// Of those who read the same version exactly one changes it, while others read and
// so tell what they found, early or late.
func TestOneOfManyWhoRead(t *testing.T) {
	s := open(t, t.TempDir())
	stop := make(chan struct{})
	var readers, writers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					s.Get(t.Context(), []byte("a"))
				}
			}
		})
	}
	for range 60 {
		if err := s.Apply(t.Context(), put("a", "1")); err != nil {
			t.Fatal(err)
		}
		e, err := s.Get(t.Context(), []byte("a"))
		if err != nil {
			t.Fatal(err)
		}
		var won atomic.Int64
		for range 16 {
			writers.Go(func() {
				err := s.Apply(t.Context(), store.Op{Key: []byte("a"), Value: []byte("2"), If: store.If(e.Version)})
				if err == nil {
					won.Add(1)
				} else if !errors.Is(err, store.ErrConflict) {
					t.Error(err)
				}
			})
		}
		writers.Wait()
		if won.Load() != 1 {
			t.Fatalf("%d of them changed it", won.Load())
		}
	}
	close(stop)
	readers.Wait()
}
