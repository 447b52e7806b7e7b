package records_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/internal/seal"
)

// start is what an operator has: which of the key file, the key file of a start
// that crashed, and the data are there.
type start struct{ key, fresh, data bool }

// TestFirstStart goes through all that an operator may have, and what the start
// makes of it.
func TestFirstStart(t *testing.T) {
	for _, test := range []struct {
		start
		want    error
		created bool
		says    string
	}{
		{start{}, nil, true, ""},
		{start{fresh: true}, nil, true, ""},             // crashed before the data was made
		{start{fresh: true, data: true}, nil, true, ""}, // crashed before the key file got its name
		{start{key: true, data: true}, nil, false, ""},
		{start{key: true, fresh: true, data: true}, nil, false, ""}, // an operator restored the key while a crash was open
		{start{data: true}, records.ErrNoKey, false, "restore that file from a backup"},
		{start{key: true}, records.ErrNoData, false, "restore the data from a backup"},
		{start{key: true, fresh: true}, records.ErrNoData, false, "everybody enrolls again"},
	} {
		t.Run(fmt.Sprintf("%+v", test.start), func(t *testing.T) {
			path, key := filepath.Join(t.TempDir(), "etc", "key"), seal.GenerateKey()
			s := openStore(t, t.TempDir())
			if test.data {
				if err := records.Create(t.Context(), s, key); err != nil {
					t.Fatal(err)
				}
			}
			if test.key {
				write(t, path, key)
			}
			if test.fresh {
				write(t, path+".new", key)
			}
			db, created, err := records.OpenWithKeyFile(t.Context(), s, path)
			if !errors.Is(err, test.want) || created != test.created || (db != nil) != (err == nil) {
				t.Fatalf("created %v, %v", created, err)
			}
			if err != nil {
				if !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), key.Text()) {
					t.Errorf("the sentence does not help: %v", err)
				}
				return
			}
			info, err := os.Stat(path)
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Error("key file:", info, err)
			}
			if _, err := os.Stat(path + ".new"); !test.key && !errors.Is(err, fs.ErrNotExist) {
				t.Error("left behind:", err)
			}
			// What was made opens again, and is not made again.
			if _, created, err := records.OpenWithKeyFile(t.Context(), s, path); err != nil || created {
				t.Error("the next start:", created, err)
			}
		})
	}
}

func write(t *testing.T, path string, key seal.Key) {
	t.Helper()
	if err := seal.CreateFile(path, key); err != nil {
		t.Fatal(err)
	}
}

// A crash while the key was written leaves a torn file, which holds nothing.
func TestFirstStartAfterTornKeyFile(t *testing.T) {
	whole := seal.GenerateKey().Text()
	for _, torn := range []string{"", whole[:1], whole[:50], whole[:76], strings.Repeat("\x00", 78)} {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path+".new", []byte(torn), 0o600); err != nil {
			t.Fatal(err)
		}
		s := openStore(t, t.TempDir())
		if _, created, err := records.OpenWithKeyFile(t.Context(), s, path); err != nil || !created {
			t.Errorf("%d bytes: %v", len(torn), err)
		}
	}
	// Anything longer is somebody's, and so is anything where there is data.
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path+".new", []byte(strings.Repeat("my notes ", 20)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := records.OpenWithKeyFile(t.Context(), openStore(t, t.TempDir()), path); !errors.Is(err, seal.ErrKey) {
		t.Error(err)
	}
	s := openStore(t, t.TempDir())
	if err := records.Create(t.Context(), s, seal.GenerateKey()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := records.OpenWithKeyFile(t.Context(), s, path); !errors.Is(err, records.ErrNoKey) {
		t.Error(err)
	}
	if _, err := os.Stat(path + ".new"); err != nil {
		t.Error("removed:", err)
	}
}

func TestStrangersAreRefused(t *testing.T) {
	s, key, stranger := openStore(t, t.TempDir()), seal.GenerateKey(), seal.GenerateKey()
	if err := records.Create(t.Context(), s, key); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key")
	write(t, path, stranger)
	_, _, err := records.OpenWithKeyFile(t.Context(), s, path)
	if !errors.Is(err, records.ErrWrongKey) || !strings.Contains(err.Error(), key.StoreID().String()) || !strings.Contains(err.Error(), stranger.StoreID().String()) {
		t.Error(err)
	}
	// The same database's next key does not open what the first one sealed.
	if _, err := records.Open(t.Context(), s, key.Successor()); !errors.Is(err, records.ErrWrongKey) {
		t.Error(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := records.OpenWithKeyFile(t.Context(), s, path); !errors.Is(err, seal.ErrKeyFile) || !strings.Contains(err.Error(), "chmod 600") {
		t.Error(err)
	}
	dangling := filepath.Join(t.TempDir(), "key")
	if err := os.Symlink(filepath.Join(t.TempDir(), "not-mounted"), dangling); err != nil {
		t.Fatal(err)
	}
	empty := openStore(t, t.TempDir())
	if _, _, err := records.OpenWithKeyFile(t.Context(), empty, dangling); !errors.Is(err, records.ErrNoKey) {
		t.Error(err)
	}
	if _, err := records.Open(t.Context(), empty, key); !errors.Is(err, records.ErrNoData) || !strings.Contains(err.Error(), "caddy step-up init") {
		t.Error(err)
	}
	if err := records.Create(t.Context(), s, stranger); !errors.Is(err, records.ErrHasData) {
		t.Error(err)
	}
}
