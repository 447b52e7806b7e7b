//go:build linux || darwin || freebsd

package badgerstore

import (
	"os"
	"syscall"
)

// freeSpace is how many bytes an unprivileged user may still write to the file system of f.
func freeSpace(f *os.File) (uint64, error) {
	var stat syscall.Statfs_t
	if err := syscall.Fstatfs(int(f.Fd()), &stat); err != nil {
		return 0, err
	}
	return uint64(stat.Bavail) * uint64(stat.Bsize), nil
}
