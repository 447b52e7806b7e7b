package backup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/backup"
	"github.com/stepup-gateway/caddy-stepup/internal/migrate"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/internal/seal"
	"github.com/stepup-gateway/caddy-stepup/internal/store/badgerstore"
	"github.com/stepup-gateway/caddy-stepup/store"
)

func must[T any](t testing.TB) func(T, error) T {
	return func(x T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
}

func openStore(t testing.TB) *badgerstore.Store {
	t.Helper()
	s := must[*badgerstore.Store](t)(badgerstore.Open(badgerstore.Options{Dir: t.TempDir()}))
	t.Cleanup(func() { s.Close() })
	return s
}

var alice = grants.Subject{Tenant: "default", User: "alice"}

// fill makes a database with an account, and some rows of a size for which they are
// worth a page each.
func fill(t testing.TB, s store.Store, rows, size int) (*records.DB, seal.Key) {
	t.Helper()
	ctx, key := t.Context(), seal.GenerateKey()
	if err := records.Create(ctx, s, key); err != nil {
		t.Fatal(err)
	}
	db := must[*records.DB](t)(records.Open(ctx, s, key))
	h := db.Holder(alice)
	put := must[store.Op](t)(db.Accounts.Put(h, nil, records.Account{User: "alice", State: records.StateReset}, 0, time.Time{}))
	if err := db.Apply(ctx, put); err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		name := records.Name{}
		op := must[store.Op](t)(db.Names.Put(h, fmt.Appendf(nil, "%04d", i), name, 0, time.Now().Add(time.Hour)))
		invite := records.Resume{Holder: bytes.Repeat([]byte{byte(i)}, size)}
		once := must[store.Op](t)(db.Resumes.Put(h, fmt.Appendf(nil, "%04d", i), invite, 0, time.Now().Add(time.Hour)))
		if err := db.Apply(ctx, op, once); err != nil {
			t.Fatal(err)
		}
	}
	return db, key
}

func take(t testing.TB, db *records.DB) []byte {
	t.Helper()
	s := must[*records.Snapshot](t)(db.Snapshot(t.Context()))
	defer s.Close()
	var b bytes.Buffer
	must[backup.Sum](t)(backup.Write(t.Context(), &b, s, backup.Maker{Gateway: "1", Engine: "badger"}))
	return b.Bytes()
}

// restore verifies and restores a backup, as the command does.
func restore(t testing.TB, s store.Store, key seal.Key, file []byte, edits ...func(*backup.Options)) (migrate.Report, error) {
	t.Helper()
	o := backup.Options{
		File: bytes.NewReader(file), Name: "file", To: migrate.Database{Name: "b", Store: s, Key: key}, Known: true,
		Mend: func(*records.DB) error { return nil },
	}
	for _, edit := range edits {
		edit(&o)
	}
	v, err := backup.Verify(t.Context(), bytes.NewReader(file), key, o.Tell)
	if err != nil {
		return migrate.Report{}, err
	}
	return backup.Restore(t.Context(), v, o)
}

func isEmpty(t testing.TB, s store.Store) bool {
	t.Helper()
	return len(must[[]store.Entry](t)(s.List(t.Context(), nil, nil, 1))) == 0
}

func rowsOf(t testing.TB, s store.Movable) map[string]string {
	t.Helper()
	all := map[string]string{}
	for after := []byte(nil); ; {
		ops := must[[]store.Op](t)(s.Dump(t.Context(), after, 100))
		if len(ops) == 0 {
			delete(all, "meta")
			return all
		}
		for _, op := range ops {
			all[string(op.Key)] = string(op.Value)
			after = op.Key
		}
	}
}

// What was in the database is in the one that is restored, under a new generation, and
// nothing that came after the moment.
func TestRestore(t *testing.T) {
	a, b := openStore(t), openStore(t)
	db, key := fill(t, a, 600, 3000)
	before := rowsOf(t, a)
	file := take(t, db)
	if op, err := db.Resumes.Put(db.Holder(alice), []byte("later"), records.Resume{}, 0, time.Time{}); err != nil || db.Apply(t.Context(), op) != nil {
		t.Fatal(err)
	}
	for _, k := range []seal.Key{{}, key} {
		v := must[backup.Verified](t)(backup.Verify(t.Context(), bytes.NewReader(file), k, nil))
		if v.Opened != !k.IsZero() || v.Sum.Rows != int64(len(before))+1 || v.Head.StoreID != key.StoreID().String() || time.Since(v.Head.Moment) > time.Minute || v.Head.Sequence == 0 {
			t.Errorf("%+v", v)
		}
	}
	var told []backup.Progress
	r := must[migrate.Report](t)(restore(t, b, key, file, func(o *backup.Options) { o.Tell = func(p backup.Progress) { told = append(told, p) } }))
	if r.From != r.To || r.Written != int64(len(before)) || len(told) < 4 || !told[len(told)-1].Done {
		t.Errorf("%+v, told %d times", r, len(told))
	}
	after := rowsOf(t, b)
	for k, v := range before {
		if after[k] != v {
			t.Errorf("%q differs", k)
		}
		delete(after, k)
	}
	if len(after) != 1 { // which backup it was
		t.Errorf("%d rows more", len(after))
	}
	restored := must[*records.DB](t)(records.Open(t.Context(), b, key))
	if f := restored.Fencing(); f.Generation != 1 || !f.CodesBarred || f.CodesAfter.Before(time.Now()) || !strings.Contains(f.Cause, "restored") {
		t.Errorf("%+v", f)
	}
	if last := must[records.BackedUp](t)(restored.LastBackup(t.Context())); last.Moment.IsZero() || last.Rows != int64(len(before))+1 {
		t.Errorf("the last backup is of %v", last.Moment)
	}
	// S25: nothing that could be used once.
	if _, err := restored.Resumes.Get(t.Context(), restored.Holder(alice), []byte("0001")); !errors.Is(err, records.ErrNotFound) {
		t.Error("what could be used once:", err)
	}
	// A backup of it can be restored too, and nothing over what is there.
	again := take(t, restored)
	must[migrate.Report](t)(restore(t, openStore(t), key, again))
	if _, err := restore(t, b, key, file); !errors.Is(err, backup.ErrNotEmpty) || !strings.Contains(err.Error(), "nothing was changed") {
		t.Error("over a database:", err)
	}
}

// refused fails unless a file is refused, and nothing was written.
func refused(t *testing.T, key seal.Key, file []byte, what string) error {
	t.Helper()
	s := openStore(t)
	defer s.Close()
	_, err := restore(t, s, key, file)
	if err == nil || !isEmpty(t, s) {
		t.Fatalf("%s: %v, empty %v", what, err, isEmpty(t, s))
	}
	return err
}

func anyOf(err error, of ...error) bool {
	for _, one := range of {
		if errors.Is(err, one) {
			return true
		}
	}
	return false
}

// A backup that was cut or altered anywhere, or is of another key, is refused before
// anything is written.
func TestS16AlteredBackups(t *testing.T) {
	s := openStore(t)
	db, key := fill(t, s, 40, 200)
	file := take(t, db)
	r := rand.New(rand.NewPCG(1, 2))
	verify := func(file []byte) error {
		_, err := backup.Verify(t.Context(), bytes.NewReader(file), key, nil)
		return err
	}
	for i := range len(file) { // every byte
		altered := bytes.Clone(file)
		altered[i] ^= byte(1 << r.IntN(8))
		if err := verify(altered); err == nil {
			t.Fatalf("byte %d of %d was altered", i, len(file))
		}
	}
	for n := range len(file) { // every length
		if err := verify(file[:n]); !anyOf(err, backup.ErrCut, backup.ErrNoBackup) {
			t.Fatalf("cut after %d of %d bytes: %v", n, len(file), err)
		}
	}
	for range 10 {
		n := r.IntN(len(file))
		refused(t, key, file[:n], "cut")
		altered := bytes.Clone(file)
		altered[n] ^= 0x10
		refused(t, key, altered, "altered")
	}
	refused(t, key, append(bytes.Clone(file), 0), "something follows")
	if err := refused(t, seal.GenerateKey(), file, "of another database"); !errors.Is(err, backup.ErrOtherKey) {
		t.Error(err)
	}
	if err := refused(t, key.Successor(), file, "of another key of the database"); !errors.Is(err, backup.ErrOtherKey) {
		t.Error(err)
	}
	if err := refused(t, key, []byte("PK\x03\x04 something else altogether"), "something else"); !errors.Is(err, backup.ErrNoBackup) {
		t.Error(err)
	}
	newer := bytes.Clone(file)
	newer[8] = 2
	if err := refused(t, key, newer, "newer"); !errors.Is(err, backup.ErrNewer) {
		t.Error(err)
	}
}

// Somebody without the key leaves out a row and makes the sums fit: with the key it is
// refused, and without it nobody is told that it is what was made.
func TestS16ForgedBackup(t *testing.T) {
	s := openStore(t)
	db, key := fill(t, s, 5, 10)
	file := take(t, db)
	forged := backup.Forge(t, file, func(n int, _ store.Op) bool { return n != 3 })
	if v, err := backup.Verify(t.Context(), bytes.NewReader(forged), seal.Key{}, nil); err != nil || v.Opened {
		t.Errorf("%+v, %v", v, err)
	}
	if err := refused(t, key, forged, "forged"); !errors.Is(err, backup.ErrAltered) {
		t.Error(err)
	}
}

// mortal is a store that takes so many changes, and then none.
type mortal struct {
	*badgerstore.Store
	left int
}

var errKilled = errors.New("the process ended")

func (m *mortal) Apply(ctx context.Context, ops ...store.Op) error {
	if m.left--; m.left < 0 {
		return errKilled
	}
	return m.Store.Apply(ctx, ops...)
}

// Wherever a restoration ends, what is there is refused with what to do, and it can be
// done again, with another backup too.
func TestS10RestoreInterrupted(t *testing.T) {
	db, key := fill(t, openStore(t), 120, 20_000)
	file, other := take(t, db), take(t, db)
	for n := 0; ; n++ {
		s := openStore(t)
		_, err := restore(t, &mortal{s, n}, key, file)
		if err == nil {
			if n < 5 {
				t.Errorf("%d changes make a database", n)
			}
			return
		}
		if !errors.Is(err, errKilled) {
			t.Fatal(n, err)
		}
		_, err = records.Open(t.Context(), s, key)
		switch {
		case n == 0 && errors.Is(err, records.ErrNoData):
		case err == nil && len(must[[]store.Entry](t)(s.List(t.Context(), nil, nil, 1000))) < 240:
			t.Fatalf("after %d changes an incomplete database is served", n)
		case err != nil && (!errors.Is(err, records.ErrMoved) || !strings.Contains(err.Error(), "run `caddy step-up restore` again")):
			t.Fatalf("after %d changes: %v", n, err)
		}
		if err == nil {
			continue // it was complete
		}
		if n%2 == 1 {
			file, other = other, file
		}
		if _, err := restore(t, s, key, file); err != nil {
			t.Fatalf("again after %d changes: %v", n, err)
		}
		if _, err := records.Open(t.Context(), s, key); err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
}

// failing is what a backup is written to, which takes so many bytes.
type failing struct{ left int }

func (f *failing) Write(b []byte) (int, error) {
	if f.left -= len(b); f.left < 0 {
		return 0, errors.New("no space left on device")
	}
	return len(b), nil
}

// A backup that cannot go on says why in the place of the rest, and is none.
func TestGivenUp(t *testing.T) {
	s := openStore(t)
	db, _ := fill(t, s, 300, 3000)
	x := must[*records.Snapshot](t)(db.Snapshot(t.Context()))
	if _, err := backup.Write(t.Context(), &failing{left: 100_000}, x, backup.Maker{}); err == nil || !strings.Contains(err.Error(), "no space") {
		t.Error(err)
	}
	var b bytes.Buffer
	s.Close()
	if _, err := backup.Write(t.Context(), &b, x, backup.Maker{}); err == nil {
		t.Error("of a store that is closed")
	}
	if _, err := backup.Verify(t.Context(), &b, seal.Key{}, nil); !errors.Is(err, backup.ErrGivenUp) || !strings.Contains(err.Error(), "closed") {
		t.Error(err)
	}
}
