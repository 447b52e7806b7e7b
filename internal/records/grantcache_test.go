package records

import (
	"crypto/rand"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/seal"
	"github.com/stepup-gateway/caddy-stepup/internal/store/badgerstore"
	"github.com/stepup-gateway/caddy-stepup/store"
)

var (
	noon   = time.Date(2027, 1, 15, 12, 0, 0, 0, time.UTC)
	action = grants.MustAction("VIEW_REPORTS")
	demand = grants.Demand{Action: action, Use: grants.TimeBased, TTL: time.Hour}
)

func open(t testing.TB) *DB {
	t.Helper()
	s, err := badgerstore.Open(badgerstore.Options{Dir: t.TempDir(), Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	key := seal.GenerateKey()
	if err := Create(t.Context(), s, key); err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), s, key)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func put(t testing.TB, db *DB, h grants.Holder) grants.ID {
	t.Helper()
	g, token := grants.Issue(demand, h, grants.Binding{}, grants.TOTP, noon)
	op, err := db.PutGrant(token.ID(), g, action, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Apply(t.Context(), op); err != nil {
		t.Fatal(err)
	}
	return token.ID()
}

// Once a revocation is acknowledged nobody sees the grant any more, however
// reads and writes interleave: readers hold the shard's lock for the look-up
// only, and may come from the store with a row that is gone meanwhile.
func TestCacheIsCoherentWithRevocation(t *testing.T) {
	db, h := open(t), grants.Holder{1}
	for range 60 {
		id := put(t, db, h)
		var revoked, failed atomic.Bool
		var seen atomic.Int64
		var readers sync.WaitGroup
		for range 4 {
			readers.Go(func() {
				for {
					late := revoked.Load()
					_, err := db.Grant(t.Context(), &h, &id, noon)
					switch {
					case err == nil && late:
						failed.Store(true)
					case err == nil:
						seen.Add(1)
					case !errors.Is(err, ErrNotFound):
						t.Error(err)
						return
					}
					if late {
						return
					}
				}
			})
		}
		for seen.Load() == 0 {
			runtime.Gosched()
		}
		row, err := db.ReadGrant(t.Context(), h, id)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Apply(t.Context(), db.DropGrant(row)); err != nil {
			t.Fatal(err)
		}
		revoked.Store(true)
		readers.Wait()
		if failed.Load() {
			t.Fatal("a revoked grant was seen")
		}
	}
}

// A row that was read before a revocation must not enter the cache after it.
func TestStaleRowDoesNotEnterTheCache(t *testing.T) {
	db, h := open(t), grants.Holder{1}
	id := put(t, db, h)
	shard := db.grants.shard(&id)
	before := shard.epoch
	row, err := db.ReadGrant(t.Context(), h, id)
	if err != nil {
		t.Fatal(err)
	}
	live, err := row.Value.live(h)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Apply(t.Context(), db.DropGrant(row)); err != nil {
		t.Fatal(err)
	}
	shard.keep(&id, &live, before, noon)
	if _, err := db.Grant(t.Context(), &h, &id, noon); !errors.Is(err, ErrNotFound) {
		t.Fatal("the stale row was kept:", err)
	}
}

// Marking a grant spent, failing to, and giving it back are all seen at once.
func TestCacheFollowsTheSpentMark(t *testing.T) {
	db, h := open(t), grants.Holder{1}
	id := put(t, db, h)
	see := func(want bool) {
		t.Helper()
		for range 2 {
			if l, err := db.Grant(t.Context(), &h, &id, noon); err != nil || l.Spent != want {
				t.Fatal(l.Spent, err)
			}
		}
	}
	mark := func(mark []byte) (stale store.Op) {
		t.Helper()
		row, err := db.ReadGrant(t.Context(), h, id)
		if err != nil {
			t.Fatal(err)
		}
		op, err := db.MarkGrant(row, mark)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Apply(t.Context(), op); err != nil {
			t.Fatal(err)
		}
		return op
	}
	see(false)
	stale := mark([]byte("mark"))
	see(true)
	if err := db.Apply(t.Context(), stale); !errors.Is(err, ErrConflict) {
		t.Fatal(err)
	}
	see(true)
	mark(nil)
	see(false)
}

// An id is found for its holder only where it comes from the store, and the
// cached one tells its holder, so that Check can compare.
func TestCachedGrantTellsItsHolder(t *testing.T) {
	db, h, other := open(t), grants.Holder{1}, grants.Holder{2}
	id := put(t, db, h)
	if _, err := db.Grant(t.Context(), &other, &id, noon); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	for range 2 {
		if l, err := db.Grant(t.Context(), &h, &id, noon); err != nil || l.Grant.Holder != h {
			t.Fatal(err)
		}
	}
	if l, err := db.Grant(t.Context(), &other, &id, noon); err == nil && l.Grant.Holder != h {
		t.Fatal("another holder's grant took the name of the one who asked")
	}
}

func TestCacheIsBounded(t *testing.T) {
	c := newGrantCache()
	s := &c.shards[0]
	expires := noon.Add(time.Hour).UnixNano()
	for range maxShardRows + 5000 {
		var id grants.ID
		rand.Read(id[:])
		s.keep(&id, &Live{Grant: grants.Grant{Use: grants.TimeBased, Expires: expires}}, 0, noon)
	}
	if s.rows.n > maxShardRows || s.rows.n < maxShardRows/2 {
		t.Errorf("%d rows, at most %d", s.rows.n, maxShardRows)
	}
	// What has run out makes room as new ones come.
	later := noon.Add(2 * time.Hour)
	for range 2 * maxShardRows {
		var id grants.ID
		rand.Read(id[:])
		s.keep(&id, &Live{Grant: grants.Grant{Use: grants.TimeBased, Expires: later.UnixNano() - 1}}, 0, later)
	}
	if s.rows.n > 2000 {
		t.Errorf("%d dead rows pile up", s.rows.n)
	}
}

// A row is two cache lines, and the collector passes it by.
func TestCachedGrantHasNoPointers(t *testing.T) {
	typ := reflect.TypeFor[grantRow]()
	if typ.Size() != 128 {
		t.Errorf("%d bytes", typ.Size())
	}
	for i := range typ.NumField() {
		if k := typ.Field(i).Type.Kind(); k == reflect.Pointer || k == reflect.Slice || k == reflect.String || k == reflect.Struct {
			t.Errorf("%s may hold a pointer", typ.Field(i).Name)
		}
	}
}

// A cached grant is the stored one, to the last field; what is good for one request
// or bound to one is never cached.
func TestCachedGrantIsTheStoredOne(t *testing.T) {
	db, h := open(t), grants.Holder{1}
	for _, binding := range []grants.Binding{{}, {Session: [32]byte{7}}, {Request: [32]byte{8}}} {
		for _, api := range []bool{false, true} {
			for _, spent := range [][]byte{nil, []byte("mark")} {
				for _, use := range []grants.Use{grants.OneTimeUse, grants.TimeBased} {
					d := demand
					d.Use = use
					g, token := grants.Issue(d, h, binding, grants.RecoveryCode, noon)
					g.API = api
					g.Origin = grants.Methods(len(spent))
					id := token.ID()
					op, err := db.PutGrant(id, g, action, "")
					if err != nil {
						t.Fatal(err)
					}
					if err := db.Apply(t.Context(), op); err != nil {
						t.Fatal(err)
					}
					row, err := db.ReadGrant(t.Context(), h, id)
					if err != nil {
						t.Fatal(err)
					}
					if op, err = db.MarkGrant(row, spent); err != nil {
						t.Fatal(err)
					}
					if err := db.Apply(t.Context(), op); err != nil {
						t.Fatal(err)
					}
					want := Live{Grant: g, Spent: spent != nil}
					for range 2 {
						got, err := db.Grant(t.Context(), &h, &id, noon)
						if got.Row != nil && got.Row.Version <= row.Version {
							t.Fatalf("version %d of the row, after %d", got.Row.Version, row.Version)
						}
						if got.Row = nil; err != nil || got != want {
							t.Fatalf("%+v, want %+v: %v", got, want, err)
						}
					}
					var got Live
					cached := db.grants.shard(&id).rows.get(&id, &got)
					if once := use == grants.OneTimeUse || binding.Request != [32]byte{}; cached == once || cached && got != want {
						t.Fatalf("cached %v: %+v, want %+v", cached, got, want)
					}
				}
			}
		}
	}
}

func TestCachedReadAllocatesNothing(t *testing.T) {
	db, h := open(t), grants.Holder{1}
	id := put(t, db, h)
	ctx := t.Context()
	if got := testing.AllocsPerRun(100, func() {
		if _, err := db.Grant(ctx, &h, &id, noon); err != nil {
			t.Fail()
		}
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

// BenchmarkCacheMemory tells what a live grant costs: bytes each, and the time
// of a collection beside them.
func BenchmarkCacheMemory(b *testing.B) {
	for _, n := range []int{1_000, 1_000_000, maxShardRows * grantShards} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			c := newGrantCache()
			expires := noon.Add(time.Hour).UnixNano()
			for range n {
				var id grants.ID
				rand.Read(id[:])
				c.shard(&id).keep(&id, &Live{Grant: grants.Grant{Use: grants.TimeBased, Expires: expires}}, 0, noon)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			for b.Loop() {
				runtime.GC()
			}
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(n), "B/grant")
			runtime.KeepAlive(c)
		})
	}
}
