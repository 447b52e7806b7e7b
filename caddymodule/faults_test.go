//go:build unix

package caddymodule_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// within is how long a request may take, and how long a test waits for the
// gateway to notice a fault or its end.
const within = 6 * time.Second

// timely sends a request as a person, and wants the answer in time.
func (p *person) timely(method, path string, cookies ...*http.Cookie) (*http.Response, map[string]any) {
	p.b.t.Helper()
	began := time.Now()
	resp, answer := p.do(method, path, nil, cookies...)
	if took := time.Since(began); took > within {
		p.b.t.Errorf("%s %s took %s", method, path, took)
	}
	return resp, answer
}

// becomes waits until a request is answered with a status.
func (p *person) becomes(status int, path string, cookies ...*http.Cookie) (*http.Response, map[string]any) {
	p.b.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		resp, answer := p.timely("GET", path, cookies...)
		if resp.StatusCode == status {
			return resp, answer
		}
		if time.Now().After(end) {
			p.b.t.Fatalf("%s: %d %v, want %d", path, resp.StatusCode, answer, status)
		}
	}
}

// health wants the health route to answer a status, and returns the answer.
func (b *bed) health(status int, word string) map[string]any {
	b.t.Helper()
	got, answer := b.admin("GET", "/step_up/health", nil)
	if got != status || answer["status"] != word {
		b.t.Errorf("health: %d %v, want %d %s", got, answer, status, word)
	}
	return answer
}

// child is the process that has the database open.
func (b *bed) child() *os.Process {
	b.t.Helper()
	pid, _ := b.health(200, "ok")["process"].(float64)
	p, err := os.FindProcess(int(pid))
	if err != nil || pid == 0 {
		b.t.Fatalf("no process: %v, %v", pid, err)
	}
	return p
}

// TestS27ChildKilled: nothing passes while the database is out of use, not even
// by a cached grant; the refusal says when to come again; and it comes back by
// itself.
func TestS27ChildKilled(t *testing.T) {
	b := newBed(t)
	text := b.config(keyFile, protectAdmin, "")
	b.Load(text)
	alice := b.enroll("alice")
	grant := alice.win("ADMIN")
	for n := range 3 {
		alice.becomes(200, "/admin/", grant)
		// The next child finds nothing until the directory is back, so the gap
		// can be looked at.
		away := move(t, filepath.Join(b.Dir, "data"))
		if err := b.child().Kill(); err != nil {
			t.Fatal(err)
		}
		resp, answer := alice.becomes(503, "/admin/", grant)
		if answer["code"] != "unavailable" || resp.Header.Get("Retry-After") == "" {
			t.Errorf("refused with %v %v", answer, resp.Header)
		}
		b.health(503, "unavailable")
		if resp, _ := alice.timely("GET", "/"); resp.StatusCode != 200 {
			t.Errorf("what is not protected: %d", resp.StatusCode)
		}
		if resp, _ := alice.timely("GET", "/.step-up/"); resp.StatusCode != 503 {
			t.Errorf("the pages: %d", resp.StatusCode)
		}
		if n == 0 {
			if err := b.TryLoad(text); err == nil || !strings.Contains(err.Error(), "out of use") {
				t.Errorf("a reload onto a database that is out of use: %v", err)
			}
			if resp, _ := alice.timely("GET", "/"); resp.StatusCode != 200 {
				t.Errorf("what is not protected, after a refused reload: %d", resp.StatusCode)
			}
		}
		away()
	}
	alice.becomes(200, "/admin/", grant)
	b.health(200, "ok")
}

// move moves a directory away, and returns what brings it back.
func move(t *testing.T, path string) (back func()) {
	t.Helper()
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := os.Rename(path+".away", path); err != nil {
			t.Fatal(err)
		}
	}
}

// TestS27DirectoryRemoved: a data directory that goes away while it is in use is
// noticed without a request, is not made anew, and is in use again once it is
// back.
func TestS27DirectoryRemoved(t *testing.T) {
	b := newBed(t)
	b.Load(b.config(keyFile, protectAdmin, ""))
	alice := b.enroll("alice")
	grant := alice.win("ADMIN")
	alice.becomes(200, "/admin/", grant)
	away := move(t, filepath.Join(b.Dir, "data"))
	alice.becomes(503, "/admin/", grant)
	if reason, _ := b.health(503, "unavailable")["reason"].(string); !strings.Contains(reason, filepath.Join(b.Dir, "data")) {
		t.Errorf("health says %q", reason)
	}
	time.Sleep(300 * time.Millisecond) // for another attempt or two
	if _, err := os.Stat(filepath.Join(b.Dir, "data")); err == nil {
		t.Error("the directory was made anew")
	}
	away()
	alice.becomes(200, "/admin/", grant)
	b.health(200, "ok")
}

// TestS27ColdStart: a first start with a database that cannot be opened serves
// what is not protected, refuses the rest, says why, and needs no restart once
// the cause is gone.
func TestS27ColdStart(t *testing.T) {
	b := newBed(t)
	text := b.config(keyFile, protectAdmin, "")
	b.Load(text)
	alice := b.enroll("alice")
	grant := alice.win("ADMIN")
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	mend := damage(t, filepath.Join(b.Dir, "data", "MANIFEST"))
	began := time.Now()
	b.Load(text)
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("the start took %s", took)
	}
	for range 3 {
		if resp, _ := alice.timely("GET", "/"); resp.StatusCode != 200 {
			t.Errorf("what is not protected: %d", resp.StatusCode)
		}
		if resp, answer := alice.timely("GET", "/admin/", grant); resp.StatusCode != 503 || answer["code"] != "unavailable" {
			t.Errorf("what is protected: %d %v", resp.StatusCode, answer)
		}
		if resp, _ := alice.timely("GET", "/.step-up/api/me"); resp.StatusCode != 503 {
			t.Errorf("the JSON API: %d", resp.StatusCode)
		}
	}
	if reason, _ := b.health(503, "unavailable")["reason"].(string); !strings.Contains(reason, "damaged") {
		t.Errorf("health says %q", reason)
	}
	if !strings.Contains(b.Log(), "Caddy starts without the step-up database") {
		t.Error("the log does not say that Caddy starts without the database")
	}
	// A reload of the same directory changes nothing about it.
	if err := b.TryLoad(strings.Replace(text, "10m", "9m", 1)); err == nil {
		t.Error("a reload onto a database that cannot be opened was accepted")
	}
	mend()
	alice.becomes(200, "/admin/", grant)
	b.health(200, "ok")
	b.Load(strings.Replace(text, "10m", "9m", 1))
	if !strings.Contains(b.Log(), "the database is in use now") {
		t.Error("the log does not say that the database is in use")
	}
}

// damage changes a bit in the middle of a file, and returns what mends it.
func damage(t *testing.T, path string) (mend func()) {
	t.Helper()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(whole)
	damaged[len(damaged)/2] ^= 1
	if err := os.WriteFile(path, damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestS27ReloadOntoDamage: a reload onto a database that cannot be opened is
// refused with a sentence, and the configuration before goes on.
func TestS27ReloadOntoDamage(t *testing.T) {
	b := newBed(t)
	text := b.config(keyFile, protectAdmin, "")
	elsewhere := strings.NewReplacer("{{dir}}/data", "{{dir}}/other", "{{dir}}/key", "{{dir}}/otherkey").Replace(text)
	b.Load(elsewhere)
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	damage(t, filepath.Join(b.Dir, "other", "MANIFEST"))
	b.Load(text)
	alice := b.enroll("alice")
	grant := alice.win("ADMIN")
	child := b.child().Pid
	err := b.TryLoad(elsewhere)
	if err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("the reload: %v", err)
	}
	if resp, _ := alice.timely("GET", "/admin/", grant); resp.StatusCode != 200 {
		t.Errorf("after a refused reload: %d", resp.StatusCode)
	}
	if now := b.child().Pid; now != child {
		t.Errorf("the database is in process %d after %d", now, child)
	}
}

// TestS27DiskHangs stops the process of the database, as a disk that does not
// answer does: no request waits long, none passes, and it heals by itself.
func TestS27DiskHangs(t *testing.T) {
	b := newBed(t)
	b.Load(b.config(keyFile, protectAdmin, ""))
	alice := b.enroll("alice")
	grant := alice.win("ADMIN")
	alice.becomes(200, "/admin/", grant)
	child := b.child()
	if err := child.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer child.Signal(syscall.SIGCONT)
	for stopped := false; !stopped; { // its threads stop one after the other
		_, err := syscall.Wait4(child.Pid, nil, syscall.WUNTRACED, nil)
		stopped = err != syscall.EINTR
	}
	var wg sync.WaitGroup
	for _, path := range []string{"/admin/", "/.step-up/", "/.step-up/api/me"} {
		wg.Go(func() {
			if resp, answer := (&person{b: b, name: "bob"}).timely("GET", path); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
				t.Errorf("%s: %d %v", path, resp.StatusCode, answer)
			}
		})
	}
	if resp, _ := alice.timely("GET", "/"); resp.StatusCode != 200 {
		t.Errorf("what is not protected: %d", resp.StatusCode)
	}
	wg.Wait()
	if reason, _ := b.health(503, "unavailable")["reason"].(string); !strings.Contains(reason, "does not answer since") {
		t.Errorf("health says %q", reason)
	}
	if resp, _ := alice.timely("GET", "/admin/", grant); resp.StatusCode != 503 {
		t.Errorf("a cached grant: %d", resp.StatusCode)
	}
	if err := child.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	alice.becomes(200, "/admin/", grant)
	if now := b.child().Pid; now != child.Pid {
		t.Errorf("process %d after %d", now, child.Pid)
	}
}

// TestS26OutageIsQuiet: while the database is out of use, strangers' requests do
// not fill the log.
func TestS26OutageIsQuiet(t *testing.T) {
	b := newBed(t)
	b.Load(b.config(keyFile, protectAdmin, ""))
	alice := b.enroll("alice")
	away := move(t, filepath.Join(b.Dir, "data"))
	defer away()
	alice.becomes(503, "/admin/")
	before := len(b.Log())
	for range 200 {
		if resp, _ := alice.timely("GET", "/admin/"); resp.StatusCode != 503 {
			t.Fatalf("%d while the database is out of use", resp.StatusCode)
		}
	}
	if n := strings.Count(b.Log()[before:], `"level":"error"`); n > 10 {
		t.Errorf("200 refusals left %d errors in the log", n)
	}
}
