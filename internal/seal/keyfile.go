package seal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/internal/durable"
)

// maxKeyFile is far more than a key and a newline. It keeps a path that points at the wrong file, or at a
// device, from being read into memory.
const maxKeyFile = 4096

// ErrKeyFile reports that a key file is refused because of what kind of file it is or who may read it. What is
// wrapped around it tells what to do. A file without a key in it is an ErrKey.
var ErrKeyFile = errors.New("key file refused")

// LoadFile reads the key in the file at path: the text of one key, with white space around it. It refuses
// anything that is not a regular file, and a file that others than its owner may read or write; on Windows,
// where the mode tells nothing about that, only the former. A missing file is an fs.ErrNotExist.
func LoadFile(path string) (Key, error) {
	// The kind is looked at before opening, since opening a pipe would wait for its writer.
	if info, err := os.Stat(path); err != nil {
		return Key{}, fmt.Errorf("opening key file: %w", err)
	} else if !info.Mode().IsRegular() {
		return Key{}, fmt.Errorf("%w: %s is not a regular file", ErrKeyFile, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return Key{}, fmt.Errorf("opening key file: %w", err)
	}
	defer f.Close()
	// The open file is asked, so that the one judged is the one read.
	info, err := f.Stat()
	if err != nil {
		return Key{}, fmt.Errorf("examining key file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return Key{}, fmt.Errorf("%w: %s is not a regular file", ErrKeyFile, path)
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 && runtime.GOOS != "windows" {
		return Key{}, fmt.Errorf("%w: %s has mode %04o, so others than its owner can use it; run: chmod 600 %s", ErrKeyFile, path, perm, shellQuoted(path))
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return Key{}, fmt.Errorf("reading key file: %w", err)
	}
	if len(text) > maxKeyFile {
		return Key{}, fmt.Errorf("reading key file %s: %w: it is over %d bytes long", path, ErrKey, maxKeyFile)
	}
	key, err := ParseKey(string(text))
	if err != nil {
		return Key{}, fmt.Errorf("reading key file %s: %w", path, err)
	}
	return key, nil
}

// shellQuoted is path as one word of a shell's command line.
func shellQuoted(path string) string { return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'" }

// CreateFile writes key to a new file at path with mode 0600, and has made it durable when it returns nil:
// data sealed with a key that a power failure took would be lost. A missing parent directory is made with
// mode 0700; its own parent must exist. A file that is there already is left alone, which is an fs.ErrExist.
func CreateFile(path string, key Key) (err error) {
	if key.IsZero() {
		return fmt.Errorf("writing key file: %w: it is empty", ErrKey)
	}
	dir := filepath.Dir(path)
	switch err := os.Mkdir(dir, 0o700); {
	case err == nil:
		if err := durable.Names(filepath.Dir(dir)); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrExist):
		return fmt.Errorf("making directory of key file: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("creating key file: %w", err)
	}
	defer func() {
		f.Close()
		if err != nil {
			// Ours, by O_EXCL. Half a key left behind would be refused at every later start.
			os.Remove(path)
		}
	}()
	if _, err := f.WriteString(key.Text() + "\n"); err != nil {
		return fmt.Errorf("writing key file: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("syncing key file: %w", err)
	}
	return durable.Names(dir)
}
