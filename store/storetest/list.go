package storetest

import (
	"slices"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/store"
)

func testListOrder(t *testing.T, s store.Store) {
	wantKeys(t, s, "", "", 10)
	keys := []string{"b", "a\x00", "a", "\xff", "a\xff", "aa", "\x00", "A", "a\x00\x00", "\xff\xff", "ä"}
	for _, k := range keys {
		apply(t, s, put(k, "value of "+k))
	}
	slices.Sort(keys) // Go compares strings as unsigned bytes
	wantKeys(t, s, "", "", 100, keys...)
	for i, k := range keys {
		wantKeys(t, s, "", k, 100, keys[i+1:]...)
	}
	entries, err := s.List(t.Context(), nil, nil, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if string(e.Value) != "value of "+string(e.Key) {
			t.Errorf("List has %q under %q", e.Value, e.Key)
		}
		if v := version(t, s, string(e.Key)); e.Version != v {
			t.Errorf("List has version %d of %q, Get %d", e.Version, e.Key, v)
		}
	}
}

func testListPages(t *testing.T, s store.Store) {
	var ops []store.Op
	var all []string
	for i := range 100 {
		k := string(key("p/%03d", i))
		all = append(all, k)
		ops = append(ops, put(k, "1"))
	}
	apply(t, s, ops...)
	apply(t, s, put("o/~", "1"), put("p", "1"), put("p0", "1"), put("q/000", "1"))
	for _, size := range []int{1, 7, 50, 99, 100, 101, 1 << 30} {
		var got []string
		var after []byte
		for {
			page, err := s.List(t.Context(), []byte("p/"), after, size)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) > size {
				t.Fatalf("%d entries for a limit of %d", len(page), size)
			}
			for _, e := range page {
				got = append(got, string(e.Key))
			}
			if len(page) < size {
				break
			}
			after = page[len(page)-1].Key
		}
		if !slices.Equal(got, all) {
			t.Errorf("pages of %d: %d entries, want %d", size, len(got), len(all))
		}
	}
	// Paging goes on where a key has been deleted meanwhile.
	apply(t, s, del("p/010"), del("p/011"))
	wantKeys(t, s, "p/", "p/010", 1, "p/012")
	wantKeys(t, s, "p/", "p/009", 1, "p/012")
}

func testListPrefixes(t *testing.T, s store.Store) {
	for _, k := range []string{"a", "a\xfe", "a\xff", "a\xff\x00", "a\xff\xff", "b", "\xff", "\xff\xff", "\xff\xffx"} {
		apply(t, s, put(k, "1"))
	}
	wantKeys(t, s, "a", "", 9, "a", "a\xfe", "a\xff", "a\xff\x00", "a\xff\xff")
	wantKeys(t, s, "a\xff", "", 9, "a\xff", "a\xff\x00", "a\xff\xff") // the upper bound of which is "b"
	wantKeys(t, s, "a\xff", "a\xff", 9, "a\xff\x00", "a\xff\xff")     // strictly after
	wantKeys(t, s, "a\xff", "a\xff\x00", 9, "a\xff\xff")
	wantKeys(t, s, "\xff", "", 9, "\xff", "\xff\xff", "\xff\xffx") // has no upper bound
	wantKeys(t, s, "\xff\xff", "", 9, "\xff\xff", "\xff\xffx")
	wantKeys(t, s, "\xff\xff\xff", "", 9)
	wantKeys(t, s, "c", "", 9)

	wantKeys(t, s, "b", "a", 9, "b") // after lies before the prefix
	wantKeys(t, s, "b", "a\xff", 9, "b")
	wantKeys(t, s, "a", "b", 9) // and behind it
	wantKeys(t, s, "a", "\xff\xff\xff", 9)
	wantKeys(t, s, "a\xff", "a", 9, "a\xff", "a\xff\x00", "a\xff\xff") // and is a prefix of it
	wantKeys(t, s, "", "\xff\xffx", 9)
	wantKeys(t, s, "", strings.Repeat("\xff", store.MaxKey), 9)
}

func testListLarge(t *testing.T, s store.Store) {
	big := pattern(600<<10, 1)
	apply(t, s, put("l/1", "small"), put("l/2", big), put("l/3", "small"), put("l/4", big+"!"))
	wantKeys(t, s, "l/", "", 9, "l/1", "l/2", "l/3", "l/4") // and nothing of what large values are made of
	wantKeys(t, s, "", "", 9, "l/1", "l/2", "l/3", "l/4")
	entries, err := s.List(t.Context(), []byte("l/"), []byte("l/1"), 9)
	if err != nil || len(entries) != 3 {
		t.Fatalf("List: %d entries, %v", len(entries), err)
	}
	if string(entries[0].Value) != big || string(entries[1].Value) != "small" || string(entries[2].Value) != big+"!" {
		t.Error("List mixes up values")
	}
}

func testLargeValues(t *testing.T, s store.Store) {
	for i, size := range []int{1, 63 << 10, 64<<10 - 1, 64 << 10, 64<<10 + 1, 255 << 10, 256 << 10, 256<<10 + 1, 300 << 10, 1 << 20, 1<<20 + 1, store.MaxValue} {
		k := string(key("size %d", size))
		v := pattern(size, uint64(i))
		apply(t, s, on(absent, put(k, v)))
		wantValue(t, s, k, v)
		first := version(t, s, k)
		// Replaced by another large one, a small one and a large one again, deleted, made again.
		apply(t, s, on(first, put(k, pattern(size, 77))))
		wantValue(t, s, k, pattern(size, 77))
		refuse(t, s, store.ErrConflict, on(first, put(k, v)))
		wantValue(t, s, k, pattern(size, 77))
		apply(t, s, put(k, "small"))
		wantValue(t, s, k, "small")
		apply(t, s, put(k, v))
		wantValue(t, s, k, v)
		refuse(t, s, store.ErrConflict, on(first, del(k)))
		apply(t, s, on(version(t, s, k), del(k)))
		wantAbsent(t, s, k)
		refuse(t, s, store.ErrConflict, on(first, put(k, v)))
		wantAbsent(t, s, k)
	}
	wantKeys(t, s, "", "", 9)
}

func testManyLargeValues(t *testing.T, s store.Store) {
	var ops []store.Op
	for i := range 8 {
		ops = append(ops, put(string(key("%d", i)), pattern(1<<20+i, uint64(i))))
	}
	apply(t, s, ops...)
	for i := range 8 {
		wantValue(t, s, string(key("%d", i)), pattern(1<<20+i, uint64(i)))
	}
	for i := range ops {
		ops[i].Value = nil
	}
	apply(t, s, ops...)
	wantKeys(t, s, "", "", 9)
}

// testCrowdedApply applies as many ops as are allowed, with the longest keys, and values each of which is
// small but whose sum is not.
func testCrowdedApply(t *testing.T, s store.Store) {
	name := func(i int) string { return strings.Repeat("k", store.MaxKey-3) + string(key("%03d", i)) }
	for _, size := range []int{1 << 10, 4 << 10, 40 << 10} {
		var ops []store.Op
		for i := range store.MaxOps {
			ops = append(ops, put(name(i), pattern(size, uint64(i))))
		}
		apply(t, s, ops...)
		for _, i := range []int{0, 50, store.MaxOps - 1} {
			wantValue(t, s, name(i), pattern(size, uint64(i)))
		}
	}
	var ops []store.Op
	for i := range store.MaxOps {
		ops = append(ops, on(version(t, s, name(i)), del(name(i))))
	}
	apply(t, s, ops...)
	wantKeys(t, s, "", "", 9)
}
