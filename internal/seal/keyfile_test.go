package seal

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestKeyFileRoundTrip(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	path := filepath.Join(dir, "key")
	k := GenerateKey()
	if err := CreateFile(path, k); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{path: 0o600, dir: 0o700} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if perm := info.Mode().Perm(); perm != want {
			t.Errorf("%s has mode %04o, want %04o", name, perm, want)
		}
	}
	got, err := LoadFile(path)
	if err != nil || !got.Equal(k) {
		t.Errorf("%v, %v", got, err)
	}
	text, err := os.ReadFile(path)
	if err != nil || string(text) != k.Text()+"\n" {
		t.Errorf("the file is not the key's text and a newline, %v", err)
	}
}

func TestCreateFileKeepsWhatIsThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	k := GenerateKey()
	if err := CreateFile(path, k); err != nil {
		t.Fatal(err)
	}
	if err := CreateFile(path, GenerateKey()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("%v, want ErrExist", err)
	}
	if got, err := LoadFile(path); err != nil || !got.Equal(k) {
		t.Errorf("the first key is gone: %v", err)
	}
	// Nor does it follow a link that somebody laid.
	link, target := filepath.Join(t.TempDir(), "link"), filepath.Join(t.TempDir(), "target")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if err := CreateFile(link, k); !errors.Is(err, fs.ErrExist) {
		t.Errorf("through a link: %v, want ErrExist", err)
	}
	if _, err := os.Stat(target); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("through a link: %v", err)
	}
}

func TestCreateFileRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	if err := CreateFile(path, Key{}); !errors.Is(err, ErrKey) {
		t.Errorf("zero key: %v, want ErrKey", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file of a zero key: %v", err)
	}
	if err := CreateFile(filepath.Join(dir, "a", "b", "key"), GenerateKey()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no grandparent: %v, want ErrNotExist", err)
	}
}

func TestLoadFileRefusesOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "it's the key")
	if err := CreateFile(path, GenerateKey()); err != nil {
		t.Fatal(err)
	}
	for mode, allowed := range map[fs.FileMode]bool{
		0o600: true, 0o400: true, 0o700: true,
		0o640: false, 0o604: false, 0o644: false, 0o660: false, 0o620: false, 0o602: false, 0o610: false, 0o601: false, 0o777: false,
	} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := LoadFile(path)
		if allowed && err != nil {
			t.Errorf("mode %04o: %v", mode, err)
		}
		if !allowed && (!errors.Is(err, ErrKeyFile) || !strings.Contains(err.Error(), `it'\''s the key'`)) {
			t.Errorf("mode %04o: %v, want ErrKeyFile and what to type", mode, err)
		}
	}
}

func TestLoadFileErrors(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	text := GenerateKey().Text()
	for _, c := range []struct {
		name, path string
		want       error
	}{
		{"missing", filepath.Join(dir, "missing"), fs.ErrNotExist},
		{"directory", dir, ErrKeyFile},
		{"device", os.DevNull, ErrKeyFile},
		{"empty", write("empty", ""), ErrKey},
		{"truncated", write("truncated", text[:50]), ErrKey},
		{"two keys", write("two", text+"\n"+GenerateKey().Text()+"\n"), ErrKey},
		{"huge", write("huge", text+strings.Repeat("\n", 1<<20)), ErrKey},
	} {
		k, err := LoadFile(c.path)
		if !errors.Is(err, c.want) || !k.IsZero() {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), text[10:30]) {
			t.Errorf("%s: the error shows the text", c.name)
		}
	}
}
