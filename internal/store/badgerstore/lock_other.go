//go:build !(linux || darwin || freebsd)

package badgerstore

import "os"

// lockFile does nothing where the standard library cannot lock: Badger's own lock is left.
func lockFile(*os.File) error { return nil }

// fileNumber: files have no number here that can be asked for.
func fileNumber(*os.File) (uint64, bool) { return 0, false }
