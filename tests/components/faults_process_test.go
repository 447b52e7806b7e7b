//go:build components

package components

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// newOnDirectory is newOnDisk with the database in a directory like any other, and
// room for the forms of all rounds.
func newOnDirectory(t *testing.T) *onDisk {
	t.Helper()
	d := newOnDisk(t)
	d.text = strings.Replace(d.text, "issuer", "limits {\n\t\t\theld {\n\t\t\t\ttotal 8GiB\n\t\t\t}\n\t\t}\n\t\tissuer", 1)
	d.start()
	return d
}

// TestS27ProcessKilled: the process of the database is killed in mid-write; what
// was acknowledged is there, and nothing is to be done.
func TestS27ProcessKilled(t *testing.T) {
	d := newOnDirectory(t)
	pid := d.Pid()
	for round := range eachRound(t) {
		stop := d.busy(round)
		time.Sleep(200 * time.Millisecond)
		d.killChild()
		d.othersServed()
		if status := d.timely(d.alice, "/view/x"); status != 200 && status != 503 {
			t.Errorf("while the process of the database is replaced: %d", status)
		}
		d.heals(pid)
		d.still(stop())
	}
}

// TestS27DirectoryMoved: the data directory goes away in mid-write; it is not made
// anew, and once it is back it is in use.
func TestS27DirectoryMoved(t *testing.T) {
	d := newOnDirectory(t)
	pid, data := d.Pid(), filepath.Join(d.disk(), "data")
	for round := range eachRound(t) {
		stop := d.busy(round)
		time.Sleep(200 * time.Millisecond)
		if err := os.Rename(data, data+".away"); err != nil {
			t.Fatal(err)
		}
		d.tells("unavailable")
		enrolled := stop()
		for range 3 {
			d.othersServed()
			if status := d.timely(d.alice, "/view/x"); status != 503 {
				t.Errorf("without the directory: %d", status)
			}
		}
		if err := os.Rename(data+".away", data); err != nil {
			t.Fatalf("the directory was made anew: %v", err)
		}
		d.heals(pid)
		d.still(enrolled)
	}
}

// TestS27NoDescriptors: the process of the database can open no file when it needs
// one; then the gateway can open none, and start no other. Both are in use again
// once they may.
func TestS27NoDescriptors(t *testing.T) {
	d := newOnDirectory(t)
	pid, form := d.Pid(), "amount="+strings.Repeat("1", 900<<10)
	limit := func(pid int, soft string) {
		run(t, "prlimit", "--pid", fmt.Sprint(pid), "--nofile="+soft+":")
	}
	for round := range eachRound(t) {
		child := d.process()
		limit(child, "4")
		for n := 0; d.process() == child; n++ {
			if n == 200 {
				t.Fatal("180 MiB were written without another file")
			}
			// Some of them fail; all are answered.
			d.form(d.NewPerson(fmt.Sprintf("holds-%d-%d", round, n)), form)
		}
		d.othersServed()
		d.heals(pid)

		// There is room for a request and its upstream, and none for pipes to a
		// process and the connections of its start.
		http.DefaultClient.CloseIdleConnections()
		time.Sleep(100 * time.Millisecond)
		files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		if err != nil {
			t.Fatal(err)
		}
		limit(pid, fmt.Sprint(len(files)+1))
		d.killChild()
		d.tells("too many open files")
		if status := d.timely(d.alice, "/view/x"); status != 503 {
			t.Errorf("while no process can be started: %d", status)
		}
		time.Sleep(300 * time.Millisecond)
		if status := d.timely(d.alice, "/open"); status != 200 {
			t.Errorf("what is not protected, without descriptors: %d", status)
		}
		limit(pid, "1024")
		d.heals(pid)
	}
}

// form sends a form that is to be held.
func (d *onDisk) form(p *gateway.Person, body string) {
	d.t.Helper()
	header := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	for name, value := range cameBack {
		header[name] = value
	}
	began := time.Now()
	resp, _, err := p.Do("POST", "/wire/x", header, strings.NewReader(body))
	if took := time.Since(began); took > 2*slowest {
		d.t.Errorf("a form took %s", took)
	}
	switch {
	case err != nil:
		d.t.Fatalf("a form: %v", err)
	case resp.StatusCode != http.StatusSeeOther && resp.StatusCode != http.StatusServiceUnavailable:
		d.t.Fatalf("a form: %s", resp.Status)
	}
}
