//go:build linux || darwin || freebsd

package doctor

import (
	"fmt"
	"io/fs"
	"os/user"
	"strconv"
	"syscall"
)

// owner names the owner of a file.
func owner(info fs.FileInfo) string {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	id := strconv.FormatUint(uint64(s.Uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return fmt.Sprintf("user %s", id)
}

// writable reports whether this process may make files in a directory.
func writable(dir string) bool { return syscall.Access(dir, 0x2|0x1) == nil }

// freeSpace is how many bytes the disk of a directory has left.
func freeSpace(dir string) (uint64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return uint64(s.Bavail) * uint64(s.Bsize), nil
}
