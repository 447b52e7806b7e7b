package mark

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestMark(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "mark")
	if _, found, err := Read(path); found || err != nil {
		t.Fatalf("no file: %v, %v", found, err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, found, err := Read(path); found || err != nil {
		t.Fatalf("an empty file: %v, %v", found, err)
	}
	at := time.Unix(1_800_000_000, 5)
	for sequence := range uint64(5) {
		m := Mark{Database: [16]byte{7}, Sequence: 10 + sequence, Time: at, Previous: Start{1}, Start: Start{byte(sequence)}}
		if err := f.Write(m); err != nil {
			t.Fatal(err)
		}
		if got, found, err := Read(path); !found || err != nil || got != m {
			t.Fatalf("%+v, %v, %v, want %+v", got, found, err, m)
		}
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	f.Close()
	// Opened again, the later writes still count.
	if f, err = Open(path); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Write(Mark{Sequence: 3, Time: at}); err != nil {
		t.Fatal(err)
	}
	if got, _, _ := Read(path); got.Sequence != 3 {
		t.Errorf("after opening again: %+v", got)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range slotSize {
		damaged := bytes.Clone(whole)
		damaged[i] ^= 1
		damaged[slotOffset+i] ^= 1
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, found, err := Read(path); found || err != nil {
			t.Fatalf("byte %d of both slots damaged: %+v, %v", i, got, err)
		}
		damaged = bytes.Clone(whole)
		damaged[slotOffset+i] ^= 1 // where the older one is
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, found, _ := Read(path); !found || got.Sequence != 3 && got.Sequence != 14 {
			t.Fatalf("byte %d of one slot damaged: %+v, %v", i, got, found)
		}
	}
}
