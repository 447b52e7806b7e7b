//go:build linux || darwin || freebsd

package badgerstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// fileNumber returns the number that an open file has in its file system, which no
// other file has at the same time; false: it cannot be told.
func fileNumber(f *os.File) (uint64, bool) {
	info, err := f.Stat()
	if err != nil {
		return 0, false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return uint64(stat.Ino), true
}

// lockFile locks f for this process alone, for as long as it is open.
func lockFile(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return lockedError(filepath.Dir(f.Name()))
	}
	if err != nil {
		return fmt.Errorf("locking the database directory: %w", err)
	}
	return nil
}
