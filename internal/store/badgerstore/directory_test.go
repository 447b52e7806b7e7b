package badgerstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDirectoryIsPrivate(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(t *testing.T, dir string) error
	}{
		{"missing", func(*testing.T, string) error { return nil }},
		{"missing with its parent", func(*testing.T, string) error { return nil }},
		{"wide open", func(_ *testing.T, dir string) error {
			return errors.Join(os.MkdirAll(dir, 0o700), os.Chmod(dir, 0o777))
		}},
		{"readable", func(_ *testing.T, dir string) error {
			return errors.Join(os.MkdirAll(dir, 0o700), os.Chmod(dir, 0o755))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "a", "b")
			if err := c.make(t, dir); err != nil {
				t.Fatal(err)
			}
			open(t, dir)
			info, err := os.Stat(dir)
			if err != nil {
				t.Fatal(err)
			}
			if perm := info.Mode().Perm(); perm != 0o700 {
				t.Errorf("mode %04o, want 0700", perm)
			}
		})
	}
}

func TestOpenTwice(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	_, err := Open(Options{Dir: dir})
	if !errors.Is(err, ErrLocked) {
		t.Fatalf("%v, want ErrLocked", err)
	}
	for _, word := range []string{dir, "another process", "stop the other"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir) // free again
}

func TestOpenErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"", file, filepath.Join(file, "below")} {
		if s, err := Open(Options{Dir: dir}); err == nil {
			t.Errorf("Open(%q) succeeds", dir)
			s.Close()
		}
	}
}

// TestDirectoryIsSynced holds that a new name in the directory is noticed, and that no name means no sync.
func TestDirectoryIsSynced(t *testing.T) {
	path := t.TempDir()
	d, err := openDirectory(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	for i := range 3 {
		if err := os.WriteFile(filepath.Join(path, string(rune('a'+i))), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if d.synced.Equal(info.ModTime()) {
			t.Fatal("a new name goes unnoticed")
		}
		eventually(t, func() bool {
			if err := d.sync(); err != nil {
				t.Fatal(err)
			}
			return d.synced.Equal(info.ModTime())
		})
	}
}

// TestKilledWhileRemovingLogs finds the files as a kill leaves them in the moment when Badger removes the logs
// of memtables: empty.
func TestKilledWhileRemovingLogs(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if err := s.Apply(t.Context(), put("key", "value")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for n := range maxEmptyLogs {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%05d.mem", 90+n)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(Options{Dir: dir})
		if err != nil {
			t.Fatalf("one empty log: %v", err)
		}
		if e, err := s.Get(t.Context(), []byte("key")); err != nil || string(e.Value) != "value" {
			t.Errorf("%q, %v", e.Value, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for n := range maxEmptyLogs {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%05d.mem", 190+n)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatalf("%d empty logs: %v", maxEmptyLogs, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
