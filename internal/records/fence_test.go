package records_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/internal/seal"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// fenced is an engine of which the test says what its fence is, over a real one.
type fenced struct {
	store.Store
	fence    atomic.Pointer[store.Fence]
	accepted int
	lost     []func()
	back     []func()
	failing  error // of AcceptFence
}

func newFenced(s store.Store, f store.Fence) *fenced {
	e := &fenced{Store: s}
	e.fence.Store(&f)
	return e
}

func (f *fenced) Fence() store.Fence   { return *f.fence.Load() }
func (f *fenced) Health() store.Health { return store.Health{} }
func (f *fenced) OnLost(do func())     { f.lost = append(f.lost, do) }
func (f *fenced) OnBack(do func())     { f.back = append(f.back, do) }

func (f *fenced) AcceptFence(context.Context) error {
	if f.failing != nil {
		return f.failing
	}
	f.accepted++
	f.fence.Store(new(store.Fence))
	return nil
}

// comesBack is the engine going out of use and coming back with another fence.
func (f *fenced) comesBack(as store.Fence) {
	for _, do := range f.lost {
		do()
	}
	f.fence.Store(&as)
	for _, do := range f.back {
		do()
	}
}

var (
	unsure     = store.Fence{Kind: store.FenceUnsure, Reason: "The mark is missing."}
	older      = store.Fence{Kind: store.FenceRolledBack, Reason: "The database is at 7 and its mark at 9.", Newest: noon}
	_          = store.Supervised(&fenced{})
	_          = store.Fenced(&fenced{})
	onceTables = []string{"g/", "c/", "p/", "i/", "t/", "h/", "r/"}
)

func createIn(t testing.TB, s store.Store) (*records.DB, seal.Key) {
	t.Helper()
	key := seal.GenerateKey()
	if err := records.Create(t.Context(), s, key); err != nil {
		t.Fatal(err)
	}
	db, err := records.Open(t.Context(), s, key)
	if err != nil {
		t.Fatal(err)
	}
	return db, key
}

// putOnce stores one record of each kind that can be used once, and one of each
// other.
func putOnce(t testing.TB, db *records.DB, h grants.Holder) (grants.ID, grants.Grant) {
	t.Helper()
	op := must[store.Op](t)
	d := demand(t)
	g, token := grants.Issue(d, h, grants.Binding{}, grants.TOTP, noon)
	id := []byte("0123456789abcdef")
	apply(t, db,
		op(db.PutGrant(token.ID(), g, d.Action, "")),
		op(db.Challenges.Put(h, id, records.Challenge{Action: "PAY"}, 0, time.Time{})),
		op(db.Pendings.Put(h, id, records.Pending{Label: "app"}, 0, time.Time{})),
		op(db.Invites.Put(h, id, records.Invite{Expires: noon}, 0, time.Time{})),
		op(db.Tickets.Put(h, id, records.Ticket{Action: "PAY"}, 0, time.Time{})),
		op(db.Resumes.Put(grants.Holder{}, id, records.Resume{Holder: h[:]}, 0, time.Time{})),
		db.PutHeld(h, id, packed(t, []byte("a=1")), time.Time{}),
		op(db.Accounts.Put(h, nil, records.Account{User: "alice", State: records.StateReset}, 0, time.Time{})),
		op(db.Devices.Put(h, id, records.Device{Expires: noon}, 0, time.Time{})),
		op(db.Attempts.Put(h, []byte("api"), records.Attempts{Wrong: map[string]int{"totp": 3}}, 0, time.Time{})),
	)
	return token.ID(), g
}

func demand(t testing.TB) grants.Demand {
	t.Helper()
	a, err := grants.NewAction("PAY")
	if err != nil {
		t.Fatal(err)
	}
	return grants.Demand{Action: a, Use: grants.TimeBased, TTL: time.Hour}
}

// onceLeft names the kinds of records that putOnce stored and that are read.
func onceLeft(t testing.TB, db *records.DB, h grants.Holder, grant grants.ID) (left []string) {
	t.Helper()
	ctx, id := t.Context(), []byte("0123456789abcdef")
	see := func(kind string, err error) {
		t.Helper()
		if err == nil {
			left = append(left, kind)
		} else if !errors.Is(err, records.ErrNotFound) {
			t.Fatal(kind, err)
		}
	}
	_, err := db.Grant(ctx, &h, &grant, noon)
	see("g/", err)
	_, err = db.Challenges.Get(ctx, h, id)
	see("c/", err)
	_, err = db.Pendings.Get(ctx, h, id)
	see("p/", err)
	_, err = db.Invites.Get(ctx, h, id)
	see("i/", err)
	_, err = db.Tickets.Get(ctx, h, id)
	see("t/", err)
	_, err = db.ReadHeld(ctx, h, id)
	see("h/", err)
	_, err = db.Resumes.Get(ctx, grants.Holder{}, id)
	see("r/", err)
	return left
}

// What can be used once is void under the next generation, and what cannot stays.
// The next opening goes on under that generation.
func TestS25UnsureBeginsGeneration(t *testing.T) {
	s := openStore(t, t.TempDir())
	db, key := createIn(t, s)
	h := db.Holder(subject("alice"))
	grant, _ := putOnce(t, db, h)
	if left := onceLeft(t, db, h, grant); !slices.Equal(left, onceTables) {
		t.Fatal("before:", left)
	}
	engine := newFenced(s, unsure)
	db, err := records.Open(t.Context(), engine, key)
	if err != nil {
		t.Fatal(err)
	}
	var told []records.Fencing
	db.OnFence(func(f records.Fencing) { told = append(told, f) })
	if db.Generation() != 1 || engine.accepted != 1 || len(told) != 1 || told[0].Cause != unsure.Reason || told[0].Since.IsZero() {
		t.Fatal(db.Generation(), engine.accepted, told)
	}
	if left := onceLeft(t, db, h, grant); len(left) != 0 {
		t.Error("good again:", left)
	}
	if a, err := db.Accounts.Get(t.Context(), h, nil); err != nil || a.Value.State != records.StateReset {
		t.Error("account:", a, err)
	}
	if a, err := db.Attempts.Get(t.Context(), h, []byte("api")); err != nil || a.Value.Total() != 3 {
		t.Error("attempts:", a, err)
	}
	if rows, err := db.GrantsOf(t.Context(), h, 10); err != nil || len(rows) != 0 {
		t.Error("grants listed:", rows, err)
	}
	if f := db.Fencing(); f.Kind != store.FenceNone || f.CodesAfter.IsZero() || !f.CodesBarred {
		t.Error(f)
	}
	db, err = records.Open(t.Context(), newFenced(s, store.Fence{}), key)
	if err != nil || db.Generation() != 1 {
		t.Fatal(db.Generation(), err)
	}
	if left := onceLeft(t, db, h, grant); len(left) != 0 {
		t.Error("good after another opening:", left)
	}
}

// An engine that cannot note that a generation began is unsure until it is opened
// anew: one generation begins for each time, and what is made under it stays.
func TestS25UnsureThatCannotBeNoted(t *testing.T) {
	engine := newFenced(openStore(t, t.TempDir()), store.Fence{})
	db, _ := createIn(t, engine)
	engine.failing = errors.New("the mark cannot be written")
	h := db.Holder(subject("alice"))
	for opening := range 3 {
		engine.comesBack(unsure)
		for range 3 {
			if err := db.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if db.Generation() != uint64(opening+1) {
			t.Fatalf("generation %d after %d openings", db.Generation(), opening+1)
		}
		op := must[store.Op](t)(db.Invites.Set(h, nil, records.Invite{Expires: noon}, time.Time{}))
		apply(t, db, op)
		if _, err := db.Invites.Get(t.Context(), h, nil); err != nil {
			t.Error("made under this generation:", err)
		}
	}
}

// A record of an earlier generation is in nobody's way: it can be overwritten,
// lists go on behind it, and one that was read before does not come back when it
// is written.
func TestS25EarlierRecordsAreInNobodysWay(t *testing.T) {
	engine := newFenced(openStore(t, t.TempDir()), store.Fence{})
	db, _ := createIn(t, engine)
	h, ctx := db.Holder(subject("alice")), t.Context()
	op := must[store.Op](t)
	for i := range 7 {
		apply(t, db, op(db.Invites.Put(h, []byte{byte(i)}, records.Invite{Expires: noon}, 0, time.Time{})))
	}
	before := must[records.Row[records.Invite]](t)(db.Invites.Get(ctx, h, []byte{2}))
	engine.comesBack(unsure)

	row := must[records.Row[records.Invite]](t)(db.Invites.Find(ctx, h, []byte{1}))
	if row.Version == 0 || !row.Value.Expires.IsZero() {
		t.Fatal("found:", row)
	}
	apply(t, db, op(db.Invites.Update(row, records.Invite{Expires: noon}, time.Time{})))
	apply(t, db, op(db.Invites.Set(h, []byte{6}, records.Invite{Expires: noon}, time.Time{})))
	for _, limit := range []int{1, 2, 3, 100} {
		rows := must[[]records.Row[records.Invite]](t)(db.Invites.List(ctx, h, nil, limit))
		if len(rows) != min(limit, 2) || db.Invites.ID(rows[0])[0] != 1 {
			t.Errorf("%d listed with limit %d", len(rows), limit)
		}
	}
	var all int
	for cursor := []byte(nil); ; {
		rows, next, err := db.Invites.All(ctx, cursor, 1)
		if err != nil {
			t.Fatal(err)
		}
		all += len(rows)
		if cursor = next; cursor == nil {
			break
		}
	}
	if all != 2 {
		t.Error("all:", all)
	}
	apply(t, db, op(db.Invites.Update(before, before.Value, time.Time{})))
	if _, err := db.Invites.Get(ctx, h, []byte{2}); !errors.Is(err, records.ErrNotFound) {
		t.Error("written again, it is good again:", err)
	}
	apply(t, db, must[[]store.Op](t)(db.Invites.DropAll(ctx, h, 100))...)
	if left := must[[]store.Entry](t)(engine.List(ctx, []byte("i/"), nil, 100)); len(left) != 0 {
		t.Error("left behind:", len(left))
	}
}

// An engine that comes back with an older copy while the process runs: nothing is
// read or written, and what was cached passes nobody.
func TestS25OlderCopyWhileRunning(t *testing.T) {
	engine := newFenced(openStore(t, t.TempDir()), store.Fence{})
	db, _ := createIn(t, engine)
	h, ctx := db.Holder(subject("alice")), t.Context()
	grant, _ := putOnce(t, db, h)
	if left := onceLeft(t, db, h, grant); !slices.Equal(left, onceTables) {
		t.Fatal("before:", left) // the grant is cached now
	}
	var told []records.Fencing
	db.OnFence(func(f records.Fencing) { told = append(told, f) })
	engine.comesBack(older)
	refuses(t, db, h, grant)
	if len(told) != 1 || told[0].Kind != store.FenceRolledBack || told[0].Reason != older.Reason {
		t.Error("told:", told)
	}
	// Nobody writes what an operator has not accepted.
	if db.Generation() != 0 || engine.accepted != 0 {
		t.Error(db.Generation(), engine.accepted)
	}
	if err := db.AcceptFence(ctx, records.Acceptance{Now: noon}); err != nil {
		t.Fatal(err)
	}
	if db.RolledBack() != nil || db.Generation() != 1 || engine.accepted != 1 {
		t.Error(db.RolledBack(), db.Generation(), engine.accepted)
	}
	if left := onceLeft(t, db, h, grant); len(left) != 0 {
		t.Error("good again:", left)
	}
	if err := db.AcceptFence(ctx, records.Acceptance{Now: noon}); !errors.Is(err, records.ErrNotFenced) {
		t.Error("accepted twice:", err)
	}
}

func refuses(t *testing.T, db *records.DB, h grants.Holder, grant grants.ID) {
	t.Helper()
	ctx := t.Context()
	_, read := db.Accounts.Get(ctx, h, nil)
	_, cached := db.Grant(ctx, &h, &grant, noon)
	_, listed := db.Accounts.List(ctx, h, nil, 10)
	_, found := db.Attempts.Find(ctx, h, []byte("api"))
	_, dropped := db.Invites.DropAll(ctx, h, 10)
	for what, err := range map[string]error{
		"read": read, "cached": cached, "listed": listed, "found": found, "dropped": dropped,
		"written": db.Apply(ctx, db.Invites.DropID(h, []byte("0123456789abcdef"))),
		"asked":   db.Ping(ctx), "known": db.RolledBack(),
	} {
		if !errors.Is(err, store.ErrRolledBack) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := db.Ping(ctx); !strings.Contains(err.Error(), older.Reason) {
		t.Error("the reason is missing:", err)
	}
}

// Whatever ends an acceptance half-way leaves the database refused, and it is done
// again.
func TestS25AcceptanceThatEndsHalfWay(t *testing.T) {
	s := openStore(t, t.TempDir())
	first, key := createIn(t, s)
	h := first.Holder(subject("alice"))
	grant, _ := putOnce(t, first, h)
	engine := newFenced(s, older)
	db, err := records.Open(t.Context(), engine, key)
	if err != nil {
		t.Fatal(err)
	}
	refuses(t, db, h, grant)
	broken := errors.New("the power failed")
	for _, a := range []records.Acceptance{{Now: noon, Mend: func(*records.DB) error { return broken }}, {Now: noon}} {
		if a.Mend == nil {
			engine.failing = broken
		}
		if err := db.AcceptFence(t.Context(), a); !errors.Is(err, broken) {
			t.Fatal(err)
		}
		refuses(t, db, h, grant)
		// Another process finds it as it was left.
		next, err := records.Open(t.Context(), newFenced(s, older), key)
		if err != nil {
			t.Fatal(err)
		}
		refuses(t, next, h, grant)
	}
	engine.failing = nil
	var mended bool
	err = db.AcceptFence(t.Context(), records.Acceptance{Now: noon, Mend: func(view *records.DB) error {
		if left := onceLeft(t, view, h, grant); len(left) != 0 {
			t.Error("mending finds what is void:", left)
		}
		row := must[records.Row[records.Account]](t)(view.Accounts.Get(t.Context(), h, nil))
		mended = true
		refuses(t, db, h, grant) // others wait
		return view.Apply(t.Context(), view.Accounts.Delete(row))
	}})
	if err != nil || !mended || db.Generation() != 3 {
		t.Fatal(err, mended, db.Generation())
	}
	if _, err := db.Accounts.Get(t.Context(), h, nil); !errors.Is(err, records.ErrNotFound) {
		t.Error("not mended:", err)
	}
}

// The time before which codes may have been used is the latest of all that is
// known: the clock, the mark's, and what is stored.
func TestS25CodesAfter(t *testing.T) {
	for name, c := range map[string]struct{ newest, stored, now, want time.Time }{
		"clock":  {noon, noon, noon.Add(time.Hour), noon.Add(time.Hour)},
		"mark":   {noon.Add(time.Hour), noon, noon, noon.Add(time.Hour)},
		"stored": {time.Time{}, noon.Add(time.Hour), time.Date(1970, 1, 1, 0, 1, 0, 0, time.UTC), noon.Add(time.Hour)},
	} {
		engine := newFenced(openStore(t, t.TempDir()), store.Fence{})
		db, _ := createIn(t, engine)
		apply(t, db, must[store.Op](t)(db.Accounts.Put(db.Holder(subject("alice")), nil, records.Account{Authenticators: []records.Authenticator{
			{CreatedAt: noon.Add(-time.Hour), LastUsedAt: c.stored},
		}}, 0, time.Time{})))
		found := older
		found.Newest = c.newest
		engine.comesBack(found)
		if err := db.AcceptFence(t.Context(), records.Acceptance{Now: c.now}); err != nil {
			t.Fatal(name, err)
		}
		if got := db.Fencing().CodesAfter; !got.Equal(c.want.Add(10 * time.Second)) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// A database of the version before is generation 0, with all that it holds, and
// that version refuses it afterwards.
func TestS25MetaOfTheVersionBefore(t *testing.T) {
	s := openStore(t, t.TempDir())
	db, key := createIn(t, s)
	h, ctx := db.Holder(subject("alice")), t.Context()
	grant, _ := putOnce(t, db, h)
	toForm1(t, s, key)
	if _, err := records.Open(ctx, newFenced(s, older), key); err != nil {
		t.Fatal(err)
	}
	if form := metaOf(t, s)["form"]; form != 1.0 {
		t.Error("an older copy was written to:", form)
	}
	accepted := must[*records.DB](t)(records.Open(ctx, newFenced(s, older), key))
	if err := accepted.AcceptFence(ctx, records.Acceptance{Now: noon}); err != nil || metaOf(t, s)["form"] != 2.0 || accepted.Generation() != 1 {
		t.Fatal("accepting a copy of form 1:", err, metaOf(t, s))
	}
	if left := onceLeft(t, accepted, h, grant); len(left) != 0 {
		t.Error("good again:", left)
	}
	toForm1(t, s, key)
	db, err := records.Open(ctx, s, key)
	if err != nil || db.Generation() != 0 {
		t.Fatal(err)
	}
	if left := onceLeft(t, db, h, grant); !slices.Equal(left, onceTables) {
		t.Error("lost:", left)
	}
	if form := metaOf(t, s)["form"]; form != 2.0 {
		t.Error("form:", form)
	}
	if db, err = records.Open(ctx, s, key); err != nil || db.Generation() != 0 {
		t.Fatal("opened again:", err)
	}
	// Taken away, it is no database of generation 0.
	m := metaOf(t, s)
	delete(m, "fence")
	value := must[[]byte](t)(json.Marshal(m))
	if err := s.Apply(ctx, store.Op{Key: []byte("meta"), Value: value}); err != nil {
		t.Fatal(err)
	}
	if _, err := records.Open(ctx, s, key); !errors.Is(err, records.ErrCorrupt) {
		t.Error("without its fence:", err)
	}
}

func metaOf(t *testing.T, s store.Store) (m map[string]any) {
	t.Helper()
	e, err := s.Get(t.Context(), []byte("meta"))
	if err == nil {
		err = json.Unmarshal(e.Value, &m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// toForm1 writes everything in s as the version before did.
func toForm1(t *testing.T, s store.Store, key seal.Key) {
	t.Helper()
	ring := must[*seal.Ring](t)(seal.NewRing(key))
	entries := must[[]store.Entry](t)(s.List(t.Context(), nil, nil, 1000))
	for _, e := range entries {
		value := e.Value
		if string(e.Key)[:2] == "u/" {
			value = nil
		} else if string(e.Key) == "meta" {
			m := metaOf(t, s)
			sealed := must[[]byte](t)(base64.StdEncoding.DecodeString(m["lookup"].(string)))
			lookup := must[[]byte](t)(ring.Open(sealed, []byte("meta 2")))
			m["form"], m["lookup"] = 1, ring.Seal(lookup, []byte("meta"))
			delete(m, "fence")
			delete(m, "writer")
			value = must[[]byte](t)(json.Marshal(m))
		} else if plain := must[[]byte](t)(ring.Open(e.Value, e.Key)); plain[0] == 2 {
			value = ring.Seal(append([]byte{1}, plain[9:]...), e.Key)
		}
		if err := s.Apply(t.Context(), store.Op{Key: e.Key, Value: value}); err != nil {
			t.Fatal(err)
		}
	}
}
