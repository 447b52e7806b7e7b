package caddymodule_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// storeProcesses are the processes of databases that this one has started.
func storeProcesses(t *testing.T) (pids []int) {
	t.Helper()
	names, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		stat, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		var state string
		var parent int
		if _, err := fmt.Sscan(rest, &state, &parent); err != nil || parent != os.Getpid() || state == "Z" {
			continue
		}
		command, err := os.ReadFile(filepath.Join(filepath.Dir(name), "cmdline"))
		if pid, perr := strconv.Atoi(filepath.Base(filepath.Dir(name))); err == nil && perr == nil && strings.Contains(string(command), "step-up-store") {
			pids = append(pids, pid)
		}
	}
	return pids
}

// An older copy is put back while Caddy runs, and the database's process ends:
// the grant that was passed on a moment before, without the database being read,
// passes no more.
func TestS25OlderCopyWhileCaddyRuns(t *testing.T) {
	for name, mark := range map[string]string{"with a mark": "{{dir}}/mark", "without": "off"} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			text := withMark(b.config(keyFile, protectAdmin, ""), mark)
			b.Load(text)
			alice := b.enroll("alice")
			b.stop()
			copied := b.copyData()
			b.Load(text)
			grant := alice.win("ADMIN")
			if resp, answer := alice.do("GET", "/admin/", nil, grant); resp.StatusCode != 200 {
				t.Fatal(resp.StatusCode, answer)
			}
			pids := storeProcesses(t)
			if len(pids) != 1 {
				t.Fatal("processes of the database:", pids)
			}
			b.putBack(copied)
			if err := syscall.Kill(pids[0], syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			rounds := 0
			for end := time.Now().Add(20 * time.Second); ; rounds++ {
				resp, answer := alice.do("GET", "/admin/", nil, grant)
				if answer["code"] == "store_rolled_back" {
					break
				}
				// Until it is noticed that the process has ended it may pass.
				if resp.StatusCode != 503 && resp.StatusCode != 200 {
					t.Fatal(resp.StatusCode, answer)
				}
				if time.Now().After(end) {
					t.Fatal("it is never told as an older copy:", resp.StatusCode, answer)
				}
				time.Sleep(10 * time.Millisecond)
			}
			for range 20 {
				alice.isRefused("GET", "/admin/", grant)
			}
			if out, err := b.run("fence", "accept", "--yes"); err != nil || !strings.Contains(out, "not known what was taken away") {
				t.Fatal(out, err)
			}
			if resp, answer := alice.do("GET", "/admin/", nil, grant); resp.StatusCode != 401 {
				t.Error("once it is accepted:", resp.StatusCode, answer)
			}
			bob := b.enroll("bob")
			if resp, _ := bob.do("GET", "/admin/", nil, bob.win("ADMIN")); resp.StatusCode != 200 {
				t.Error("nothing passes any more:", resp.StatusCode)
			}
		})
	}
}
