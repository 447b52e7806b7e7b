//go:build !(linux || darwin || freebsd)

package badgerstore

import (
	"math"
	"os"
)

// freeSpace is unlimited where the standard library cannot ask.
func freeSpace(*os.File) (uint64, error) { return math.MaxUint64, nil }
