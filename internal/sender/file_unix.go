//go:build unix

package sender

import (
	"errors"
	"os"
	"syscall"
)

// asItIs opens a file itself: no link to another one that somebody put in its place,
// and no pipe that nobody reads, which would wait.
const asItIs = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// owned refuses a file of another user, who can read it whatever its mode.
func owned(stat os.FileInfo) error {
	if s, ok := stat.Sys().(*syscall.Stat_t); ok && int(s.Uid) != os.Geteuid() {
		return errors.New("it belongs to another user, who can read the codes: remove it, or name another file")
	}
	return nil
}
