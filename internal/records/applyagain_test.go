package records

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepup-gateway/caddy-stepup/internal/seal"
	"github.com/stepup-gateway/caddy-stepup/store"
	"github.com/stepup-gateway/caddy-stepup/totp"
)

// What was taken away, and is there again since the database lost it, is taken away
// from what it is now; what was added since stays.
func TestAtLeast(t *testing.T) {
	early, at, late := time.Unix(1e9, 0), time.Unix(2e9, 0), time.Unix(3e9, 0)
	app := func(id string, last totp.Step, added time.Time) Authenticator {
		return Authenticator{ID: id, CreatedAt: added, TOTP: &TOTP{Last: last}}
	}
	enrolled := func(set uint64, all ...Authenticator) Account {
		return Account{User: "u", State: StateEnrolled, Set: set, Authenticators: all}
	}
	codes := func(a Account, given, used time.Time) Account {
		a.CodesGivenAt, a.RecoveryCodes = given, []RecoveryCode{{Hash: []byte(given.String()), UsedAt: used}}
		return a
	}
	suspended := app("a", 5, early)
	suspended.SuspendedAt = at
	reset := Account{User: "u", State: StateReset, Set: 4}
	for _, c := range []struct {
		name              string
		now, before, want Account
	}{
		{"as it was", enrolled(1, app("a", 5, early)), enrolled(1, app("a", 5, early)), enrolled(1, app("a", 5, early))},
		{"a reset", enrolled(3, app("a", 5, early)), reset, Account{User: "u", State: StateReset, Set: 5}},
		{"reset twice", reset, Account{User: "u", State: StateReset, Set: 9}, reset},
		{"reset since", reset, enrolled(1, app("a", 5, early)), reset},
		{"one removed", enrolled(1, app("a", 5, early), app("b", 5, early)), enrolled(2, app("b", 5, early)), enrolled(3, app("b", 5, early))},
		{"one removed, one added since", enrolled(2, app("a", 5, early), app("c", 5, late)), enrolled(2, app("b", 5, early)), enrolled(3, app("c", 5, late))},
		{"the last removed", enrolled(1, app("a", 5, early)), enrolled(2, app("b", 5, early)), Account{User: "u", State: StateReset, Set: 3}},
		{"a step used", enrolled(1, app("a", 5, early)), enrolled(1, app("a", 7, early)), enrolled(1, app("a", 7, early))},
		{"a later step used since", enrolled(1, app("a", 9, early)), enrolled(1, app("a", 7, early)), enrolled(1, app("a", 9, early))},
		{"suspended", enrolled(1, app("a", 5, early)), enrolled(1, suspended), enrolled(1, suspended)},
		{"approved since, and suspended before", enrolled(1, suspended), enrolled(1, app("a", 5, early)), enrolled(1, suspended)},
		{"a code used", codes(enrolled(1), early, time.Time{}), codes(enrolled(1), early, at), codes(enrolled(1), early, at)},
		{"codes renewed", codes(enrolled(1), early, time.Time{}), codes(enrolled(1), late, time.Time{}), codes(enrolled(1), late, time.Time{})},
		{"codes renewed since", codes(enrolled(1), late, time.Time{}), codes(enrolled(1), early, at), codes(enrolled(1), late, time.Time{})},
	} {
		got := c.now
		got.atLeast(&c.before, at)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
		if got.atLeast(&c.before, at) {
			t.Errorf("%s: changes the second time too", c.name)
		}
	}
	now := Attempts{Wrong: map[string]int{"totp": 3, "sms": 1}, NotBefore: early}
	if !now.atLeast(&Attempts{Wrong: map[string]int{"totp": 2, "sms": 4}, NotBefore: at}) || now.Wrong["totp"] != 3 || now.Wrong["sms"] != 4 || !now.NotBefore.Equal(at) {
		t.Errorf("%+v", now)
	}
	if now.atLeast(&Attempts{Wrong: map[string]int{"totp": 2}}) {
		t.Error("counts that are as high changed")
	}
}

// Whether a change was lost is told by the version that it was made on.
func TestLost(t *testing.T) {
	ring, err := seal.NewRing(seal.GenerateKey())
	if err != nil {
		t.Fatal(err)
	}
	const generation = 3
	db := newDB(&DB{core: newCore(nil, ring, [32]byte{1}, fenceState{}), in: &fenceState{Engine: generation}})
	value := func(wrong int) []byte {
		op, err := db.Attempts.set([]byte("a/x"), Attempts{Wrong: map[string]int{"totp": wrong}}, nil, 0, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		return op.Value
	}
	in := func(generation uint64, n store.Version) store.Version {
		return store.Version(generation<<store.VersionBits) + n
	}
	mine, lower, higher := value(3), value(2), value(4)
	for _, c := range []struct {
		name    string
		value   []byte
		base    store.Version
		exact   bool
		entry   []byte
		version store.Version
		want    string
	}{
		{"there", mine, in(2, 4), true, mine, in(2, 5), "none"},
		{"lost", mine, in(2, 4), true, lower, in(2, 4), "put back"},
		{"lost with what it was made on", mine, in(2, 4), true, lower, in(2, 1), "put back"},
		{"lost altogether", mine, in(2, 4), true, nil, 0, "put back"},
		{"lost, and it was the first", mine, 0, true, nil, 0, "put back"},
		{"changed since by somebody", mine, in(2, 4), true, lower, in(2, 6), "none"},
		{"lost, and changed in this generation", mine, in(2, 4), true, lower, in(3, 1), "merged"},
		{"lost, and higher in this generation", mine, in(2, 4), true, higher, in(3, 1), "none"},
		{"unconditional, changed in this generation", mine, 0, false, lower, in(3, 1), "merged"},
		{"removed, and there again", nil, 0, false, lower, in(2, 4), "removed"},
		{"removed", nil, 0, false, nil, 0, "none"},
	} {
		e := store.Entry{Key: []byte("a/x"), Value: c.entry, Version: c.version}
		op, err := db.lost(change{key: []byte("a/x"), value: c.value, base: c.base, exact: c.exact}, e)
		if err != nil {
			t.Fatal(c.name, err)
		}
		got := "merged"
		switch {
		case op.Key == nil:
			got = "none"
		case op.Value == nil:
			got = "removed"
		case string(op.Value) == string(mine):
			got = "put back"
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if op.Key != nil && (op.If == nil || *op.If != c.version) {
			t.Errorf("%s: unconditional", c.name)
		}
	}
}

// What is kept is bounded, by age and by number, and the oldest goes first.
func TestAcknowledgedIsBounded(t *testing.T) {
	var a acknowledged
	put := func(n int) {
		a.note([]store.Op{{Key: []byte{'s', '/', byte(n), byte(n >> 8), byte(n >> 16)}, Value: []byte("v")}})
	}
	for n := range 3 * maxAcknowledged {
		put(n)
	}
	all, dropped := a.since(1)
	if len(all) > maxAcknowledged || len(all) < maxAcknowledged/2 || len(all)+dropped != 3*maxAcknowledged {
		t.Errorf("%d kept, %d dropped", len(all), dropped)
	}
	if last := all[len(all)-1].key; last[2] != byte((3*maxAcknowledged-1)&0xff) {
		t.Errorf("the last is not kept")
	}
	a.mu.Lock()
	for key, c := range a.last {
		c.at = c.at.Add(-2 * acknowledgedFor)
		a.last[key] = c
	}
	a.tidied = time.Time{}
	a.mu.Unlock()
	put(1)
	if all, _ := a.since(1); len(all) != 1 {
		t.Errorf("%d kept of what is old", len(all)-1)
	}
	a.applied(1)
	if all, _ := a.since(1); len(all) != 0 {
		t.Error("it would be applied to one generation twice")
	}
	if all, _ := a.since(2); len(all) != 1 {
		t.Error("it would not be applied to the next generation")
	}
	a.note([]store.Op{{Key: []byte("g/x"), Value: []byte("v")}, {Key: []byte("a/x")}, {Key: []byte("k/x"), Value: []byte("v")}})
	if all, _ := a.since(2); len(all) != 1 {
		t.Error("what ends with its generation is kept")
	}
}
