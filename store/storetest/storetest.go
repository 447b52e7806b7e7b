// Package storetest is the one suite that every engine of [store.Store] has to pass. It promises that an
// engine that passes keeps the contract as far as a test can tell: atomicity, conditions, versions that never
// repeat, races, limits, order, closing under load, and with [RunDurable] what is left after a restart.
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) store.Store {
//			s, err := engine.Open(...)
//			if err != nil {
//				t.Fatal(err)
//			}
//			return s
//		})
//	}
//
// Each test opens a store of its own, which must be empty, and closes it. The suite cannot report whether an
// acknowledged change survives a power failure: the engine's own tests have to kill it and to look at its
// system calls.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// patience is how long a test waits for what must happen at once. It only ends a test that hangs.
const patience = 30 * time.Second

// Run runs the suite. Open makes an empty store for one test.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s store.Store)
	}{
		{"ReadBack", testReadBack},
		{"Preconditions", testPreconditions},
		{"Atomicity", testAtomicity},
		{"VersionsNeverRepeat", testVersionsNeverRepeat},
		{"Invalid", testInvalid},
		{"Limits", testLimits},
		{"Expires", testExpires},
		{"Aliasing", testAliasing},
		{"ListOrder", testListOrder},
		{"ListPages", testListPages},
		{"ListPrefixes", testListPrefixes},
		{"ListLarge", testListLarge},
		{"LargeValues", testLargeValues},
		{"ManyLargeValues", testManyLargeValues},
		{"CrowdedApply", testCrowdedApply},
		{"OneWinner", testOneWinner},
		{"OneCreator", testOneCreator},
		{"OneDeleter", testOneDeleter},
		{"LostUpdates", testLostUpdates},
		{"Transfers", testTransfers},
		{"Snapshots", testSnapshots},
		{"LargeRaces", testLargeRaces},
		{"Cancelled", testCancelled},
		{"CancelledUnderLoad", testCancelledUnderLoad},
		{"Closed", testClosed},
		{"ClosingUnderLoad", testClosingUnderLoad},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Errorf("closing: %v", err)
				}
			})
			c.test(t, s)
		})
	}
}

// RunDurable runs the part of the suite that opens a database again. Open opens the one in dir, making it
// if there is none; dir is a directory of the test, and stands for whatever tells the engine's databases apart.
func RunDurable(t *testing.T, open func(t *testing.T, dir string) store.Store) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, reopen func(old store.Store) store.Store)
	}{
		{"Survives", testSurvives},
		{"VersionsGrowOn", testVersionsGrowOn},
		{"DeletedStaysDeleted", testDeletedStaysDeleted},
		{"AcknowledgedWhileClosing", testAcknowledgedWhileClosing},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			var last store.Store
			t.Cleanup(func() {
				if last != nil {
					last.Close()
				}
			})
			c.test(t, func(old store.Store) store.Store {
				if old != nil {
					if err := old.Close(); err != nil {
						t.Fatalf("closing: %v", err)
					}
				}
				last = open(t, dir)
				return last
			})
		})
	}
}

// The rest of this file are the words that the tests are written in.

func key(format string, args ...any) []byte { return fmt.Appendf(nil, format, args...) }

func put(k, v string) store.Op { return store.Op{Key: []byte(k), Value: []byte(v)} }

func del(k string) store.Op { return store.Op{Key: []byte(k)} }

// on makes op conditional on a version.
func on(v store.Version, op store.Op) store.Op {
	op.If = store.If(v)
	return op
}

const absent store.Version = 0

func apply(t *testing.T, s store.Store, ops ...store.Op) {
	t.Helper()
	if err := s.Apply(t.Context(), ops...); err != nil {
		t.Fatalf("Apply: %v", err)
	}
}

// refuse wants an Apply to fail with the given error.
func refuse(t *testing.T, s store.Store, want error, ops ...store.Op) {
	t.Helper()
	if err := s.Apply(t.Context(), ops...); !errors.Is(err, want) {
		t.Fatalf("Apply: %v, want %v", err, want)
	}
}

// version wants an entry to be there.
func version(t *testing.T, s store.Store, k string) store.Version {
	t.Helper()
	e, err := s.Get(t.Context(), []byte(k))
	if err != nil {
		t.Fatalf("Get(%q): %v", k, err)
	}
	if e.Version == absent {
		t.Fatalf("Get(%q): an entry with the version of absence", k)
	}
	return e.Version
}

func wantValue(t *testing.T, s store.Store, k, v string) {
	t.Helper()
	e, err := s.Get(t.Context(), []byte(k))
	if err != nil {
		t.Fatalf("Get(%q): %v", k, err)
	}
	if string(e.Key) != k {
		t.Errorf("Get(%q) has the key %q", k, e.Key)
	}
	if e.Value == nil {
		t.Errorf("Get(%q): nil value of a present entry", k)
	}
	if !bytes.Equal(e.Value, []byte(v)) {
		t.Errorf("Get(%q) = %s, want %s", k, shorten(string(e.Value)), shorten(v))
	}
}

func wantAbsent(t *testing.T, s store.Store, k string) {
	t.Helper()
	if e, err := s.Get(t.Context(), []byte(k)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get(%q) = %s, %v; want ErrNotFound", k, shorten(string(e.Value)), err)
	}
}

func wantKeys(t *testing.T, s store.Store, prefix, after string, limit int, want ...string) {
	t.Helper()
	entries, err := s.List(t.Context(), []byte(prefix), []byte(after), limit)
	if err != nil {
		t.Fatalf("List(%q, %q, %d): %v", prefix, after, limit, err)
	}
	got := []string{}
	for _, e := range entries {
		got = append(got, string(e.Key))
	}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("List(%q, %q, %d) = %q, want %q", prefix, after, limit, got, want)
	}
}

func shorten(s string) string {
	if len(s) <= 40 {
		return fmt.Sprintf("%q", s)
	}
	return fmt.Sprintf("%q… (%d bytes)", s[:40], len(s))
}

// pattern is a value of a size that does not compress, does not repeat, and differs from those of other seeds
// everywhere.
func pattern(size int, seed uint64) string {
	b := make([]byte, size)
	x := seed*0x9e3779b97f4a7c15 + 1
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x >> 32)
	}
	return string(b)
}

// within runs f, and fails the test if it hangs.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("%s hangs", what)
	}
}

var background = context.Background()
