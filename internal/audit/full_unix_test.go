//go:build linux || darwin || freebsd

package audit

import (
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"
)

// limitFiles makes the file system refuse what makes a file longer than size, in the
// middle of a write, as a full disk does; and the function undoes it.
func limitFiles(t testing.TB, size int64) (undo func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	now := was
	now.Cur = uint64(size)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &now); err != nil {
		t.Fatal(err)
	}
	undo = func() { syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was) }
	t.Cleanup(undo)
	return undo
}

// While the disk is full, lines wait and are written afterwards in their order; none
// is left torn.
func TestS27FullDisk(t *testing.T) {
	p := newPlace(t)
	l := p.open()
	l.Write(entry(0))
	info, err := os.Stat(p.file)
	if err != nil {
		t.Fatal(err)
	}
	undo := limitFiles(t, info.Size()+100)
	for i := range 20 {
		if _, ok := l.Write(entry(i)); !ok {
			t.Error("lost, though there was room to wait")
		}
	}
	if st := l.Status(); st.Err == nil || st.Waiting != 20 || !l.Fails() {
		t.Errorf("%+v", st)
	}
	if r := verify(t, p.read(p.file)); r.Fault != nil || r.Lines != 2 {
		t.Errorf("while it is full: %+v", r)
	}
	undo()
	for begun := time.Now(); l.Fails(); time.Sleep(20 * time.Millisecond) {
		if time.Since(begun) > 10*time.Second {
			t.Fatal("nothing was written once there was room")
		}
	}
	close1(t, l)
	if r := verify(t, p.read(p.file)); r.Fault != nil || r.Lines != 22 {
		t.Errorf("afterwards: %+v", r)
	}
	if told := p.told(); !strings.Contains(told, "writing the audit log") || !strings.HasSuffix(told, "<nil>") || strings.Count(told, "\n") != 1 {
		t.Errorf("told %q", told)
	}
}

// What does not wait any more is counted, by the status and by a line.
func TestS26LostIsCounted(t *testing.T) {
	p := newPlace(t)
	l := p.open()
	undo := limitFiles(t, 10)
	for i := range maxWaiting + 500 {
		l.Write(entry(i))
	}
	if st := l.Status(); st.Lost != 500 || st.Waiting != maxWaiting {
		t.Errorf("%d lost, %d waiting", st.Lost, st.Waiting)
	}
	undo()
	l.Write(entry(1))
	close1(t, l)
	log := p.read(p.file)
	if r := verify(t, log); r.Fault != nil || r.Lost != 500 || r.Lines != maxWaiting+3 {
		t.Errorf("%+v", r)
	}
	if got := outcomes(t, log); got != "begun:first_start lost" {
		t.Error(got)
	}
}

// A part of a line that cannot be taken back, as in a file that may only be appended
// to, is ended and recorded.
func TestPartsThatStay(t *testing.T) {
	p := newPlace(t)
	l := p.open()
	l.Write(entry(0))
	l.mu.Lock()
	for range 2 {
		if _, err := l.file.Write([]byte(`{"v":1,"chain":"00`)); err != nil {
			t.Fatal(err)
		}
		l.torn.add([]byte(`{"v":1,"chain":"00`))
		if l.torn.unended {
			l.file.Write([]byte("\n"))
			l.torn.unended = false
		}
	}
	l.mu.Unlock()
	l.Write(entry(1))
	l.mu.Lock()
	l.file.Write([]byte(`{"v"`))
	l.torn.add([]byte(`{"v"`))
	l.mu.Unlock()
	l.Write(entry(2))
	close1(t, l)
	log := p.read(p.file)
	if got := outcomes(t, log); got != "begun:first_start BAD BAD torn BAD torn" {
		t.Error(got)
	}
	if r := verify(t, log); r.Fault != nil || r.Interrupted != 2 {
		t.Errorf("%+v", r)
	}
}
