package records_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// A gateway that lost its database and has it back refuses if it was moved
// meanwhile, and goes on once it was given back.
func TestMovedMeanwhile(t *testing.T) {
	s := openStore(t, t.TempDir())
	e := newFenced(s, store.Fence{})
	db, key := createIn(t, e)
	h := db.Holder(subject("alice"))
	id, _ := putOnce(t, db, h)
	side := must[*records.Side](t)(records.OpenSide(t.Context(), s, key))
	if err := side.Mark(t.Context(), records.Move{ID: "1", Stage: records.Moving, Other: "elsewhere", At: noon}); err != nil {
		t.Fatal(err)
	}
	e.comesBack(store.Fence{})
	for name, err := range map[string]error{
		"a cached grant": func() error { _, err := db.Grant(t.Context(), &h, &id, noon); return err }(),
		"a reading":      func() error { _, err := db.Accounts.Get(t.Context(), h, nil); return err }(),
		"a listing":      func() error { _, err := db.Accounts.List(t.Context(), h, nil, 1); return err }(),
		"a change":       db.Apply(t.Context(), db.Devices.DropID(h, []byte("0123456789abcdef"))),
		"a start":        func() error { _, err := records.Open(t.Context(), s, key); return err }(),
		"a ping":         db.Ping(t.Context()),
	} {
		if !errors.Is(err, records.ErrMoved) || !strings.Contains(err.Error(), "being moved to elsewhere since 2027-01-15 12:00:00 UTC") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := db.Devices.Get(t.Context(), h, []byte("0123456789abcdef")); !errors.Is(err, records.ErrMoved) {
		t.Error(err)
	}
	if err := side.GiveBack(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Devices.Get(t.Context(), h, []byte("0123456789abcdef")); err != nil {
		t.Errorf("given back: %v", err)
	}
	if left := onceLeft(t, db, h, id); len(left) != len(onceTables) {
		t.Errorf("given back, of what can be used once there is %q", left)
	}
}

// The mark is in what is sealed: who can write to the database, and has no key, cannot
// take it away by other means than an older copy.
func TestMarkIsSealed(t *testing.T) {
	_, s, key := create(t)
	side := must[*records.Side](t)(records.OpenSide(t.Context(), s, key))
	if err := side.Mark(t.Context(), records.Move{ID: "1", Stage: records.Moved, Other: "elsewhere", At: noon}); err != nil {
		t.Fatal(err)
	}
	e := must[store.Entry](t)(s.Get(t.Context(), []byte("meta")))
	if text := string(e.Value); strings.Contains(text, "elsewhere") || !strings.Contains(text, `"writer":2`) {
		t.Error(text)
	}
	forged := strings.Replace(string(e.Value), `"writer":2`, `"writer":1`, 1)
	if err := s.Apply(t.Context(), store.Op{Key: e.Key, Value: []byte(forged)}); err != nil {
		t.Fatal(err)
	}
	if _, err := records.Open(t.Context(), s, key); !errors.Is(err, records.ErrMoved) {
		t.Error(err)
	}
}
