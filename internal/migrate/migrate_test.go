package migrate_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/heldrequest"
	"github.com/stepup-gateway/caddy-stepup/internal/migrate"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/internal/seal"
	"github.com/stepup-gateway/caddy-stepup/internal/store/badgerstore"
	"github.com/stepup-gateway/caddy-stepup/store"
)

func openStore(t testing.TB, dir string) *badgerstore.Store {
	t.Helper()
	s, err := badgerstore.Open(badgerstore.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
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

var alice = grants.Subject{Tenant: "default", User: "alice"}

// fill makes a database with some records of every kind that moving could treat
// differently: small, large, many, with and without an end, and some that have run
// out.
func fill(t testing.TB, s store.Store, devices int, held ...int) seal.Key {
	t.Helper()
	ctx, key := t.Context(), seal.GenerateKey()
	if err := records.Create(ctx, s, key); err != nil {
		t.Fatal(err)
	}
	db := must[*records.DB](t)(records.Open(ctx, s, key))
	h, op, now := db.Holder(alice), must[store.Op](t), time.Now()
	apply := func(ops ...store.Op) {
		t.Helper()
		if err := db.Apply(ctx, ops...); err != nil {
			t.Fatal(err)
		}
	}
	apply(op(db.Accounts.Put(h, nil, records.Account{User: "alice", State: records.StateReset}, 0, time.Time{})),
		op(db.Challenges.Put(h, []byte("0123456789abcdef"), records.Challenge{Action: "PAY"}, 0, now.Add(time.Hour))))
	for i := range devices {
		apply(op(db.Devices.Put(h, fmt.Appendf(nil, "device %010d", i), records.Device{Expires: now}, 0, now.Add(24*time.Hour))))
	}
	for i, size := range held {
		r := &http.Request{Method: "POST", ContentLength: int64(size), Body: io.NopCloser(bytes.NewReader(bytes.Repeat([]byte{byte(i)}, size)))}
		form := must[*heldrequest.Packed](t)(heldrequest.Capture(r, heldrequest.Sent{Method: "POST", Target: "/x"}, 4<<20))
		apply(db.PutHeld(h, fmt.Appendf(nil, "held %d", i), form, now.Add(time.Hour)))
	}
	return key
}

// everything is what a store holds, but for the record that has the mark.
func everything(t testing.TB, s store.Movable) map[string]string {
	t.Helper()
	all := map[string]string{}
	for after := []byte(nil); ; {
		ops := must[[]store.Op](t)(s.Dump(t.Context(), after, 100))
		if len(ops) == 0 {
			delete(all, "meta")
			return all
		}
		for _, op := range ops {
			all[string(op.Key)] = fmt.Sprint(op.Expires.IsZero(), string(op.Value))
			after = op.Key
		}
	}
}

func same(a, b map[string]string) error {
	if len(a) != len(b) {
		return fmt.Errorf("%d rows and %d", len(a), len(b))
	}
	for k, v := range a {
		if b[k] != v {
			return fmt.Errorf("the row %q differs", k)
		}
	}
	return nil
}

func at(name string, s store.Store, key seal.Key) migrate.Database {
	return migrate.Database{Name: name, Store: s, Key: key}
}

// serves reports whether a gateway would serve the database, or why not.
func serves(ctx context.Context, s store.Store, key seal.Key) error {
	db, err := records.Open(ctx, s, key)
	if err == nil {
		_, err = db.Accounts.Get(ctx, db.Holder(alice), nil)
	}
	return err
}

func refused(t *testing.T, err error, is error, says ...string) {
	t.Helper()
	if err == nil || is != nil && !errors.Is(err, is) {
		t.Fatalf("%v, want %v", err, is)
	}
	for _, text := range says {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q does not say %q", err, text)
		}
	}
}

// A database is moved, and back from there into an empty one; what it was moved from
// is not served any more.
func TestRun(t *testing.T) {
	a, b, c := openStore(t, t.TempDir()), openStore(t, t.TempDir()), openStore(t, t.TempDir())
	key := fill(t, a, 1200, 900<<10, 3<<20, 3<<20)
	before := everything(t, a)
	var told []migrate.Progress
	o := migrate.Options{From: at("a", a, key), To: at("b", b, key), Tell: func(p migrate.Progress) { told = append(told, p) }}
	report, err := migrate.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if report.From != report.To || report.To.Rows != int64(len(before)) || report.Written != report.To.Rows || report.Found != 0 || report.To.Bytes < 6<<20 {
		t.Errorf("%+v", report)
	}
	if len(told) < 6 || told[0].Rows != 0 || told[len(told)-1].Rows != report.To.Rows || !told[len(told)-1].Done {
		t.Errorf("told %+v", told)
	}
	if err := same(before, everything(t, b)); err != nil {
		t.Error(err)
	}
	if err := serves(t.Context(), b, key); err != nil {
		t.Error(err)
	}
	refused(t, serves(t.Context(), a, key), records.ErrMoved, "moved to b at "+time.Now().UTC().Format("2006-01-02"), "into an empty database")

	// Again there is nothing to do, and nothing to give up.
	if report, err = migrate.Run(t.Context(), o); err != nil || !report.Before {
		t.Errorf("again: %+v, %v", report, err)
	}
	refused(t, migrate.Abandon(t.Context(), o), records.ErrMoved)
	// Neither is the one moved to the other, which has another's rows.
	_, err = migrate.Run(t.Context(), migrate.Options{From: o.To, To: o.From})
	refused(t, err, migrate.ErrNotEmpty, "a is not empty, and must be empty", "moved to b")
	_, err = migrate.Run(t.Context(), migrate.Options{From: o.From, To: at("c", c, key)})
	refused(t, err, records.ErrMoved, "moved to b")

	if _, err = migrate.Run(t.Context(), migrate.Options{From: o.To, To: at("c", c, key)}); err != nil {
		t.Fatal(err)
	}
	if err := same(before, everything(t, c)); err != nil {
		t.Error(err)
	}
	if err := serves(t.Context(), c, key); err != nil {
		t.Error(err)
	}
	refused(t, serves(t.Context(), b, key), records.ErrMoved, "moved to c")
}

// What may not be touched is refused before anything is written to either.
func TestRefused(t *testing.T) {
	a := openStore(t, t.TempDir())
	key := fill(t, a, 3)
	before := must[store.Entry](t)(a.Get(t.Context(), []byte("meta")))
	stranger := openStore(t, t.TempDir())
	strangers := fill(t, stranger, 1)
	made, foreign, blank := openStore(t, t.TempDir()), openStore(t, t.TempDir()), openStore(t, t.TempDir())
	if err := records.Create(t.Context(), made, key); err != nil {
		t.Fatal(err)
	}
	if err := foreign.Apply(t.Context(), store.Op{Key: []byte("x"), Value: []byte("y")}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		from, to migrate.Database
		is       error
		says     string
	}{
		"another database":       {at("a", a, key), at("b", stranger, key), migrate.ErrNotEmpty, "belongs to another key"},
		"what init made":         {at("a", a, key), at("b", made, key), migrate.ErrNotEmpty, "without `caddy step-up init`"},
		"something else's":       {at("a", a, key), at("b", foreign, key), migrate.ErrNotEmpty, "and must be empty"},
		"itself":                 {at("a", a, key), at("a", a, key), migrate.ErrNotEmpty, "and must be empty"},
		"keys that differ":       {at("a", a, key), at("b", blank, strangers), nil, "different keys"},
		"the wrong key for both": {at("a", a, strangers), at("b", blank, strangers), records.ErrWrongKey, "belongs to another key"},
		"nothing":                {at("b", blank, key), at("c", openStore(t, t.TempDir()), key), nil, "b is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			to := everything(t, c.to.Store.(store.Movable))
			_, err := migrate.Run(t.Context(), migrate.Options{From: c.from, To: c.to})
			refused(t, err, c.is, c.says)
			if err := same(to, everything(t, c.to.Store.(store.Movable))); err != nil {
				t.Error("the other one:", err)
			}
			if now := must[store.Entry](t)(a.Get(t.Context(), []byte("meta"))); now.Version != before.Version {
				t.Error("the original was written to")
			}
		})
	}
	refused(t, migrate.Abandon(t.Context(), migrate.Options{From: at("a", a, key)}), nil, "not being moved")
	if err := serves(t.Context(), a, key); err != nil {
		t.Error(err)
	}
}

// Rows that ran out are left, and ends stay where they are.
func TestEnds(t *testing.T) {
	a, b := openStore(t, t.TempDir()), openStore(t, t.TempDir())
	key, in := fill(t, a, 1), time.Now().Add(90*time.Minute)
	ops := []store.Op{{Key: []byte("x/soon"), Value: []byte("1"), Expires: in}, {Key: []byte("x/never"), Value: []byte{}}}
	if err := a.Apply(t.Context(), ops...); err != nil {
		t.Fatal(err)
	}
	if _, err := migrate.Run(t.Context(), migrate.Options{From: at("a", a, key), To: at("b", b, key)}); err != nil {
		t.Fatal(err)
	}
	for _, op := range must[[]store.Op](t)(b.Dump(t.Context(), []byte("x/"), 10)) {
		switch left := op.Expires.Sub(in); {
		case string(op.Key) == "x/never" && !op.Expires.IsZero(),
			string(op.Key) == "x/soon" && (left < 0 || left > 15*time.Minute):
			t.Errorf("%s ends at %v, %v later", op.Key, op.Expires, left)
		}
	}
}

// A copy that differs is found, in whichever way it does, and neither is served;
// running it again mends it.
func TestDifference(t *testing.T) {
	for name, plant := range map[string]func(ops []store.Op) store.Op{
		"a value": func(ops []store.Op) store.Op {
			changed := ops[2]
			changed.Value = append(bytes.Clone(changed.Value[:len(changed.Value)-1]), changed.Value[len(changed.Value)-1]^1)
			return changed
		},
		"a row that is missing": func(ops []store.Op) store.Op { return store.Op{Key: ops[1].Key} },
		"a row too many":        func([]store.Op) store.Op { return store.Op{Key: []byte("zz"), Value: []byte("z")} },
		"an end": func(ops []store.Op) store.Op {
			last := ops[len(ops)-1] // the number of accounts
			last.Expires = time.Now().Add(time.Hour)
			return last
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := openStore(t, t.TempDir()), openStore(t, t.TempDir())
			key := fill(t, a, 5, 10)
			o := migrate.Options{From: at("a", a, key), To: at("b", b, key)}
			o.Tell = func(p migrate.Progress) {
				if p.Doing != "compared" || p.Rows > 0 {
					return
				}
				if err := b.Apply(t.Context(), plant(must[[]store.Op](t)(b.Dump(t.Context(), nil, 100)))); err != nil {
					t.Error(err)
				}
			}
			report, err := migrate.Run(t.Context(), o)
			refused(t, err, migrate.ErrDiffers, "SHA-256", "run the same command again")
			if name != "an end" && report.From == report.To {
				t.Errorf("%+v", report)
			}
			refused(t, serves(t.Context(), a, key), records.ErrMoved, "being moved to b")
			refused(t, serves(t.Context(), b, key), records.ErrMoved, "incomplete copy of a")
			o.Tell = nil
			if report, err = migrate.Run(t.Context(), o); err != nil || report.Found == 0 {
				t.Fatalf("%+v, %v", report, err)
			}
			if err := same(everything(t, a), everything(t, b)); err != nil {
				t.Error(err)
			}
		})
	}
}
