//go:build components

package components

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// confined makes a memory cgroup of so many bytes, without swap, and returns the
// file into which a process writes its id to be in it, with its children.
func confined(t *testing.T, bytes int64) (procs string) {
	t.Helper()
	name, limit := fmt.Sprintf("step-up-%d", os.Getpid()), strconv.FormatInt(bytes, 10)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("a memory cgroup is needed, as root, with /sys/fs/cgroup writable: %v", err)
		}
	}
	write := func(dir, file, value string) error {
		return os.WriteFile(filepath.Join(dir, file), []byte(value), 0o600)
	}
	var dir string
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil { // version 2
		dir = filepath.Join("/sys/fs/cgroup", name)
		must(write("/sys/fs/cgroup", "cgroup.subtree_control", "+memory"))
		must(os.Mkdir(dir, 0o700))
		must(write(dir, "memory.max", limit))
		must(write(dir, "memory.swap.max", "0"))
	} else {
		dir = filepath.Join("/sys/fs/cgroup/memory", name)
		must(os.Mkdir(dir, 0o700))
		must(write(dir, "memory.limit_in_bytes", limit))
		_ = write(dir, "memory.swappiness", "0") // there may be no swap at all
	}
	t.Cleanup(func() {
		for range 100 { // the processes may be ending
			if os.Remove(dir) == nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		t.Errorf("%s is left behind", dir)
	})
	return filepath.Join(dir, "cgroup.procs")
}

// getting asks for an address again and again until the returned function is
// called, which gives how long each answer took.
func getting(t *testing.T, url string) (stop func() []time.Duration) {
	t.Helper()
	var over atomic.Bool
	var took []time.Duration
	var group sync.WaitGroup
	group.Go(func() {
		client := &http.Client{Timeout: 10 * time.Second}
		for !over.Load() {
			began := time.Now()
			req, _ := http.NewRequest("GET", url, nil)
			req.Header.Set(gateway.Header, "someone")
			resp, err := client.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Error("a GET gets", resp.Status)
				return
			}
			took = append(took, time.Since(began))
			time.Sleep(time.Millisecond)
		}
	})
	return func() []time.Duration {
		over.Store(true)
		group.Wait()
		slices.Sort(took)
		return took
	}
}

// TestS26FormsInLittleMemory sends 64 forms of 900 KiB of one person and 64 of
// others at once to a gateway in a memory cgroup of 256 MiB: it lives, with the
// process of its database, and GETs of others are not slowed by more than 2 times.
func TestS26FormsInLittleMemory(t *testing.T) {
	up := newCounter(t)
	procs := confined(t, 256<<20)
	g := gateway.Start(t, bank(""), gateway.Options{Upstream: up.addr, Wrap: []string{"sh", "-c", `echo $$ >"$0" && exec "$@"`, procs}})
	body := strings.Repeat("amount=1&", 900<<10/9)
	client := &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 128}, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	flood := func(path string) map[int]int {
		var mu sync.Mutex
		got := make(map[int]int)
		var group sync.WaitGroup
		for i := range 128 {
			who := "alice"
			if i%2 == 1 {
				who = fmt.Sprint("other", i)
			}
			group.Go(func() {
				req, _ := http.NewRequest("POST", g.URL+path, strings.NewReader(body))
				req.Header.Set(gateway.Header, who)
				for name, value := range cameBack {
					req.Header.Set(name, value)
				}
				req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				status := 0
				if resp, err := client.Do(req); err == nil {
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
					status = resp.StatusCode
				} else {
					t.Error(who, err)
				}
				mu.Lock()
				defer mu.Unlock()
				got[status]++
			})
		}
		group.Wait()
		return got
	}
	median := func(took []time.Duration) time.Duration { return took[len(took)/2] }

	calm := getting(t, g.URL+"/open")
	time.Sleep(2 * time.Second)
	alone := calm()
	busy := getting(t, g.URL+"/open")
	passed := flood("/open")
	beside := busy()
	busy = getting(t, g.URL+"/open")
	began := time.Now()
	held := flood("/wire/1")
	lasted := time.Since(began)
	during := busy()
	if held[http.StatusSeeOther] < 64+30 || held[http.StatusSeeOther]+held[http.StatusTooManyRequests]+held[http.StatusServiceUnavailable] != 128 {
		t.Errorf("the forms got %v", held)
	}
	if passed[http.StatusOK] != 128 {
		t.Errorf("the forms that are passed on got %v", passed)
	}
	if limit := max(2*median(alone), 3*time.Millisecond); median(during) > limit {
		t.Errorf("a GET takes %v, at most %v", median(during), limit)
	}
	if err := syscall.Kill(g.Pid(), 0); err != nil || strings.Contains(g.Log(), "\"level\":\"error\"") {
		t.Errorf("the gateway: %v\n%s", err, g.Log())
	}
	most, _ := os.ReadFile(filepath.Join(filepath.Dir(procs), "memory.max_usage_in_bytes"))
	t.Logf("held in %v: %v; a GET takes %v alone, %v while forms are passed on, %v while they are held (%d); most memory %s",
		lasted, held, median(alone), median(beside), median(during), len(during), strings.TrimSpace(string(most)))
}
