//go:build unix

package procstore_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/store/procstore"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// TestS27Silence stops the child, as a disk that hangs does: no call waits
// longer than its deadline, those that come later not at all, and once the child
// answers again it is in use without having been replaced.
func TestS27Silence(t *testing.T) {
	t.Parallel()
	s, logs := watched(t, t.TempDir())
	put := func(key string) error {
		return s.Apply(background, store.Op{Key: []byte(key), Value: []byte("1"), If: store.If(0)})
	}
	if err := put("before"); err != nil {
		t.Fatal(err)
	}
	var lost, came atomic.Int64
	s.OnLost(func() { lost.Add(1) })
	s.OnBack(func() { came.Add(1) })
	pid := s.PID()
	kill(t, s, syscall.SIGSTOP)
	defer syscall.Kill(pid, syscall.SIGCONT)
	var wg sync.WaitGroup
	timely := func(what string, most time.Duration, call func() error, unknown bool) {
		wg.Go(func() {
			began := time.Now()
			err := call()
			if took := time.Since(began); took > most {
				t.Errorf("%s took %s", what, took)
			}
			if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrUnknown) != unknown {
				t.Errorf("%s: %v", what, err)
			}
		})
	}
	timely("Apply", 8*time.Second, func() error { return put("during") }, true)
	timely("Get", 8*time.Second, func() error { _, err := s.Get(background, []byte("before")); return err }, false)
	time.Sleep(time.Second)
	if w := s.Health().Waiting; w < 500*time.Millisecond {
		t.Errorf("the oldest change waits %s", w)
	}
	wg.Wait()
	h := s.Health()
	if h.Down == nil || !strings.Contains(h.Down.Error(), "does not answer since") || lost.Load() != 1 {
		t.Errorf("health: %v, and %d losses were told of", h.Down, lost.Load())
	}
	timely("a later Apply", time.Second, func() error { return put("later") }, false)
	timely("a later Get", time.Second, func() error { _, err := s.Get(background, []byte("before")); return err }, false)
	wg.Wait()
	// The line is written beside what is refused, maybe a moment later.
	until(t, "a line in the log", func() bool { return logs.FilterMessageSnippet("out of use").Len() > 0 })
	if n := logs.FilterMessageSnippet("out of use").Len(); n != 1 {
		t.Errorf("%d lines in the log", n)
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	back(t, s)
	if s.PID() != pid || came.Load() != 1 {
		t.Errorf("process %d after %d, and %d returns were told of", s.PID(), pid, came.Load())
	}
	if _, err := s.Get(background, []byte("before")); err != nil {
		t.Errorf("Get: %v", err)
	}
	if _, err := s.Get(background, []byte("later")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a refused change took place: %v", err)
	}
	if err := put("after"); err != nil {
		t.Errorf("Apply: %v", err)
	}
}

// TestS27CloseOnSilence: closing does not wait for a disk that hangs, and what
// was acknowledged is there afterwards.
func TestS27CloseOnSilence(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, _ := watched(t, dir)
	if err := s.Apply(background, store.Op{Key: []byte("a"), Value: []byte("1")}); err != nil {
		t.Fatal(err)
	}
	kill(t, s, syscall.SIGSTOP)
	began := time.Now()
	if err := s.Close(); err == nil {
		t.Error("closing a database that does not answer was no error")
	}
	if took := time.Since(began); took > 13*time.Second {
		t.Errorf("closing took %s", took)
	}
	s, _ = watched(t, dir)
	if _, err := s.Get(background, []byte("a")); err != nil {
		t.Error(err)
	}
}

// TestS27Bounded: what waits for a child that does not answer is bounded.
func TestS27Bounded(t *testing.T) {
	s, _ := watched(t, t.TempDir())
	pid := s.PID()
	kill(t, s, syscall.SIGSTOP)
	defer syscall.Kill(pid, syscall.SIGCONT)
	var wg sync.WaitGroup
	var atOnce atomic.Int64
	value := make([]byte, 1<<20)
	for i := range 100 { // 100 MiB
		wg.Go(func() {
			err := s.Apply(background, store.Op{Key: []byte{byte(i)}, Value: value})
			if !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("Apply: %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "too many calls") {
				atOnce.Add(1)
			}
		})
	}
	wg.Wait()
	if n := atOnce.Load(); n < 30 || n == 100 {
		t.Errorf("%d of 100 were refused at once", n)
	}
}

// TestS27LockedByAnother: what another gateway has open is refused after a
// moment, in which that of a killed gateway would have gone.
func TestS27LockedByAnother(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, _ := watched(t, dir)
	if _, err := procstore.Open(procstore.Options{Dir: dir}); !errors.Is(err, store.ErrLocked) {
		t.Errorf("opening twice: %v", err)
	}
	time.AfterFunc(time.Second, func() { first.Close() })
	second, err := procstore.Open(procstore.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	second.Close()
}
