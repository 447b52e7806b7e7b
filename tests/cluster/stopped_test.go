//go:build components

package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// pause stops a process by SIGSTOP, and waits until none of its threads runs. One that
// has ended by itself does not.
func pause(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Fatal(err)
	}
	until(t, "every thread stopped", func() bool {
		threads, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/stat")
		for _, name := range threads {
			stat, _ := os.ReadFile(name)
			if _, state, there := strings.Cut(string(stat), ") "); there && state[0] != 'T' && state[0] != 'Z' {
				return false
			}
		}
		return err == nil
	})
}
