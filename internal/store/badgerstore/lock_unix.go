//go:build linux || darwin || freebsd

package badgerstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

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
