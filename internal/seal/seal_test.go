package seal

import (
	"bytes"
	"errors"
	"sync"
	"testing"
)

func ring(t testing.TB, primary Key, older ...Key) *Ring {
	t.Helper()
	r, err := NewRing(primary, older...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSealOpens(t *testing.T) {
	r := ring(t, GenerateKey())
	for _, size := range []int{0, 1, 15, 16, 17, 1000, 1 << 20} {
		for _, aad := range [][]byte{nil, {}, []byte("record/1")} {
			plaintext := bytes.Repeat([]byte{0xa5}, size)
			envelope := r.Seal(plaintext, aad)
			if len(envelope) != size+Overhead {
				t.Errorf("envelope of %d bytes for %d, want %d more", len(envelope), size, Overhead)
			}
			if size > 8 && bytes.Contains(envelope, plaintext[:8]) {
				t.Error("the plaintext shows through")
			}
			got, err := r.Open(envelope, aad)
			if err != nil || !bytes.Equal(got, plaintext) {
				t.Errorf("%d bytes: %v", size, err)
			}
		}
	}
}

// TestSealNeverRepeats holds that equal records cannot be told by their envelopes.
func TestSealNeverRepeats(t *testing.T) {
	r := ring(t, GenerateKey())
	seen := make(map[string]bool)
	for range 1000 {
		e := string(r.Seal([]byte("same"), []byte("same")))
		nonce := e[headerSize : headerSize+nonceSize]
		if seen[nonce] || seen[e] {
			t.Fatal("a nonce came twice")
		}
		seen[nonce], seen[e] = true, true
	}
}

// TestS16SwappedRowsAreRefused has an attacker with the database, but without the key, move envelopes between
// records.
func TestS16SwappedRowsAreRefused(t *testing.T) {
	r := ring(t, GenerateKey())
	rows := []string{"", "t/1/u/alice", "t/1/u/alice/", "t/1/u/alicf", "t/1/u/bob", "t/2/u/alice"}
	for _, from := range rows {
		envelope := r.Seal([]byte("secret of "+from), []byte(from))
		for _, to := range rows {
			got, err := r.Open(envelope, []byte(to))
			if from == to {
				if err != nil || string(got) != "secret of "+from {
					t.Errorf("in its place: %q, %v", got, err)
				}
			} else if !errors.Is(err, ErrOpen) || got != nil {
				t.Errorf("moved from %q to %q: %q, %v; want ErrOpen", from, to, got, err)
			}
		}
	}
}

// TestS16AnyChangedBitIsRefused flips every bit of an envelope.
func TestS16AnyChangedBitIsRefused(t *testing.T) {
	k := GenerateKey()
	r := ring(t, k.Successor(), k)
	envelope := r.Seal([]byte("sixteen bytes or more"), []byte("aad"))
	for i := range envelope {
		for bit := range 8 {
			changed := bytes.Clone(envelope)
			changed[i] ^= 1 << bit
			if got, err := r.Open(changed, []byte("aad")); err == nil || got != nil {
				t.Fatalf("opens with bit %d of byte %d changed", bit, i)
			} else if want := i >= 1 && i < headerSize; want != errors.Is(err, ErrUnknownKey) || want == errors.Is(err, ErrOpen) {
				t.Errorf("byte %d: %v", i, err)
			}
		}
	}
	if _, err := r.Open(envelope, []byte("aad")); err != nil {
		t.Errorf("unchanged: %v", err)
	}
}

func TestTruncatedAndExtended(t *testing.T) {
	r := ring(t, GenerateKey())
	envelope := r.Seal([]byte("plaintext"), nil)
	for n := range envelope {
		if got, err := r.Open(envelope[:n], nil); !errors.Is(err, ErrOpen) || got != nil {
			t.Errorf("first %d bytes: %v, want ErrOpen", n, err)
		}
		if got, err := r.Open(envelope[n+1:], nil); err == nil || got != nil {
			t.Errorf("without the first %d bytes: opens", n+1)
		}
	}
	if _, err := r.Open(append(bytes.Clone(envelope), 0), nil); !errors.Is(err, ErrOpen) {
		t.Errorf("with a byte more: %v, want ErrOpen", err)
	}
	if _, err := r.Open(nil, nil); !errors.Is(err, ErrOpen) {
		t.Errorf("nothing: %v, want ErrOpen", err)
	}
}

// TestForeignKey holds that another database's ring, and one with only the key id right, open nothing.
func TestForeignKey(t *testing.T) {
	k := GenerateKey()
	envelope := ring(t, k).Seal([]byte("x"), nil)
	if _, err := ring(t, GenerateKey()).Open(envelope, nil); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("%v, want ErrUnknownKey", err)
	}
	other := k.Successor()
	other.m().id = k.ID()
	if _, err := ring(t, other).Open(envelope, nil); !errors.Is(err, ErrOpen) {
		t.Errorf("with a colliding id: %v, want ErrOpen", err)
	}
	// The same secret in another database is another key.
	moved := newKey(k.m().secret, GenerateKey().StoreID())
	moved.m().id = k.ID()
	if _, err := ring(t, moved).Open(envelope, nil); !errors.Is(err, ErrOpen) {
		t.Errorf("with another store id: %v, want ErrOpen", err)
	}
}

func TestRotation(t *testing.T) {
	first := GenerateKey()
	second := first.Successor()
	third := second.Successor()
	if first.StoreID() != third.StoreID() {
		t.Fatal("a successor belongs to another database")
	}
	old := ring(t, first).Seal([]byte("old"), nil)
	r := ring(t, third, second, first)
	if got, err := r.Open(old, nil); err != nil || string(got) != "old" {
		t.Errorf("envelope of an older key: %q, %v", got, err)
	}
	if r.IsCurrent(old) {
		t.Error("envelope of an older key is current")
	}
	fresh := r.Seal([]byte("new"), nil)
	if !r.IsCurrent(fresh) || r.IsCurrent(fresh[:Overhead-1]) || r.IsCurrent(nil) {
		t.Error("IsCurrent errs")
	}
	if got, err := ring(t, third).Open(fresh, nil); err != nil || string(got) != "new" {
		t.Errorf("new envelope with the primary alone: %q, %v", got, err)
	}
	if _, err := ring(t, third, second).Open(old, nil); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("envelope of a retired key: %v, want ErrUnknownKey", err)
	}
	if r.PrimaryID() != third.ID() || r.StoreID() != first.StoreID() {
		t.Error("the ring names other keys than it was given")
	}
}

func TestRingRefuses(t *testing.T) {
	k := GenerateKey()
	for name, keys := range map[string][]Key{
		"no key":             {{}},
		"an empty older key": {k, {}},
		"the same twice":     {k, k},
		"one read twice":     {k, newKey(k.m().secret, k.m().store)},
		"another database":   {k, GenerateKey()},
		"same secret, other": {k, newKey(k.m().secret, GenerateKey().StoreID())},
	} {
		if r, err := NewRing(keys[0], keys[1:]...); !errors.Is(err, ErrRing) || r != nil {
			t.Errorf("%s: %v, want ErrRing", name, err)
		}
	}
}

func TestRingConcurrently(t *testing.T) {
	k := GenerateKey()
	r := ring(t, k.Successor(), k)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 200 {
				plaintext := bytes.Repeat([]byte{byte(i)}, 100)
				if got, err := r.Open(r.Seal(plaintext, plaintext[:i]), plaintext[:i]); err != nil || !bytes.Equal(got, plaintext) {
					t.Errorf("%v", err)
				}
			}
		})
	}
	wg.Wait()
}

// TestStoredFormIsStable opens an envelope as an earlier release wrote it. If it fails, so do all databases.
func TestStoredFormIsStable(t *testing.T) {
	k, err := ParseKey(fixedKey)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ring(t, k).Open(fixedEnvelope, []byte("record"))
	if err != nil || string(got) != "plaintext" {
		t.Errorf("%q, %v", got, err)
	}
}

func FuzzOpen(f *testing.F) {
	k := GenerateKey()
	r := ring(f, k)
	good := r.Seal([]byte("plaintext"), []byte("aad"))
	f.Add(good, []byte("aad"))
	f.Add(good[:Overhead], []byte{})
	f.Add([]byte{envelopeVersion}, []byte(nil))
	f.Fuzz(func(t *testing.T, envelope, aad []byte) {
		before := bytes.Clone(envelope)
		got, err := r.Open(envelope, aad)
		if !bytes.Equal(envelope, before) {
			t.Error("Open changed the envelope")
		}
		genuine := bytes.Equal(envelope, good) && string(aad) == "aad"
		if genuine != (err == nil) || genuine != (got != nil) {
			t.Errorf("genuine: %t, opened: %t, %v", genuine, got != nil, err)
		}
		if err != nil && !errors.Is(err, ErrOpen) && !errors.Is(err, ErrUnknownKey) {
			t.Errorf("unknown error %v", err)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	r := ring(b, GenerateKey())
	plaintext, aad := make([]byte, 200), make([]byte, 40)
	b.ReportAllocs()
	for b.Loop() {
		r.Seal(plaintext, aad)
	}
}

func BenchmarkOpen(b *testing.B) {
	r := ring(b, GenerateKey())
	aad := make([]byte, 40)
	envelope := r.Seal(make([]byte, 200), aad)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Open(envelope, aad); err != nil {
			b.Fatal(err)
		}
	}
}

// What is sealed where it lies is the same envelope, in the same memory.
func TestInPlace(t *testing.T) {
	ring, err := NewRing(GenerateKey())
	if err != nil {
		t.Fatal(err)
	}
	for _, spare := range []int{0, Overhead - Front} {
		buf := make([]byte, Front, Front+9+spare)
		buf = append(buf, "plaintext"...)
		envelope := ring.SealInPlace(buf, []byte("row"))
		if same := &envelope[0] == &buf[0]; same != (spare > 0) {
			t.Error("the envelope is in the same memory:", same)
		}
		if got, err := ring.Open(envelope, []byte("row")); err != nil || string(got) != "plaintext" {
			t.Fatal(got, err)
		}
		if _, err := ring.OpenInPlace(bytes.Clone(envelope), []byte("other")); !errors.Is(err, ErrOpen) {
			t.Error(err)
		}
		got, err := ring.OpenInPlace(envelope, []byte("row"))
		if err != nil || string(got) != "plaintext" || &got[0] != &envelope[Front] {
			t.Error(got, err)
		}
	}
	if _, err := ring.OpenInPlace(nil, nil); !errors.Is(err, ErrOpen) {
		t.Error(err)
	}
}
