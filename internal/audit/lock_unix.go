//go:build linux || darwin || freebsd

package audit

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lockFile locks f for this opening of it alone, for as long as it is open.
func lockFile(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrInUse
	}
	if err != nil {
		return fmt.Errorf("locking %s: %w", f.Name(), err)
	}
	return nil
}

// likeness gives f the mode and the owner of another file.
func likeness(f *os.File, other os.FileInfo) error {
	if err := f.Chmod(other.Mode().Perm()); err != nil {
		return fmt.Errorf("making the new log: %w", err)
	}
	if owner, ok := other.Sys().(*syscall.Stat_t); ok {
		if err := f.Chown(int(owner.Uid), int(owner.Gid)); err != nil {
			return fmt.Errorf("making the new log: %w", err)
		}
	}
	return nil
}
