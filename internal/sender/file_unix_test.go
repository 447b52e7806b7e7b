//go:build unix

package sender

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// pipe makes a named pipe.
func pipe(path string) error { return syscall.Mkfifo(path, 0o600) }

// A file of another user is not written to: that user can read it.
func TestS13FileOfAnotherUser(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sms.jsonl")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	stat, err := os.Stat(path)
	if err != nil || owned(stat) != nil {
		t.Fatal(err, owned(stat))
	}
	if os.Geteuid() != 0 {
		// Nobody but root gives files away: every system has some of root's.
		if stat, err = os.Stat("/"); err != nil {
			t.Fatal(err)
		}
	} else if err := os.Chown(path, 65534, 65534); err != nil {
		t.Fatal(err)
	} else if stat, err = os.Stat(path); err != nil {
		t.Fatal(err)
	}
	if owned(stat) == nil {
		t.Error("a file of another user is taken")
	}
}
