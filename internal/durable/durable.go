// Package durable makes the names of files outlast a power failure, as syncing a file
// does for what is in it.
package durable

import (
	"fmt"
	"os"
	"runtime"
)

// Names makes durable what was made, renamed and removed in a directory.
func Names(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // directories cannot be synced there; the file system journals names itself
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("opening directory to sync it: %w", err)
	}
	defer d.Close() // it was only read
	if err := d.Sync(); err != nil {
		return fmt.Errorf("syncing directory %s: %w", dir, err)
	}
	return nil
}
