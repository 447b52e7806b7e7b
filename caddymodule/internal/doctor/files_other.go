//go:build !(linux || darwin || freebsd)

package doctor

import (
	"errors"
	"io/fs"
)

func owner(fs.FileInfo) string { return "" }

func writable(string) bool { return true }

func freeSpace(string) (uint64, error) { return 0, errors.ErrUnsupported }
