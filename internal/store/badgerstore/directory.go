package badgerstore

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// A directory is the open directory of a database. Badger syncs the logs it writes but not the names of new
// ones; a log whose name a power failure took would be lost with every commit in it.
type directory struct {
	f      *os.File
	held   *os.File  // the lock, see lock
	synced time.Time // modification time of the directory when its names were last made durable
}

// settled is how old a modification time must be for a later change to be sure to give another one. File
// systems take it from the kernel's tick of up to 10 ms, some of them rounded to whole seconds.
func settled(modified time.Time) bool {
	if modified.Nanosecond() == 0 {
		return time.Since(modified) > 3*time.Second
	}
	return time.Since(modified) > 50*time.Millisecond
}

// openDirectory makes the directory if it is missing, and keeps everybody but its owner out: Badger writes
// its files with mode 0644.
func openDirectory(path string) (*directory, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("making database directory: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening database directory: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("examining database directory: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows" {
		if err := f.Chmod(info.Mode().Perm() & 0o700); err != nil {
			f.Close()
			return nil, fmt.Errorf("tightening database directory to mode 0700: %w", err)
		}
	}
	return &directory{f: f}, nil
}

// sync makes the names in the directory durable if there may be new ones. It costs a system call where there
// are none. Only the committer calls it.
func (d *directory) sync() error {
	if runtime.GOOS == "windows" {
		return nil // directories cannot be synced there; the file system journals names itself
	}
	info, err := d.f.Stat()
	if err != nil {
		return fmt.Errorf("examining database directory: %w", err)
	}
	modified := info.ModTime()
	if modified.Equal(d.synced) {
		return nil
	}
	if err := d.f.Sync(); err != nil {
		return fmt.Errorf("syncing database directory: %w", err)
	}
	if settled(modified) {
		d.synced = modified
	}
	return nil
}

func (d *directory) close() error {
	if d.held != nil {
		d.held.Close() // which gives up the lock
	}
	return d.f.Close()
}

// lockName is the file whose lock keeps others out from before the directory is judged: Badger locks it only
// when it opens.
const lockName = "gateway.lock"

func (d *directory) lock() error {
	f, err := os.OpenFile(filepath.Join(d.f.Name(), lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("opening the lock of the database directory: %w", err)
	}
	if err := lockFile(f); err != nil {
		f.Close()
		return err
	}
	d.held = f
	return nil
}

func lockedError(path string) error {
	return fmt.Errorf("%w: %s can be open only once; stop the other gateway, or give this one a directory of its own", ErrLocked, path)
}

// maxEmptyLogs is how many logs can be empty at the same time: those that were being removed, no more than
// there are memtables, and the one that was being made.
const maxEmptyLogs = 4

// openManaged opens the database, also after a kill in the moment when Badger removed the log of a memtable: it
// empties the file first, once all entries are in a table. Nor has a log entries whose making was cut short.
// Badger takes an empty log for a new one, fills in its head and then fails, so that the next attempt finds a
// log without entries. A log that held an acknowledged commit is never empty: its length was synced too.
func openManaged(o badger.Options) (db *badger.DB, err error) {
	for range 1 + maxEmptyLogs {
		// The text is that of ristretto's z.NewFile, which Badger does not wrap.
		if db, err = badger.OpenManaged(o); err == nil || !strings.Contains(err.Error(), "opening memtables") || !strings.Contains(err.Error(), "Create a new file") {
			break
		}
	}
	return db, err
}

// openError says what an operator can do about a database that does not open. Badger has no error value for a
// locked directory.
func openError(path string, err error) error {
	if strings.Contains(err.Error(), "Cannot acquire directory lock") {
		return lockedError(path)
	}
	return fmt.Errorf("opening database in %s: %w", path, err)
}
