package storetest

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// RunMovable runs the part of the suite for engines whose entries can be taken to
// another one. Open makes an empty store for one test.
func RunMovable(t *testing.T, open func(t *testing.T) store.Store) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s store.Movable)
	}{
		{"Dump", testDump},
		{"DumpBounded", testDumpBounded},
		{"DumpExpires", testDumpExpires},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Errorf("closing: %v", err)
				}
			})
			c.test(t, s.(store.Movable))
		})
	}
}

// dumpAll reads everything in pages, and calls page with each.
func dumpAll(t *testing.T, s dumper, limit int, page func([]store.Op)) {
	t.Helper()
	for after := []byte(nil); ; {
		ops, err := s.Dump(t.Context(), after, limit)
		if err != nil {
			t.Fatalf("Dump: %v", err)
		}
		if len(ops) > limit {
			t.Fatalf("Dump gave %d entries, asked for %d", len(ops), limit)
		}
		if len(ops) == 0 {
			return
		}
		for _, op := range ops {
			if op.If != nil || op.Value == nil || bytes.Compare(op.Key, after) <= 0 {
				t.Fatalf("Dump gave %q after %q: condition %v, value %v", op.Key, after, op.If, op.Value != nil)
			}
			after = op.Key
		}
		page(ops)
	}
}

func testDump(t *testing.T, s store.Movable) {
	dumpAll(t, s, 10, func([]store.Op) { t.Error("an empty store has something to dump") })
	want := map[string]string{"\x00": "first", "\xff\xff": "last", "empty": "", "large": pattern(store.MaxValue, 1), "piece": pattern(1<<20+1, 2)}
	for i := range 700 {
		want[fmt.Sprintf("many/%04d", i)] = pattern(i, uint64(i))
	}
	for k, v := range want {
		apply(t, s, put(k, v))
	}
	apply(t, s, put("gone", "x"))
	apply(t, s, del("gone"))
	for _, limit := range []int{1, 100, 1000} {
		found := map[string]string{}
		dumpAll(t, s, limit, func(ops []store.Op) {
			for _, op := range ops {
				found[string(op.Key)] = string(op.Value)
				if !op.Expires.IsZero() {
					t.Errorf("%q expires", op.Key)
				}
			}
		})
		if len(found) != len(want) {
			t.Errorf("in pages of %d: %d entries, want %d", limit, len(found), len(want))
		}
		for k, v := range want {
			if got, ok := found[k]; !ok || got != v {
				t.Errorf("in pages of %d: %q is %q, want %q", limit, k, shorten(got), shorten(v))
			}
		}
	}
}

// testDumpBounded holds that a page has no more than its bytes, and one entry over.
func testDumpBounded(t *testing.T, s store.Movable) {
	const size = 900 << 10
	for i := range 20 {
		apply(t, s, put(fmt.Sprintf("%02d", i), pattern(size, uint64(i))))
	}
	pages, n := 0, 0
	dumpAll(t, s, 100, func(ops []store.Op) {
		bytes := 0
		for _, op := range ops {
			bytes += len(op.Value)
		}
		if bytes > store.MaxValue+size {
			t.Errorf("a page of %d bytes", bytes)
		}
		pages++
		n += len(ops)
	})
	if n != 20 || pages < 4 {
		t.Errorf("%d entries in %d pages", n, pages)
	}
}

func testDumpExpires(t *testing.T, s store.Movable) {
	now := time.Now()
	want := map[string]time.Time{"never": {}, "in a thousand years": now.AddDate(1000, 0, 0)}
	for _, in := range []time.Duration{time.Minute, time.Hour, 36 * time.Hour, 90 * 24 * time.Hour} {
		want["in "+in.String()] = now.Add(in)
	}
	for k, expires := range want {
		apply(t, s, store.Op{Key: []byte(k), Value: []byte("1"), Expires: expires})
	}
	dumpAll(t, s, 100, func(ops []store.Op) {
		for _, op := range ops {
			given := want[string(op.Key)]
			switch {
			case op.Expires.IsZero():
				if !given.IsZero() && given.Before(now.AddDate(2, 0, 0)) {
					t.Errorf("%s never expires, want %v", op.Key, given)
				}
			case given.IsZero() || op.Expires.Before(given):
				t.Errorf("%s expires at %v, want %v", op.Key, op.Expires, given)
			case op.Expires.After(given.Add(48 * time.Hour)):
				t.Errorf("%s expires at %v, long after %v", op.Key, op.Expires, given)
			}
		}
	})
}
