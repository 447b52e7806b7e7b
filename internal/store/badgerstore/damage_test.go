package badgerstore

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// TestDamagedTableRefusesToOpen flips bits all over a table. An entry must not become absent by that, since an
// absent one may be what a spent code or a used-up budget looks like.
func TestDamagedTableRefusesToOpen(t *testing.T) {
	original := t.TempDir()
	s := open(t, original)
	for i := range 50 {
		if err := s.Apply(t.Context(), put(fmt.Sprintf("key-%02d", i), strings.Repeat("v", 1000))); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(original, "*.sst"))
	if err != nil || len(tables) != 1 {
		t.Fatalf("%q, %v", tables, err)
	}
	table, err := os.ReadFile(tables[0])
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for at := 1; at < len(table)*4/5; at += len(table) / 13 {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(original)); err != nil {
			t.Fatal(err)
		}
		damaged := bytes.Clone(table)
		damaged[at] ^= 0x10
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(tables[0])), damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(Options{Dir: dir})
		if err == nil {
			s.Close()
			t.Errorf("opens with byte %d of %d damaged", at, len(table))
			continue
		}
		refused++
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), dir) || strings.Contains(err.Error(), "key-") {
			t.Errorf("byte %d: %v", at, err)
		}
	}
	if refused == 0 {
		t.Error("nothing was tested")
	}
}

// TestDamagedRow changes each byte of a stored row, and puts a row under another key.
func TestDamagedRow(t *testing.T) {
	s := open(t, t.TempDir())
	for _, value := range []string{"value", strings.Repeat("v", 300<<10)} {
		if err := s.Apply(t.Context(), put("a", value)); err != nil {
			t.Fatal(err)
		}
		encoded, err := get(s.db.NewTransactionAt(s.committed.Load(), false), rowKey([]byte("a")))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeRow(rowKey([]byte("a")), encoded); err != nil {
			t.Fatal(err)
		}
		if _, err := decodeRow(rowKey([]byte("b")), encoded); !errors.Is(err, ErrDamaged) {
			t.Errorf("under another key: %v, want ErrDamaged", err)
		}
		for i := range encoded {
			damaged := bytes.Clone(encoded)
			damaged[i] ^= 1
			if _, err := decodeRow(rowKey([]byte("a")), damaged); !errors.Is(err, ErrDamaged) {
				t.Errorf("byte %d changed: %v, want ErrDamaged", i, err)
			}
			if _, err := decodeRow(rowKey([]byte("a")), encoded[:i]); !errors.Is(err, ErrDamaged) {
				t.Errorf("cut off at byte %d: %v, want ErrDamaged", i, err)
			}
		}
		// Neither read nor judged by: a damaged row is no absent one.
		if err := s.submit(t.Context(), []change{{key: rowKey([]byte("a")), encoded: encoded[:len(encoded)-1], internal: true}}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(t.Context(), []byte("a")); !errors.Is(err, ErrDamaged) || errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get: %v, want ErrDamaged", err)
		}
		if err := s.Apply(t.Context(), store.Op{Key: []byte("a"), Value: []byte("x"), If: store.If(0)}); !errors.Is(err, ErrDamaged) {
			t.Errorf("Apply: %v, want ErrDamaged", err)
		}
		if err := s.submit(t.Context(), []change{{key: rowKey([]byte("a")), internal: true}}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDamagedChunk changes a byte in a large value.
func TestDamagedChunk(t *testing.T) {
	s := open(t, t.TempDir())
	if err := s.Apply(t.Context(), put("a", strings.Repeat("v", 300<<10))); err != nil {
		t.Fatal(err)
	}
	chunk := rawKeys(t, s, "c")[1]
	part := bytes.Repeat([]byte("v"), 300<<10-chunkSize)
	part[7]++
	if err := s.submit(t.Context(), []change{{key: []byte(chunk), encoded: part, internal: true}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), []byte("a")); !errors.Is(err, ErrDamaged) {
		t.Errorf("Get: %v, want ErrDamaged", err)
	}
}

func FuzzDecodeRow(f *testing.F) {
	key := rowKey([]byte("key"))
	for _, r := range [][]byte{inlineRow([]byte("value")), inlineRow(nil), blobRow(blobID{1}, []byte("value"))} {
		finishRow(key, r, 7)
		f.Add(r)
	}
	f.Fuzz(func(t *testing.T, encoded []byte) {
		// With the checksum made right, so that what comes after it is reached.
		if len(encoded) >= headerSize {
			finishRow(key, encoded, 7)
		}
		r, err := decodeRow(key, encoded)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("%v", err)
			}
			return
		}
		if r.version != 7 || r.size > store.MaxValue || r.kind != kindInline && r.kind != kindBlob {
			t.Errorf("%+v", r)
		}
	})
}
