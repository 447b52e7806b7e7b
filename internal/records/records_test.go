package records_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/internal/seal"
	"github.com/stepup-gateway/caddy-stepup/internal/store/badgerstore"
	"github.com/stepup-gateway/caddy-stepup/store"
)

var noon = time.Date(2027, 1, 15, 12, 0, 0, 0, time.UTC)

func openStore(t testing.TB, dir string) *badgerstore.Store {
	t.Helper()
	s, err := badgerstore.Open(badgerstore.Options{Dir: dir, Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// create makes a database in a store of its own.
func create(t testing.TB) (*records.DB, store.Store, seal.Key) {
	t.Helper()
	s, key := openStore(t, t.TempDir()), seal.GenerateKey()
	if err := records.Create(t.Context(), s, key); err != nil {
		t.Fatal(err)
	}
	db, err := records.Open(t.Context(), s, key)
	if err != nil {
		t.Fatal(err)
	}
	return db, s, key
}

func apply(t testing.TB, db *records.DB, ops ...store.Op) {
	t.Helper()
	if err := db.Apply(t.Context(), ops...); err != nil {
		t.Fatal(err)
	}
}

func must[T any](t testing.TB) func(T, error) T {
	return func(x T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
}

func subject(user string) grants.Subject { return grants.Subject{Tenant: "staff", User: user} }

func TestTables(t *testing.T) {
	db, _, _ := create(t)
	ctx := t.Context()
	h, other := db.Holder(subject("alice")), db.Holder(subject("bob"))
	if _, err := db.Accounts.Get(ctx, h, nil); !errors.Is(err, records.ErrNotFound) {
		t.Fatal(err)
	}
	none := must[records.Row[records.Account]](t)(db.Accounts.Find(ctx, h, nil))
	if none.Version != 0 || none.Value.State != records.StateNew {
		t.Fatal(none)
	}
	apply(t, db, must[store.Op](t)(db.Accounts.Update(none, records.Account{User: "alice", State: records.StateEnrolled}, time.Time{})))
	if err := db.Apply(ctx, must[store.Op](t)(db.Accounts.Update(none, records.Account{}, time.Time{}))); !errors.Is(err, records.ErrConflict) {
		t.Fatal("an account that appeared was overwritten:", err)
	}
	row := must[records.Row[records.Account]](t)(db.Accounts.Get(ctx, h, nil))
	if row.Value.User != "alice" || db.Accounts.Holder(row) != h || len(db.Accounts.ID(row)) != 0 {
		t.Fatal(row)
	}
	apply(t, db, must[store.Op](t)(db.Accounts.Update(row, row.Value, time.Time{})))
	if err := db.Apply(ctx, db.Accounts.Delete(row)); !errors.Is(err, records.ErrConflict) {
		t.Fatal("a changed row was deleted:", err)
	}

	for i := range 5 {
		apply(t, db, must[store.Op](t)(db.Invites.Put(h, []byte{byte(i)}, records.Invite{Expires: noon}, 0, time.Time{})))
	}
	apply(t, db, must[store.Op](t)(db.Invites.Put(other, []byte{9}, records.Invite{}, 0, time.Time{})))
	if rows := must[[]records.Row[records.Invite]](t)(db.Invites.List(ctx, h, nil, 100)); len(rows) != 5 || db.Invites.ID(rows[3])[0] != 3 {
		t.Fatal(len(rows))
	}
	var all int
	for cursor := []byte(nil); ; {
		rows, next, err := db.Invites.All(ctx, cursor, 2)
		if err != nil {
			t.Fatal(err)
		}
		all += len(rows)
		if cursor = next; cursor == nil {
			break
		}
	}
	if all != 6 {
		t.Fatal("all invites:", all)
	}
	// A cursor from elsewhere does not leave the table.
	if rows, _, err := db.Invites.All(ctx, []byte("meta"), 100); err != nil || len(rows) != 0 {
		t.Fatal(len(rows), err)
	}
	apply(t, db, must[[]store.Op](t)(db.Invites.DropAll(ctx, h, 100))...)
	if rows := must[[]records.Row[records.Invite]](t)(db.Invites.List(ctx, h, nil, 100)); len(rows) != 0 {
		t.Fatal("left:", len(rows))
	}
}

// No two subjects share a holder, whatever their names are made of.
func TestHolderIsInjective(t *testing.T) {
	db, _, _ := create(t)
	seen := make(map[grants.Holder]grants.Subject)
	long := strings.Repeat("x", 255)
	for _, s := range []grants.Subject{
		{}, {Tenant: "a"}, {User: "a"}, {Tenant: "a", User: "b"}, {Tenant: "ab"}, {User: "ab"}, {Tenant: "a\x00", User: "b"}, {Tenant: "a", User: "\x00b"},
		{Tenant: "\x01\x00a", User: ""}, {Tenant: "", User: "\x01\x00a"}, {Tenant: "a", User: "B"}, {Tenant: "A", User: "b"},
		{Tenant: long, User: "x"}, {Tenant: long + "x"}, {Tenant: "x", User: long}, {User: long + "x"}, {Tenant: "a", User: "b "}, {Tenant: "a", User: "\u00e9"}, {Tenant: "a", User: "e\u0301"},
	} {
		h := db.Holder(s)
		if was, ok := seen[h]; ok {
			t.Errorf("%q and %q share a holder", was, s)
		}
		seen[h] = s
	}
	other, _, _ := create(t)
	if other.Holder(subject("a")) == db.Holder(subject("a")) {
		t.Error("two databases file a subject under the same digest")
	}
}

func TestMACTellsPurposesAndParts(t *testing.T) {
	db, _, _ := create(t)
	seen := make(map[[32]byte]int)
	for i, parts := range [][]string{{"p"}, {"p", ""}, {"p", "a"}, {"pa"}, {"p", "a", "b"}, {"p", "ab"}, {"p", "", "ab"}, {"", "p", "ab"}, {"p", "ab", ""}} {
		data := make([][]byte, len(parts)-1)
		for j := range data {
			data[j] = []byte(parts[j+1])
		}
		mac := db.MAC(parts[0], data...)
		if was, ok := seen[mac]; ok {
			t.Errorf("cases %d and %d share a MAC", was, i)
		}
		seen[mac] = i
	}
}

// A row of a form that is not known, by a newer version or by accident, is an
// error of the store, not an absent record.
func TestUnknownFormIsRefused(t *testing.T) {
	s, key := openStore(t, t.TempDir()), seal.GenerateKey()
	if err := records.Create(t.Context(), s, key); err != nil {
		t.Fatal(err)
	}
	db := must[*records.DB](t)(records.Open(t.Context(), s, key))
	ring := must[*seal.Ring](t)(seal.NewRing(key))
	h := db.Holder(subject("alice"))
	rowKey := append([]byte("s/"), h[:]...)
	valid := must[[]byte](t)(json.Marshal(records.Account{User: "alice"}))
	for name, test := range map[string]struct {
		plain []byte
		ok    bool
	}{
		"form 1":       {append([]byte{1}, valid...), true},
		"form 2":       {append([]byte{2}, valid...), false},
		"form 0":       {append([]byte{0}, valid...), false},
		"nothing":      {nil, false},
		"form only":    {[]byte{1}, false},
		"not JSON":     {[]byte("\x01{"), false},
		"another type": {[]byte("\x01{\"user\":7}"), false},
	} {
		apply(t, db, store.Op{Key: rowKey, Value: ring.Seal(test.plain, rowKey)})
		_, err := db.Accounts.Get(t.Context(), h, nil)
		if test.ok != (err == nil) || !test.ok && !errors.Is(err, records.ErrCorrupt) || errors.Is(err, records.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := db.Accounts.Find(t.Context(), h, nil); test.ok != (err == nil) {
			t.Errorf("%s, found: %v", name, err)
		}
	}
}

func TestApplyOutlivesItsCaller(t *testing.T) {
	db, _, _ := create(t)
	h := db.Holder(subject("alice"))
	op := must[store.Op](t)(db.Accounts.Put(h, nil, records.Account{User: "alice"}, 0, time.Time{}))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.Apply(ctx, op); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Accounts.Get(t.Context(), h, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Accounts.Get(ctx, h, nil); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if err := db.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.Ping(t.Context()); !errors.Is(err, store.ErrClosed) {
		t.Fatal(err)
	}
}

// Errors are shown to operators and logged; records are not to be found there.
func TestErrorsHoldNoRecords(t *testing.T) {
	db, s, _ := create(t)
	h := db.Holder(subject("alice"))
	apply(t, db, must[store.Op](t)(db.Accounts.Put(h, nil, records.Account{User: "alice"}, 0, time.Time{})))
	rowKey := append([]byte("s/"), h[:]...)
	e := must[store.Entry](t)(s.Get(t.Context(), rowKey))
	e.Value[len(e.Value)-1] ^= 1
	apply(t, db, store.Op{Key: rowKey, Value: e.Value})
	_, err := db.Accounts.Get(t.Context(), h, nil)
	if err == nil || strings.Contains(err.Error(), "alice") || strings.Contains(err.Error(), fmt.Sprintf("%x", h[:4])) {
		t.Fatal(err)
	}
}
