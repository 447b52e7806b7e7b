package storetest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/store"
)

func testReadBack(t *testing.T, s store.Store) {
	wantAbsent(t, s, "a")
	apply(t, s)
	apply(t, s, put("a", "1"), put("b", ""), del("never there"))
	wantValue(t, s, "a", "1")
	wantValue(t, s, "b", "") // empty is present
	wantAbsent(t, s, "never there")
	apply(t, s, put("a", "2"), del("b"))
	wantValue(t, s, "a", "2")
	wantAbsent(t, s, "b")
	apply(t, s, put("\x00", "low"), put("\xff\xff", "high"), put("a\x00", "beside"))
	wantValue(t, s, "\x00", "low")
	wantValue(t, s, "\xff\xff", "high")
	wantValue(t, s, "a\x00", "beside")
	wantValue(t, s, "a", "2")
}

func testPreconditions(t *testing.T, s store.Store) {
	refuse(t, s, store.ErrConflict, on(1, put("a", "x")))
	refuse(t, s, store.ErrConflict, on(1, del("a")))
	apply(t, s, on(absent, del("a"))) // absent, and stays so
	wantAbsent(t, s, "a")

	apply(t, s, on(absent, put("a", "1")))
	v1 := version(t, s, "a")
	refuse(t, s, store.ErrConflict, on(absent, put("a", "x")))
	refuse(t, s, store.ErrConflict, on(absent, del("a")))
	refuse(t, s, store.ErrConflict, on(v1+1, put("a", "x")))
	refuse(t, s, store.ErrConflict, on(^store.Version(0), del("a")))
	wantValue(t, s, "a", "1")
	if v := version(t, s, "a"); v != v1 {
		t.Errorf("a refused Apply changed the version from %d to %d", v1, v)
	}

	apply(t, s, on(v1, put("a", "2")))
	v2 := version(t, s, "a")
	refuse(t, s, store.ErrConflict, on(v1, put("a", "x")))
	refuse(t, s, store.ErrConflict, on(v1, del("a")))
	wantValue(t, s, "a", "2")

	apply(t, s, on(v2, del("a")))
	wantAbsent(t, s, "a")
	refuse(t, s, store.ErrConflict, on(v2, del("a")))
	refuse(t, s, store.ErrConflict, on(v2, put("a", "x")))
	wantAbsent(t, s, "a")
}

func testAtomicity(t *testing.T, s store.Store) {
	apply(t, s, put("a", "1"), put("b", "1"))
	a, b := version(t, s, "a"), version(t, s, "b")

	// The failing condition is the first, in the middle, the last; and on a key that is left as it is.
	refuse(t, s, store.ErrConflict, on(a+b+1, put("a", "x")), put("b", "x"), put("c", "x"))
	refuse(t, s, store.ErrConflict, put("b", "x"), on(a+b+1, put("a", "x")), put("c", "x"))
	refuse(t, s, store.ErrConflict, del("b"), put("c", "x"), on(absent, put("a", "x")))
	refuse(t, s, store.ErrConflict, put("c", "x"), on(a, put("a", "x")), on(absent, del("b")))
	refuse(t, s, store.ErrConflict, put("c", pattern(300<<10, 1)), on(absent, put("a", "x")))
	wantValue(t, s, "a", "1")
	wantValue(t, s, "b", "1")
	wantAbsent(t, s, "c")
	if version(t, s, "a") != a || version(t, s, "b") != b {
		t.Error("a refused Apply changed a version")
	}

	apply(t, s, on(a, put("a", "2")), on(b, del("b")), on(absent, put("c", "2")))
	wantValue(t, s, "a", "2")
	wantAbsent(t, s, "b")
	wantValue(t, s, "c", "2")
}

func testVersionsNeverRepeat(t *testing.T, s store.Store) {
	var last store.Version
	for i := range 50 {
		if i%3 == 2 {
			apply(t, s, del("a"))
			continue
		}
		apply(t, s, put("a", "same"))
		v := version(t, s, "a")
		if v <= last {
			t.Fatalf("version %d after %d", v, last)
		}
		if last != 0 {
			refuse(t, s, store.ErrConflict, on(last, del("a")))
		}
		last = v
	}
	// The same bytes written over themselves are another state as well.
	apply(t, s, put("a", "same"))
	refuse(t, s, store.ErrConflict, on(last, put("a", "same")))
}

func testInvalid(t *testing.T, s store.Store) {
	apply(t, s, put("a", "1"))
	refuse(t, s, store.ErrInvalid, put("", "x"))
	refuse(t, s, store.ErrInvalid, put("a", "x"), put("a", "y"))
	refuse(t, s, store.ErrInvalid, put("b", "x"), put("a", "y"), del("b"))
	var many []store.Op
	for i := range 40 {
		many = append(many, store.Op{Key: key("m%d", i), Value: []byte("x")})
	}
	many = append(many, store.Op{Key: []byte("m7")})
	refuse(t, s, store.ErrInvalid, many...)
	wantValue(t, s, "a", "1")
	wantAbsent(t, s, "b")
	wantAbsent(t, s, "m0")

	if _, err := s.Get(t.Context(), nil); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("Get of an empty key: %v, want ErrInvalid", err)
	}
	for _, limit := range []int{0, -1} {
		if _, err := s.List(t.Context(), nil, nil, limit); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("List with a limit of %d: %v, want ErrInvalid", limit, err)
		}
	}
}

func testLimits(t *testing.T, s store.Store) {
	long := strings.Repeat("k", store.MaxKey)
	big := pattern(store.MaxValue, 1)
	apply(t, s, put(long, "1"))
	wantValue(t, s, long, "1")
	apply(t, s, put("big", big))
	wantValue(t, s, "big", big)
	wantKeys(t, s, long, "", 1, long)
	wantKeys(t, s, "", long, 1)

	refuse(t, s, store.ErrTooLarge, put(long+"k", "x"))
	refuse(t, s, store.ErrTooLarge, del(long+"k"))
	refuse(t, s, store.ErrTooLarge, put("a", "x"), put("b", big+"x"))
	wantAbsent(t, s, "a")
	wantAbsent(t, s, "b")
	if _, err := s.Get(t.Context(), []byte(long+"k")); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("Get of a key over the limit: %v, want ErrTooLarge", err)
	}
	if _, err := s.List(t.Context(), []byte(long+"k"), nil, 1); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("List of a prefix over the limit: %v, want ErrTooLarge", err)
	}
	if _, err := s.List(t.Context(), nil, []byte(long+"k"), 1); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("List after a key over the limit: %v, want ErrTooLarge", err)
	}

	var ops []store.Op
	for i := range store.MaxOps {
		ops = append(ops, store.Op{Key: key("n%03d", i), Value: []byte("1")})
	}
	refuse(t, s, store.ErrTooLarge, append(ops[:len(ops):len(ops)], put("one more", "x"))...)
	wantAbsent(t, s, "n000")
	apply(t, s, ops...)
	wantValue(t, s, "n000", "1")
	wantValue(t, s, "n099", "1")
}

// testExpires holds that Expires removes nothing early, and that an entry counts as long as it is there.
func testExpires(t *testing.T, s store.Store) {
	for _, c := range []struct {
		name    string
		expires time.Time
	}{
		{"never", time.Time{}},
		{"in an hour", time.Now().Add(time.Hour)},
		{"in a year", time.Now().AddDate(1, 0, 0)},
		{"in a thousand years", time.Now().AddDate(1000, 0, 0)},
	} {
		apply(t, s, store.Op{Key: []byte(c.name), Value: []byte("1"), Expires: c.expires})
		apply(t, s, store.Op{Key: []byte(c.name + ", large"), Value: []byte(pattern(300<<10, 1)), Expires: c.expires})
		wantValue(t, s, c.name, "1")
		wantValue(t, s, c.name+", large", pattern(300<<10, 1))
		refuse(t, s, store.ErrConflict, on(absent, put(c.name, "x")))
		// An entry written again without a time never expires, and the other way round.
		apply(t, s, put(c.name, "2"))
		wantValue(t, s, c.name, "2")
	}
	// Long gone: whether the entry is there is up to the engine; no call fails.
	apply(t, s, store.Op{Key: []byte("gone"), Value: []byte("1"), Expires: time.Unix(1, 0)})
	if _, err := s.Get(t.Context(), []byte("gone")); err != nil && !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get of an expired entry: %v", err)
	}
	apply(t, s, store.Op{Key: []byte("gone"), Expires: time.Unix(1, 0)})
	wantAbsent(t, s, "gone")
}

func testAliasing(t *testing.T, s store.Store) {
	k, v, cond := []byte("key"), []byte("value"), store.If(absent)
	big := []byte(pattern(300<<10, 1))
	apply(t, s, store.Op{Key: k, Value: v, If: cond}, store.Op{Key: []byte("big"), Value: big})
	copy(k, "???")
	copy(v, "?????")
	clear(big)
	*cond = 99
	wantValue(t, s, "key", "value")
	wantValue(t, s, "big", pattern(300<<10, 1))
	wantAbsent(t, s, "???")

	for _, name := range []string{"key", "big"} {
		e, err := s.Get(t.Context(), []byte(name))
		if err != nil {
			t.Fatal(err)
		}
		clear(e.Key)
		clear(e.Value)
	}
	wantValue(t, s, "key", "value")
	wantValue(t, s, "big", pattern(300<<10, 1))

	entries, err := s.List(t.Context(), nil, nil, 10)
	if err != nil || len(entries) != 2 {
		t.Fatalf("List: %d entries, %v", len(entries), err)
	}
	for _, e := range entries {
		_ = append(e.Key, "???"...)
		_ = append(e.Value, "???"...)
		clear(e.Key)
		clear(e.Value)
	}
	wantValue(t, s, "key", "value")
	wantValue(t, s, "big", pattern(300<<10, 1))
	wantKeys(t, s, "", "", 10, "big", "key")
}

func testCancelled(t *testing.T, s store.Store) {
	apply(t, s, put("a", "1"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Get(ctx, []byte("a")); !errors.Is(err, context.Canceled) {
		t.Errorf("Get: %v, want Canceled", err)
	}
	if _, err := s.List(ctx, nil, nil, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("List: %v, want Canceled", err)
	}
	for _, op := range []store.Op{put("a", "x"), put("a", pattern(300<<10, 1)), del("a")} {
		if err := s.Apply(ctx, op); !errors.Is(err, context.Canceled) || errors.Is(err, store.ErrUnknown) {
			t.Errorf("Apply: %v, want Canceled and nothing unknown", err)
		}
	}
	wantValue(t, s, "a", "1")
	apply(t, s, put("a", "2"))
	wantValue(t, s, "a", "2")
}
