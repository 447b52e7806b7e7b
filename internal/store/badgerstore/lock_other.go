//go:build !(linux || darwin || freebsd)

package badgerstore

import "os"

// lockFile does nothing where the standard library cannot lock: Badger's own lock is left.
func lockFile(*os.File) error { return nil }
