//go:build linux

package procstore_test

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// limitFiles sets how many descriptors another process may have.
func limitFiles(t *testing.T, pid int, n uint64) {
	t.Helper()
	limit := syscall.Rlimit{Cur: n, Max: n}
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(pid), syscall.RLIMIT_NOFILE, uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
	if errno != 0 {
		t.Fatal(errno)
	}
}

// TestS27NoDescriptors: a child that can open no file any more when it needs one
// is replaced, and nothing that was acknowledged is lost.
func TestS27NoDescriptors(t *testing.T) {
	t.Parallel()
	s, _ := watched(t, t.TempDir())
	pid := s.PID()
	limitFiles(t, pid, 4)
	value := make([]byte, 100<<10)
	acknowledged := 0
	for i := 0; s.PID() == pid; i++ {
		if i > 1000 {
			t.Fatal("100 MiB were written without another file")
		}
		err := s.Apply(background, store.Op{Key: fmt.Append(nil, i), Value: value, If: store.If(0)})
		if err != nil && !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("Apply: %v", err)
		}
		if err == nil {
			acknowledged = i + 1
		} else {
			break
		}
	}
	until(t, "another child", func() bool { return s.PID() != pid && s.Health().Down == nil })
	for i := range acknowledged {
		if _, err := s.Get(background, fmt.Append(nil, i)); err != nil {
			t.Fatalf("%d of %d acknowledged: %v", i, acknowledged, err)
		}
	}
	if acknowledged == 0 {
		t.Error("nothing was acknowledged, so nothing was tested")
	}
	if err := s.Apply(background, store.Op{Key: []byte("after"), Value: []byte("1")}); err != nil {
		t.Errorf("Apply afterwards: %v", err)
	}
}
