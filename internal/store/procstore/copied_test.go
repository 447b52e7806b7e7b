package procstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// A directory that `cp` copies while a gateway uses it, with its mark, is found out when
// it is opened: it is damaged, or older, or known for a copy. One that is copied after a
// gateway closed it is what it was.
func TestS25CopiedWhileInUse(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	mark := dir + ".mark"
	s, err := Open(Options{Dir: dir, Mark: mark})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			op := store.Op{Key: fmt.Appendf(nil, "k/%d", i%500), Value: []byte(strings.Repeat("x", i%3000))}
			if err := s.Apply(context.Background(), op); err != nil {
				t.Errorf("Apply: %v", err)
				return
			}
		}
	}()
	cp := func(from, to string) {
		t.Helper()
		if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil && !strings.Contains(string(out), "No such file") { // removed meanwhile
			t.Fatalf("%v: %s", err, out)
		}
	}
	found := map[string]int{}
	for n := range 12 {
		time.Sleep(50 * time.Millisecond)
		copied := filepath.Join(t.TempDir(), "copy")
		if n%2 == 0 {
			cp(mark, copied+".mark")
		}
		cp(dir, copied)
		if n%2 == 1 {
			cp(mark, copied+".mark")
		}
		found[howFound(t, copied)]++
	}
	close(stop)
	<-done
	if found[""] > 0 {
		t.Errorf("not found out: %v", found)
	}
	t.Log(found)

	// After a kill too, but not where it is.
	syscallKill(t, s.PID())
	cp(dir, dir+".killed")
	cp(mark, dir+".killed.mark")
	if how := howFound(t, dir+".killed"); how != "copy" {
		t.Errorf("a copy after a kill: %q", how)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if how := howFound(t, dir); how != "" {
		t.Errorf("where it was: %q", how)
	}
	cp(dir, dir+".closed")
	cp(mark, dir+".closed.mark")
	if how := howFound(t, dir+".closed"); how != "" {
		t.Errorf("a copy of what was closed: %q", how)
	}
}

// howFound opens a database, and says what is found; nothing: it counts.
func howFound(t *testing.T, dir string) string {
	t.Helper()
	s, err := Open(Options{Dir: dir, Mark: dir + ".mark"})
	if errors.Is(err, store.ErrDamaged) {
		return "damaged"
	}
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	switch f := s.Fence(); {
	case f.Kind == store.FenceNone:
		return ""
	case strings.Contains(f.Reason, "is a copy that was made while a gateway used it"):
		// It is known until it is accepted, and then it counts.
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		again, err := Open(Options{Dir: dir, Mark: dir + ".mark"})
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		if again.Fence().Kind != store.FenceUnsure {
			t.Error("a copy is forgotten before it was accepted")
		}
		if err := again.AcceptFence(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
		if last, err := Open(Options{Dir: dir, Mark: dir + ".mark"}); err != nil || last.Fence().Kind != store.FenceNone || last.Close() != nil {
			t.Errorf("a copy that was accepted: %v", err)
		}
		return "copy"
	default:
		return "older"
	}
}

func syscallKill(t *testing.T, pid int) {
	t.Helper()
	p, err := os.FindProcess(pid)
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
}
