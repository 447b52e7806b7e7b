package records_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/internal/seal"
	"github.com/stepup-gateway/caddy-stepup/store"
)

func enroll(t testing.TB, db *records.DB, user string) {
	t.Helper()
	apply(t, db, must[store.Op](t)(db.Accounts.Put(db.Holder(subject(user)), nil, records.Account{User: user, State: records.StateEnrolled}, 0, time.Time{})))
}

// Anyone who can change the files of the database, and has no key, deletes the row of
// an account: its subject must not pass for one that never enrolled. What would
// hide the deletion, without the key, is told as well.
func TestS25DeletedAccountIsTold(t *testing.T) {
	countKey := append([]byte("u/"), make([]byte, 32)...)
	for name, change := range map[string]func(t *testing.T, s store.Store, account []byte) []store.Op{
		"the account": func(_ *testing.T, _ store.Store, account []byte) []store.Op { return []store.Op{{Key: account}} },
		"the account and the count": func(_ *testing.T, _ store.Store, account []byte) []store.Op {
			return []store.Op{{Key: account}, {Key: countKey}}
		},
		"the account and the count, as a database of the version before": func(t *testing.T, s store.Store, account []byte) []store.Op {
			var m map[string]any
			if err := json.Unmarshal(must[store.Entry](t)(s.Get(t.Context(), []byte("meta"))).Value, &m); err != nil {
				t.Fatal(err)
			}
			m["form"] = 1
			delete(m, "writer")
			return []store.Op{{Key: account}, {Key: countKey}, {Key: []byte("meta"), Value: must[[]byte](t)(json.Marshal(m))}}
		},
		"no account, one put in": func(t *testing.T, s store.Store, account []byte) []store.Op {
			e := must[store.Entry](t)(s.Get(t.Context(), account))
			return []store.Op{{Key: append([]byte("s/"), make([]byte, 32)...), Value: e.Value}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			db, s, key := create(t)
			for i := range 3 {
				enroll(t, db, fmt.Sprint("user", i))
			}
			if _, err := records.Open(t.Context(), s, key); err != nil {
				t.Fatal("an untouched database:", err)
			}
			h := db.Holder(subject("user1"))
			if err := s.Apply(t.Context(), change(t, s, append([]byte("s/"), h[:]...))...); err != nil {
				t.Fatal(err)
			}
			if _, err := records.Open(t.Context(), s, key); !errors.Is(err, records.ErrCorrupt) {
				t.Fatalf("opened: %v", err)
			}
		})
	}
}

// All that are enrolled at the same time are, and each is counted once.
func TestAccountsCreatedAtOnce(t *testing.T) {
	db, s, key := create(t)
	const people = 20
	var group sync.WaitGroup
	for i := range people {
		group.Go(func() {
			h := db.Holder(subject(fmt.Sprint("user", i)))
			op, err := db.Accounts.Put(h, nil, records.Account{State: records.StateEnrolled}, 0, time.Time{})
			if err == nil {
				err = db.Apply(t.Context(), op)
			}
			if err != nil {
				t.Error(err)
			}
			if err := db.Apply(t.Context(), op); !errors.Is(err, records.ErrConflict) {
				t.Error("enrolled twice:", err)
			}
		})
	}
	// Another gateway on the same database.
	other := must[*records.DB](t)(records.Open(t.Context(), s, key))
	for i := range people {
		enroll(t, other, fmt.Sprint("other", i))
	}
	group.Wait()
	// What changes or replaces an account creates none, and a deletion counts.
	h := db.Holder(subject("user1"))
	row := must[records.Row[records.Account]](t)(db.Accounts.Get(t.Context(), h, nil))
	apply(t, db, must[store.Op](t)(db.Accounts.Update(row, row.Value, time.Time{})))
	apply(t, db, must[store.Op](t)(db.Accounts.Set(h, nil, row.Value, time.Time{})))
	apply(t, db, must[store.Op](t)(db.Accounts.Set(db.Holder(subject("set")), nil, row.Value, time.Time{})))
	row = must[records.Row[records.Account]](t)(db.Accounts.Get(t.Context(), h, nil))
	apply(t, db, db.Accounts.Delete(row))
	apply(t, db, db.Accounts.Drop(row))
	if _, err := records.Open(t.Context(), s, key); err != nil {
		t.Fatal(err)
	}
}

// A database of the version before has no count: it gets one when it is first
// opened, keeps what its meta holds, and is refused to that version from then on.
func TestDatabaseOfTheVersionBefore(t *testing.T) {
	db, s, key := create(t)
	enroll(t, db, "alice")
	ring := must[*seal.Ring](t)(seal.NewRing(key))
	var m map[string]any
	e := must[store.Entry](t)(s.Get(t.Context(), []byte("meta")))
	var lookup struct{ Lookup []byte }
	if err := errors.Join(json.Unmarshal(e.Value, &m), json.Unmarshal(e.Value, &lookup)); err != nil {
		t.Fatal(err)
	}
	plain := must[[]byte](t)(ring.Open(lookup.Lookup, []byte("meta 2")))
	delete(m, "writer")
	m["form"], m["lookup"], m["of_another_version"] = 1, ring.Seal(plain, []byte("meta")), "kept"
	if err := s.Apply(t.Context(), store.Op{Key: []byte("meta"), Value: must[[]byte](t)(json.Marshal(m))},
		store.Op{Key: append([]byte("u/"), make([]byte, 32)...)}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		db := must[*records.DB](t)(records.Open(t.Context(), s, key))
		if row := must[records.Row[records.Account]](t)(db.Accounts.Get(t.Context(), db.Holder(subject("alice")), nil)); row.Value.User != "alice" {
			t.Fatal(row)
		}
	}
	var after map[string]any
	if err := json.Unmarshal(must[store.Entry](t)(s.Get(t.Context(), []byte("meta"))).Value, &after); err != nil {
		t.Fatal(err)
	}
	if after["form"] != 2.0 || after["writer"] != 1.0 || after["of_another_version"] != "kept" {
		t.Error(after)
	}
}

// A database that a newer version has written, and a record of a form that only
// it knows, are told as such.
func TestNewerDatabaseIsRefused(t *testing.T) {
	for _, newer := range []map[string]any{{"writer": 2}, {"form": 3}} {
		_, s, key := create(t)
		var m map[string]any
		if err := json.Unmarshal(must[store.Entry](t)(s.Get(t.Context(), []byte("meta"))).Value, &m); err != nil {
			t.Fatal(err)
		}
		for name, value := range newer {
			m[name] = value
		}
		if err := s.Apply(t.Context(), store.Op{Key: []byte("meta"), Value: must[[]byte](t)(json.Marshal(m))}); err != nil {
			t.Fatal(err)
		}
		if _, err := records.Open(t.Context(), s, key); !errors.Is(err, records.ErrNewer) {
			t.Errorf("%v: %v", newer, err)
		}
	}
	db, s, key := create(t)
	h := db.Holder(subject("alice"))
	rowKey := append([]byte("i/"), h[:]...)
	ring := must[*seal.Ring](t)(seal.NewRing(key))
	if err := s.Apply(t.Context(), store.Op{Key: rowKey, Value: ring.Seal([]byte{9, 1}, rowKey)}); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Invites.Get(t.Context(), h, nil); !errors.Is(err, records.ErrNewer) || !errors.Is(err, records.ErrCorrupt) {
		t.Error(err)
	}
}
