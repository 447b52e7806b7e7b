//go:build components

package components

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/freeport"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// run runs a program, or fails.
func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(program(t, name), args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}

// loopDisk mounts a file system of its own for the database.
func (d *onDisk) loopDisk(size int64) {
	d.t.Helper()
	image := filepath.Join(d.t.TempDir(), "disk")
	f, err := os.Create(image)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		d.t.Fatal(err)
	}
	run(d.t, "mkfs.ext4", "-q", "-F", "-m", "0", image)
	run(d.t, "mount", "-o", "loop", image, d.disk())
	d.t.Cleanup(func() {
		d.Kill()
		// The process of the database ends a moment after the gateway.
		for end := time.Now().Add(10 * time.Second); exec.Command("umount", d.disk()).Run() != nil; time.Sleep(100 * time.Millisecond) {
			if time.Now().After(end) {
				run(d.t, "umount", "-l", d.disk())
				return
			}
		}
	})
}

// fill takes what is free on the disk, and returns what gives it back.
func (d *onDisk) fill() (free func()) {
	d.t.Helper()
	path := filepath.Join(d.disk(), "fill")
	f, err := os.Create(path)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	// Another process writes until nothing more fits; blocks that are kept for
	// nobody are taken too.
	block := make([]byte, 1<<20)
	for len(block) > 0 {
		if _, err := f.Write(block); err != nil {
			block = block[:len(block)/2]
		}
	}
	if err := f.Sync(); err != nil && err != io.ErrShortWrite {
		d.t.Logf("syncing what fills the disk: %v", err)
	}
	return func() {
		d.t.Helper()
		if err := os.Remove(path); err != nil {
			d.t.Fatal(err)
		}
		run(d.t, "sync", "-f", d.disk()) // this file system alone: others may be frozen
	}
}

// TestS27FullVolume: a disk that another process fills ends neither the gateway
// nor the sites beside it, in mid-write, at SIGTERM, at a start and at a reload;
// once there is room again everything works without a restart, and what was
// acknowledged is there.
func TestS27FullVolume(t *testing.T) {
	d := newOnDisk(t)
	d.loopDisk(256 << 20)
	d.start()
	for round := range eachRound(t) {
		pid := d.Pid()
		stop := d.busy(round)
		time.Sleep(300 * time.Millisecond)
		free := d.fill()
		for range 5 {
			d.othersServed()
			if status := d.timely(d.alice, "/view/x"); status != 200 && status != 503 {
				t.Errorf("on a full disk: %d", status)
			}
			time.Sleep(100 * time.Millisecond)
		}
		d.tells("free")
		// A reload onto the same full disk may be refused, but ends nothing.
		if err := d.Load(d.text); err != nil {
			t.Logf("reload: %v", err)
		}
		d.othersServed()
		enrolled := stop()
		free()
		d.heals(pid)
		d.still(enrolled)

		free = d.fill()
		began := time.Now()
		d.Stop()
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("ending on a full disk took %s", took)
		}
		if strings.Contains(d.Log(), "\ngoroutine ") {
			t.Errorf("a crash:\n%s", tail(d.Log()))
		}
		d.Run(d.text) // on the full disk
		pid = d.Pid()
		d.othersServed()
		if status := d.timely(d.alice, "/view/x"); status != 200 && status != 503 {
			t.Errorf("started on a full disk: %d", status)
		}
		free()
		d.heals(pid)
		d.still(enrolled)
	}
}

// tells wants the health route to say a word soon.
func (d *onDisk) tells(word string) {
	d.t.Helper()
	var says string
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if _, says = d.health(); strings.Contains(says, word) {
			return
		}
	}
	d.t.Errorf("health never says %q: %s", word, says)
}

// hangs is what holds while the disk does not answer.
func (d *onDisk) hangs() {
	d.t.Helper()
	pid := d.Pid()
	var wg sync.WaitGroup
	for n := range 8 { // changes, which wait for the disk
		wg.Go(func() {
			began := time.Now()
			if err := d.NewPerson(fmt.Sprint("hung-", n)).TryEnroll(d.t, ""); err == nil {
				d.t.Error("a change was acknowledged by a disk that does not answer")
			}
			if took := time.Since(began); took > slowest {
				d.t.Errorf("a change took %s", took)
			}
		})
	}
	for range 10 {
		d.othersServed()
		time.Sleep(50 * time.Millisecond)
	}
	wg.Wait()
	if status, says := d.health(); status != 503 || !strings.Contains(says, "does not answer") {
		d.t.Errorf("health: %d %s", status, says)
	}
	if status := d.timely(d.alice, "/view/x"); status != 503 {
		d.t.Errorf("a cached grant while the disk hangs: %d", status)
	}
	began := time.Now()
	if err := d.Load(strings.Replace(d.text, "respond other", "respond other # again", 1)); err != nil {
		d.t.Logf("reload: %v", err)
	}
	if took := time.Since(began); took > 15*time.Second {
		d.t.Errorf("a reload took %s", took)
	}
	d.othersServed()
	if d.Pid() != pid {
		d.t.Errorf("process %d after %d", d.Pid(), pid)
	}
}

// TestS27Frozen: a file system that is frozen, as for a snapshot, makes no
// request wait for ever, and is in use again when it thaws.
func TestS27Frozen(t *testing.T) {
	d := newOnDisk(t)
	d.loopDisk(256 << 20)
	d.start()
	for range eachRound(t) {
		thaw := d.freeze()
		d.hangs()
		thaw()
		d.heals(d.Pid())
	}
	// Nor does ending wait for it.
	thaw := d.freeze()
	began := time.Now()
	d.Stop()
	if took := time.Since(began); took > 18*time.Second {
		t.Errorf("ending took %s", took)
	}
	thaw()
	d.Run(d.text)
	d.heals(d.Pid())
}

func (d *onDisk) freeze() (thaw func()) {
	d.t.Helper()
	run(d.t, "fsfreeze", "-f", d.disk())
	thaw = sync.OnceFunc(func() { run(d.t, "fsfreeze", "-u", d.disk()) })
	d.t.Cleanup(thaw)
	return thaw
}

// TestS27StoppedFUSE: the process behind a file system is stopped, so that even
// looking at a name hangs.
func TestS27StoppedFUSE(t *testing.T) {
	d := newOnDisk(t)
	server := d.fuseDisk()
	d.start()
	for range eachRound(t) {
		if err := server.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		d.hangs()
		if err := server.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		d.heals(d.Pid())
	}
}

// fuseDisk mounts a directory by way of a process, which it returns.
func (d *onDisk) fuseDisk() *os.Process {
	d.t.Helper()
	cmd := exec.Command(program(d.t, "bindfs"), "-f", "-o", "dev,suid", d.t.TempDir(), d.disk())
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGCONT)
		d.Kill()
		exec.Command("umount", "-l", d.disk()).Run()
		cmd.Process.Kill()
		cmd.Wait()
	})
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		mounts, err := os.ReadFile("/proc/mounts")
		if err != nil {
			d.t.Fatal(err)
		}
		if strings.Contains(string(mounts), d.disk()) {
			return cmd.Process
		}
		if time.Now().After(end) {
			d.t.Fatal("bindfs did not mount")
		}
	}
}

// TestS27NoPermission: a data directory that the gateway may not enter any more,
// while it runs and at a start, is told, and is in use again once it may. The
// gateway runs as nobody, since nothing is forbidden to root.
func TestS27NoPermission(t *testing.T) {
	up := newCounter(t)
	const nobody = 65534
	g := gateway.New(t, gateway.Options{Upstream: up.addr, Wrap: []string{
		program(t, "setpriv"), fmt.Sprint("--reuid=", nobody), fmt.Sprint("--regid=", nobody), "--clear-groups", "--",
	}})
	d := &onDisk{Gateway: g, t: t, other: "127.0.0.1:" + freeport.Find(t)}
	d.text = d.sites()
	for dir := d.Dir; ; dir = filepath.Dir(dir) { // the test's directories are private to root
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if filepath.Dir(dir) == os.TempDir() {
			break
		}
	}
	if err := os.Chmod(filepath.Dir(gateway.Binary(t)), 0o755); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(d.Dir, "data")
	d.Write(d.text)
	for _, path := range []string{d.Dir, filepath.Join(d.Dir, "Caddyfile")} {
		if err := os.Chown(path, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	d.start()
	forbid := func() (allow func()) {
		t.Helper()
		if err := os.Chown(data, 0, 0); err != nil {
			t.Fatal(err)
		}
		return func() {
			t.Helper()
			if err := os.Chown(data, nobody, nobody); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range eachRound(t) {
		pid := d.Pid()
		allow := forbid()
		d.killChild()
		d.tells("permission denied")
		if status := d.timely(d.alice, "/view/x"); status != 503 {
			t.Errorf("without permission: %d", status)
		}
		d.othersServed()
		allow()
		d.heals(pid)

		d.Stop()
		allow = forbid()
		d.Run(d.text)
		pid = d.Pid()
		if status := d.timely(d.alice, "/view/x"); status != 503 {
			t.Errorf("started without permission: %d", status)
		}
		d.othersServed()
		allow()
		d.heals(pid)
	}
}

// killChild kills the process of the database.
func (d *onDisk) killChild() {
	d.t.Helper()
	process := d.process()
	if process == 0 {
		d.t.Fatal("health names no process")
	}
	if err := syscall.Kill(process, syscall.SIGKILL); err != nil {
		d.t.Fatal(err)
	}
}

// process is that of the database as health has it, 0 where there is none.
func (d *onDisk) process() int {
	d.t.Helper()
	var h struct{ Process int }
	if _, says := d.health(); json.Unmarshal([]byte(says), &h) != nil {
		d.t.Fatalf("health says %s", says)
	}
	return h.Process
}
