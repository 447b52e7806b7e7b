package audit

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// place is where a test's log is.
type place struct {
	t          testing.TB
	dir        string
	file, head string
	mu         sync.Mutex
	problems   []string
}

func newPlace(t testing.TB) *place {
	dir := t.TempDir()
	return &place{t: t, dir: dir, file: filepath.Join(dir, "logs", "audit.jsonl"), head: filepath.Join(dir, "state", "audit.head")}
}

func (p *place) open() *Log {
	p.t.Helper()
	l := p.log()
	if err := l.Open(); err != nil {
		p.t.Fatal(err)
	}
	return l
}

func (p *place) log() *Log {
	return New(Options{File: p.file, Head: p.head, Node: "gw1", Now: time.Now, Problem: func(err error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.problems = append(p.problems, fmt.Sprint(err))
	}})
}

func (p *place) told() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.problems, "\n")
}

func (p *place) read(name string) []byte {
	p.t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		p.t.Fatal(err)
	}
	return text
}

func (p *place) write(name string, text []byte) {
	p.t.Helper()
	if err := os.WriteFile(name, text, 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func entry(i int) Entry {
	return Entry{Time: time.Now().UTC(), Event: "verify", Outcome: "passed", Tenant: "staff", User: fmt.Sprint("user", i), Actor: "person"}
}

// outcomes are the records of the log about itself, in their order.
func outcomes(t testing.TB, log []byte) string {
	t.Helper()
	var list []string
	r, err := NewReader(bytes.NewReader(log))
	if err != nil {
		t.Fatal(err)
	}
	for {
		l, err := r.Next()
		if _, bad := err.(*BadLine); bad {
			list = append(list, "BAD")
			continue
		}
		if err != nil {
			return strings.Join(list, " ")
		}
		if l.Entry.Event == EventLog {
			list = append(list, strings.TrimSuffix(l.Entry.Outcome+":"+l.Entry.Cause, ":"))
		}
	}
}

func close1(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// The chain goes on when the log is opened again, and lines satisfy the schema.
func TestLogGoesOn(t *testing.T) {
	p := newPlace(t)
	for range 3 {
		l := p.open()
		for i := range 5 {
			if at, ok := l.Write(entry(i)); !ok || at != l.Status().Head {
				t.Fatal(at, ok)
			}
		}
		close1(t, l)
		if _, ok := l.Write(entry(0)); ok {
			t.Error("written after it was closed")
		}
		close1(t, l)
	}
	log := p.read(p.file)
	if r := verify(t, log); r.Fault != nil || r.Lines != 18 || r.First.Seq != 1 {
		t.Errorf("%+v", r)
	}
	if got := outcomes(t, log); got != "begun:first_start opened:start opened:start" {
		t.Error(got)
	}
	s := schema(t)
	for line := range bytes.Lines(log) {
		if err := validate(t, s, line); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
	for _, name := range []string{p.file, p.head} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Error(name, info.Mode(), err)
		}
	}
	if p.told() != "audit: closed" && strings.Count(p.told(), ErrClosed.Error()) != len(p.problems) {
		t.Error(p.told())
	}
}

// What was done to the file while it was closed is told, and the verifier sees it.
func TestWhatWasDoneToTheLogIsTold(t *testing.T) {
	begin := func(t *testing.T) (*place, [][]byte) {
		p := newPlace(t)
		l := p.open()
		for i := range 5 {
			l.Write(entry(i))
		}
		close1(t, l)
		return p, bytes.SplitAfter(bytes.TrimSuffix(p.read(p.file), []byte("\n")), []byte("\n"))
	}
	for name, c := range map[string]struct {
		do       func(*place, [][]byte)
		outcomes string // after the first
		fault    string
		told     string
	}{
		"nothing": {func(*place, [][]byte) {}, "opened:start", "none", ""},
		"cut off": {func(p *place, l [][]byte) { p.write(p.file, join(l[:4]...)) }, "missing opened:start", "removed at 5", "lines 5 to 6"},
		"the last altered": {func(p *place, l [][]byte) {
			p.write(p.file, bytes.Replace(p.read(p.file), []byte("user4"), []byte("eve44"), 1))
		}, "BAD missing torn opened:start", "altered at 6", "lines 6 to 6"},
		"torn": {func(p *place, l [][]byte) {
			p.write(p.file, append(p.read(p.file), l[5][:70]...))
		}, "BAD opened:start torn", "none", ""},
		"torn lines": {func(p *place, l [][]byte) {
			p.write(p.file, append(p.read(p.file), "\x00\x00\n\x00\x00\n"...))
		}, "BAD BAD opened:start torn", "none", ""},
		"rotated": {func(p *place, _ [][]byte) { os.Rename(p.file, p.file+".1") }, "opened:start", "none", ""},
		"no head": {func(p *place, _ [][]byte) { os.Remove(p.head) }, "opened:no_head", "none", ""},
		"an old head": {func(p *place, _ [][]byte) {
			l := p.open()
			old := p.read(p.head)
			l.Write(entry(9))
			close1(p.t, l)
			p.write(p.head, old)
		}, "opened:start opened:start", "none", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p, lines := begin(t)
			c.do(p, lines)
			l := p.open()
			l.Write(entry(7))
			close1(t, l)
			log := p.read(p.file)
			if old, err := os.ReadFile(p.file + ".1"); err == nil {
				log = append(old, log...)
			}
			if got := outcomes(t, log); got != "begun:first_start "+c.outcomes {
				t.Errorf("outcomes %s, want %s", got, c.outcomes)
			}
			if got := kindOf(verify(t, log)); got != c.fault {
				t.Errorf("%s, want %s", got, c.fault)
			}
			if !strings.Contains(p.told(), c.told) || c.told == "" && p.told() != "" {
				t.Errorf("told %q, want %q", p.told(), c.told)
			}
		})
	}
}

// Files that are something else are refused and stay as they are.
func TestLogRefusesOtherFiles(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(*place)
		want string
	}{
		"another log": {func(p *place) { p.write(p.file, []byte("10.0.0.1 - - GET /\n")) }, "something else"},
		"a directory": {func(p *place) { os.Mkdir(p.file, 0o700) }, "directory"},
		"a pipe":      {func(p *place) { p.file = "/dev/null" }, "not a regular file"},
		"a head":      {func(p *place) { p.write(p.head, []byte("no head")) }, "head"},
		"another chain": {func(p *place) {
			l := p.open()
			close1(p.t, l)
			os.Remove(p.head)
			os.Rename(p.file, p.file+".1")
			l = p.open()
			close1(p.t, l)
			os.Rename(p.file+".1", p.file)
		}, "move the log away"},
		"in use": {func(p *place) { l := p.open(); p.t.Cleanup(func() { l.Close() }) }, ErrInUse.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			os.MkdirAll(filepath.Dir(p.file), 0o700)
			os.MkdirAll(filepath.Dir(p.head), 0o700)
			c.do(p)
			before, _ := os.ReadFile(p.file)
			l := p.log()
			if err := l.Open(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v, want %q", err, c.want)
			}
			if after, _ := os.ReadFile(p.file); name != "in use" && !bytes.Equal(before, after) {
				t.Error("the file was changed")
			}
		})
	}
}

// The file is moved away while many write: no line is lost, doubled or torn, and the
// new file goes on where the old one ended.
func TestRotation(t *testing.T) {
	p := newPlace(t)
	l := p.open()
	var writers sync.WaitGroup
	stop := make(chan struct{})
	wrote := make([]int, 4)
	for w := range wrote {
		writers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, ok := l.Write(entry(w)); !ok {
					t.Error("lost")
				}
				wrote[w]++
				time.Sleep(time.Millisecond)
			}
		})
	}
	var files []string
	for i := range 3 {
		time.Sleep(300 * time.Millisecond)
		moved := fmt.Sprint(p.file, ".", i)
		if err := os.Rename(p.file, moved); err != nil {
			t.Fatal(err)
		}
		files = append(files, moved)
		if i == 1 { // as logrotate's `create` does
			p.write(p.file, nil)
		}
		for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
			if info, err := os.Stat(p.file); err == nil && info.Size() > 0 {
				break
			}
			if time.Since(begun) > 10*time.Second {
				t.Fatal("the file was not opened again")
			}
		}
		if _, err := EraseFile(moved, Person{User: "user1"}); err != nil {
			t.Errorf("the moved file: %v", err)
		}
		if _, err := EraseFile(p.file, Person{User: "user1"}); err == nil {
			t.Error("the file in use was erased")
		}
	}
	close(stop)
	writers.Wait()
	close1(t, l)
	var logs [][]byte
	for _, f := range append(files, p.file) {
		logs = append(logs, p.read(f))
	}
	r := verify(t, logs...)
	want := 4
	for _, n := range wrote {
		want += n
	}
	if r.Fault != nil || r.Lines != want || p.told() != "" {
		t.Errorf("%+v, want %d lines; told %s", r, want, p.told())
	}
}
