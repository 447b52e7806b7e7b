//go:build components

package components

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// These tests put the database on a disk of its own, a file system in a file or
// one of FUSE, and have it fill up, hang and go away. They need root. Each fault
// is tried a few times; FAULT_ROUNDS=100 tries each a hundred times.

func faultRounds(t *testing.T) int {
	if n, err := strconv.Atoi(os.Getenv("FAULT_ROUNDS")); err == nil && n > 0 {
		return n
	}
	return 3
}

// slowest is how long any request may take, whatever the disk does.
const slowest = 7 * time.Second

// onDisk is a gateway whose database lies on a disk of its own, with another site
// beside it that has nothing to do with it.
type onDisk struct {
	*gateway.Gateway
	t     *testing.T
	other string // address of the other site
	text  string // the Caddyfile
	alice *gateway.Person
}

func newOnDisk(t *testing.T) *onDisk {
	t.Helper()
	up := newCounter(t)
	g := gateway.New(t, gateway.Options{Upstream: up.addr})
	d := &onDisk{Gateway: g, t: t, other: "127.0.0.1:" + gateway.FreePort(t)}
	d.text = strings.Replace(bank(""), "GW_DIR/data", "GW_DIR/disk/data", 1) + "\nhttp://" + d.other + " {\n\trespond other\n}\n"
	if err := os.Mkdir(d.disk(), 0o700); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *onDisk) disk() string { return filepath.Join(d.Dir, "disk") }

// start runs the gateway, with somebody who has a live grant for /view/.
func (d *onDisk) start() {
	d.t.Helper()
	d.Run(d.text)
	d.alice = d.NewPerson("alice")
	d.alice.Enrol(d.t, "")
	d.win(d.alice)
}

func (d *onDisk) win(p *gateway.Person) {
	d.t.Helper()
	id, err := p.Begin("VIEW")
	if err != nil {
		d.t.Fatal(err)
	}
	if status, err := p.Verify(id, "totp", p.Code(d.t)); err != nil {
		d.t.Fatalf("%d %v", status, err)
	}
}

// timely sends a GET and wants the answer in time.
func (d *onDisk) timely(p *gateway.Person, path string) int {
	d.t.Helper()
	began := time.Now()
	resp, _, err := p.Do("GET", path, map[string]string{"Accept": "application/json"}, nil)
	if took := time.Since(began); took > slowest {
		d.t.Errorf("GET %s took %s", path, took)
	}
	if err != nil {
		d.t.Errorf("GET %s: %v", path, err)
		return 0
	}
	return resp.StatusCode
}

// othersServed wants the other site to answer as if nothing were the matter.
func (d *onDisk) othersServed() {
	d.t.Helper()
	began := time.Now()
	resp, err := http.Get("http://" + d.other + "/")
	if err != nil {
		d.t.Errorf("the other site: %v", err)
		return
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	if took := time.Since(began); string(text) != "other" || took > time.Second {
		d.t.Errorf("the other site answered %q after %s", text, took)
	}
}

// health is what the health route says, and its status.
func (d *onDisk) health() (int, string) {
	d.t.Helper()
	resp, err := http.Get("http://" + d.Admin + "/step_up/health")
	if err != nil {
		d.t.Errorf("health: %v", err)
		return 0, ""
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

// heals wants what is protected to be served again, and somebody new to be able
// to enrol, in the same process.
func (d *onDisk) heals(pid int) {
	d.t.Helper()
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		status := d.timely(d.alice, "/view/x")
		if status == 200 {
			if err := d.NewPerson(fmt.Sprint("new-", time.Now().UnixNano())).TryEnrol(d.t, ""); err == nil {
				break
			}
		}
		if time.Now().After(end) {
			_, says := d.health()
			d.t.Fatalf("not in use again: %d, health %s\n%s", status, says, tail(d.Log()))
		}
	}
	if d.Pid() != pid {
		d.t.Errorf("process %d after %d", d.Pid(), pid)
	}
	if status, says := d.health(); status != 200 {
		d.t.Errorf("health: %d %s", status, says)
	}
}

func tail(log string) string { return log[max(0, len(log)-4000):] }

// busy keeps people enrolling until the returned function is called, which
// returns those that were enrolled. None may wait long for an answer.
func (d *onDisk) busy(round int) (stop func() []*gateway.Person) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var enrolled []*gateway.Person
	done := make(chan struct{})
	for w := range 4 {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				p := d.NewPerson(fmt.Sprintf("user-%d-%d-%d", round, w, n))
				began := time.Now()
				err := p.TryEnrol(d.t, "")
				if took := time.Since(began); took > 2*slowest { // two requests
					d.t.Errorf("enrolling took %s: %v", took, err)
				}
				if err == nil {
					mu.Lock()
					enrolled = append(enrolled, p)
					mu.Unlock()
				} else {
					time.Sleep(20 * time.Millisecond)
				}
			}
		})
	}
	return func() []*gateway.Person { close(done); wg.Wait(); return enrolled }
}

// still wants those who enrolled to be enrolled.
func (d *onDisk) still(enrolled []*gateway.Person) {
	d.t.Helper()
	for _, p := range enrolled {
		var me struct{ Enrolled bool }
		if _, err := p.API("GET", "/me", nil, &me); err != nil || !me.Enrolled {
			d.t.Errorf("%s is not enrolled any more: %v", p.Name, err)
		}
	}
}

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
		syscall.Sync()
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
	for round := range faultRounds(t) {
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
			if err := d.NewPerson(fmt.Sprint("hung-", n)).TryEnrol(d.t, ""); err == nil {
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
	for range faultRounds(t) {
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
	for range faultRounds(t) {
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
