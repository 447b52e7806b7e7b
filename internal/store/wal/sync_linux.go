package wal

import (
	"errors"
	"os"
	"syscall"
)

// syncData makes what was written to f durable, and of its metadata what reading
// it needs.
func syncData(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if !errors.Is(err, syscall.EINTR) {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
