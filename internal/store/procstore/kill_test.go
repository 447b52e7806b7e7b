//go:build unix

package procstore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/stepup-gateway/caddy-stepup/internal/store/procstore"
	"github.com/stepup-gateway/caddy-stepup/store"
)

var background = context.Background()

// patience is how long a test waits for what must happen soon.
const patience = 20 * time.Second

// kill ends the child that a store has now.
func kill(t *testing.T, s *procstore.Store, with syscall.Signal) {
	t.Helper()
	if pid := s.PID(); pid != 0 {
		if err := syscall.Kill(pid, with); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatal(err)
		}
		for stopped := with != syscall.SIGSTOP; !stopped; { // its threads stop one after the other
			_, err := syscall.Wait4(pid, nil, syscall.WUNTRACED, nil)
			stopped = !errors.Is(err, syscall.EINTR)
		}
	}
}

func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

// back waits until a store is in use.
func back(t *testing.T, s *procstore.Store) {
	t.Helper()
	until(t, "in use", func() bool { return s.Health().Down == nil })
}

// watched opens a database whose log can be looked at.
func watched(t *testing.T, dir string) (*procstore.Store, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zapcore.InfoLevel)
	s, err := procstore.Open(procstore.Options{Dir: dir, Logger: zap.New(core)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, logs
}

// TestS27KilledUnderLoad kills the child again and again while many callers
// write. What was acknowledged is there afterwards, what was refused is not, each
// error says which of the two it is, and nothing needs a restart.
func TestS27KilledUnderLoad(t *testing.T) {
	s, _ := watched(t, t.TempDir())
	var lost, came atomic.Int64
	s.OnLost(func() { lost.Add(1) })
	s.OnBack(func() { came.Add(1) })
	type outcome struct {
		key string
		err error
	}
	var mu sync.Mutex
	var outcomes []outcome
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for w := range 16 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				key := fmt.Sprintf("%d/%d", w, i)
				value := []byte("1")
				if w == 0 {
					value = make([]byte, 300<<10)
				}
				began := time.Now()
				err := s.Apply(background, store.Op{Key: []byte(key), Value: value, If: store.If(0)})
				if took := time.Since(began); took > 6*time.Second {
					t.Errorf("Apply took %s", took)
				}
				if err != nil && !errors.Is(err, store.ErrUnavailable) {
					t.Errorf("Apply: %v", err)
				}
				mu.Lock()
				outcomes = append(outcomes, outcome{key, err})
				mu.Unlock()
				if _, err := s.Get(background, []byte(key)); err != nil && !errors.Is(err, store.ErrNotFound) &&
					(!errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrUnknown)) {
					t.Errorf("Get: %v", err)
				}
				if err != nil {
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	const rounds = 10
	for range rounds {
		time.Sleep(50 * time.Millisecond)
		kill(t, s, syscall.SIGKILL)
		until(t, "the loss is noticed", func() bool { return s.Health().Down != nil })
		back(t, s)
	}
	close(stop)
	wg.Wait()
	if lost.Load() != rounds || came.Load() < rounds {
		t.Errorf("%d losses and %d returns were told of, want %d", lost.Load(), came.Load(), rounds)
	}
	count := map[string]int{}
	for _, o := range outcomes {
		_, err := s.Get(background, []byte(o.key))
		switch {
		case o.err == nil:
			count["acknowledged"]++
			if err != nil {
				t.Errorf("%s was acknowledged, but: %v", o.key, err)
			}
		case errors.Is(o.err, store.ErrUnknown):
			count["unknown"]++
		default:
			count["refused"]++
			if !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s was refused (%v), but Get: %v", o.key, o.err, err)
			}
		}
	}
	t.Logf("%v", count)
	if count["acknowledged"] == 0 || count["unknown"] == 0 || count["refused"] == 0 {
		t.Errorf("some outcome never came: %v", count)
	}
}

// TestS03OneWinnerUnderKills: of many who delete the same version at most one is
// told that it did, also while the child is killed.
func TestS03OneWinnerUnderKills(t *testing.T) {
	s, _ := watched(t, t.TempDir())
	winners := 0
	for round := range 30 {
		key := fmt.Appendf(nil, "%d", round)
		until(t, "writing", func() bool { return s.Apply(background, store.Op{Key: key, Value: []byte("1")}) == nil })
		e, err := s.Get(background, key)
		if err != nil {
			t.Fatal(err)
		}
		var won, unknown atomic.Int64
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				if i == 8 && round%3 == 0 {
					kill(t, s, syscall.SIGKILL)
					return
				}
				for {
					err := s.Apply(background, store.Op{Key: key, If: store.If(e.Version)})
					switch {
					case err == nil:
						won.Add(1)
					case errors.Is(err, store.ErrUnknown):
						unknown.Add(1)
					case errors.Is(err, store.ErrConflict):
						return
					}
					time.Sleep(10 * time.Millisecond)
				}
			})
		}
		wg.Wait()
		if won.Load() > 1 || won.Load() == 0 && unknown.Load() == 0 {
			t.Errorf("round %d: %d winners, %d do not know", round, won.Load(), unknown.Load())
		}
		winners += int(won.Load())
		back(t, s)
	}
	if winners < 15 {
		t.Errorf("%d winners in 30 rounds", winners)
	}
}

// TestS27ChildCrashes: whatever ends the child, the log says what it was, once.
func TestS27ChildCrashes(t *testing.T) {
	for _, tc := range []struct {
		with syscall.Signal
		says string
	}{
		{syscall.SIGBUS, "SIGBUS"},
		{syscall.SIGSEGV, "SIGSEGV"},
		{syscall.SIGABRT, "SIGABRT"},
		{syscall.SIGKILL, "killed"},
	} {
		t.Run(tc.says, func(t *testing.T) {
			s, logs := watched(t, t.TempDir())
			if err := s.Apply(background, store.Op{Key: []byte("a"), Value: []byte("1")}); err != nil {
				t.Fatal(err)
			}
			kill(t, s, tc.with)
			until(t, "the loss is noticed", func() bool { return s.Health().Down != nil })
			if _, err := s.Get(background, []byte("a")); err != nil && !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("Get meanwhile: %v", err)
			}
			back(t, s)
			if _, err := s.Get(background, []byte("a")); err != nil {
				t.Errorf("Get afterwards: %v", err)
			}
			lines := logs.FilterLevelExact(zapcore.ErrorLevel).All()
			if len(lines) != 1 || !strings.Contains(fmt.Sprint(lines[0].ContextMap()), tc.says) {
				t.Errorf("the log has %d errors: %v", len(lines), lines)
			}
			if logs.FilterMessageSnippet("back in use").Len() != 1 {
				t.Error("the return was not logged")
			}
		})
	}
}

// TestS27SignalsToTheGroup: what a terminal or a service manager sends to the
// whole group does not end the child before its parent has.
func TestS27SignalsToTheGroup(t *testing.T) {
	s, _ := watched(t, t.TempDir())
	pid := s.PID()
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE} {
		kill(t, s, sig)
	}
	time.Sleep(100 * time.Millisecond)
	if err := s.Apply(background, store.Op{Key: []byte("a"), Value: []byte("1")}); err != nil || s.PID() != pid {
		t.Errorf("%v, process %d after %d", err, s.PID(), pid)
	}
}

// TestS27NothingLeaks replaces the child a hundred times.
func TestS27NothingLeaks(t *testing.T) {
	if runtime.GOOS != "linux" {
		return // /proc tells what is open
	}
	s, _ := watched(t, t.TempDir())
	replace := func() {
		pid := s.PID()
		kill(t, s, syscall.SIGKILL)
		until(t, "another child", func() bool {
			now := s.PID()
			return now != 0 && now != pid
		})
		for range 10 {
			if _, err := s.Get(background, []byte("a")); !errors.Is(err, store.ErrNotFound) {
				t.Fatal(err)
			}
		}
	}
	replace()
	routines, files := runtime.NumGoroutine(), descriptors(t)
	for range 100 {
		replace()
	}
	until(t, "no more goroutines than before", func() bool { return runtime.NumGoroutine() <= routines })
	if now := descriptors(t); now > files {
		t.Errorf("%d descriptors, before %d", now, files)
	}
	if n := len(children(t)); n != 1 {
		t.Errorf("%d children", n)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}

// children are the processes whose parent is this one, dead ones included.
func children(t *testing.T) (pids []int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range stats {
		text, _ := os.ReadFile(name)
		_, after, _ := strings.Cut(string(text), ") ")
		if f := strings.Fields(after); len(f) > 1 && f[1] == strconv.Itoa(os.Getpid()) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			pids = append(pids, pid)
		}
	}
	return pids
}
