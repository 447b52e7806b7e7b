//go:build components

package components

import (
	"fmt"
	"io"
	"iter"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/freeport"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// These tests put the database on a disk of its own, a file system in a file or
// one of FUSE, and have it fill up, hang and go away. They need root. Each fault
// is tried a few times; FAULT_ROUNDS=100 tries each a hundred times.

func faultRounds() int {
	if n, err := strconv.Atoi(os.Getenv("FAULT_ROUNDS")); err == nil && n > 0 {
		return n
	}
	return 3
}

// eachRound counts the rounds of a test until it fails, and tells how long they
// take.
func eachRound(t *testing.T) iter.Seq[int] {
	return func(yield func(int) bool) {
		for n := range faultRounds() {
			began := time.Now()
			if t.Failed() || !yield(n) {
				return
			}
			t.Logf("round %d took %v", n+1, time.Since(began).Round(time.Millisecond))
		}
	}
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
	d := &onDisk{Gateway: g, t: t, other: "127.0.0.1:" + freeport.Find(t)}
	d.text = strings.Replace(d.sites(), "GW_DIR/data", "GW_DIR/disk/data", 1)
	if err := os.Mkdir(d.disk(), 0o700); err != nil {
		t.Fatal(err)
	}
	return d
}

// lastingBank is a bank whose grants outlive all rounds.
func lastingBank() string { return strings.Replace(bank(""), "time_based 10m", "time_based 12h", 1) }

func (d *onDisk) sites() string {
	return lastingBank() + "\nhttp://" + d.other + " {\n\trespond other\n}\n"
}

func (d *onDisk) disk() string { return filepath.Join(d.Dir, "disk") }

// start runs the gateway, with somebody who has a live grant for /view/.
func (d *onDisk) start() {
	d.t.Helper()
	d.Run(d.text)
	d.alice = d.NewPerson("alice")
	d.alice.Enroll(d.t, "")
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
	req, err := http.NewRequest("GET", d.URL+path, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set(gateway.Header, p.Name)
	req.Header.Set("Accept", "application/json")
	began := time.Now()
	resp, err := patient(p.Client, req)
	if took := time.Since(began); took > slowest {
		d.t.Errorf("GET %s took %s", path, took)
	}
	if err != nil {
		d.t.Errorf("GET %s: %v", path, err)
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// othersServed wants the other site to answer as if nothing were the matter.
func (d *onDisk) othersServed() {
	d.t.Helper()
	req, err := http.NewRequest("GET", "http://"+d.other+"/", nil)
	if err != nil {
		d.t.Fatal(err)
	}
	began := time.Now()
	resp, err := patient(http.DefaultClient, req)
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
// to enroll, in the same process.
func (d *onDisk) heals(pid int) {
	d.t.Helper()
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		status := d.timely(d.alice, "/view/x")
		if status == 200 {
			if err := d.NewPerson(fmt.Sprint("new-", time.Now().UnixNano())).TryEnroll(d.t, ""); err == nil {
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
				err := p.TryEnroll(d.t, "")
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
