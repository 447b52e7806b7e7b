//go:build unix

package procstore

import (
	"os"
	"syscall"
)

// pollable returns a pipe that was inherited, as a file for which a goroutine waits
// without keeping a thread: each wait would cost a change of threads.
func pollable(f *os.File) *os.File {
	fd, err := syscall.Dup(int(f.Fd())) // the collector may close f
	if err != nil {
		return f
	}
	syscall.CloseOnExec(fd)
	if err := syscall.SetNonblock(fd, true); err != nil {
		syscall.Close(fd)
		return f
	}
	return os.NewFile(uintptr(fd), f.Name())
}
