package procstore

import (
	"os"
	"os/exec"
	"runtime/debug"
	"syscall"
	"testing"
)

// open counts the descriptors of this process.
func open(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(files) - 1 // that of the directory
}

// TestS27NoneLeftOpen: a start for which there are too few descriptors keeps none,
// whichever one it lacks. Four of six stayed open until the next collection, and a
// gateway that had five to spare took no connection for a minute.
func TestS27NoneLeftOpen(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	have, started := open(t), false
	for spare := range 16 {
		limit := syscall.Rlimit{Cur: uint64(have + spare), Max: before.Max}
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(os.Args[0], "-test.run=^$")
		p, err := startPiped(cmd)
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			t.Fatal(err)
		}
		if err == nil {
			started = true
			cmd.Wait()
			closeAll([]*os.File{p.in, p.out, p.errs})
		}
		if now := open(t); now != have {
			t.Errorf("%d to spare: %d descriptors, %d before: %v", spare, now, have, err)
		}
	}
	if !started {
		t.Error("it never started, so nothing was tested")
	}
}
