//go:build !windows

package wal

import (
	"errors"
	"os"
	"syscall"
)

// syncNames makes the names in a directory durable.
func syncNames(dir *os.File) error { return dir.Sync() }

func isQuota(err error) bool { return errors.Is(err, syscall.EDQUOT) }
