//go:build components

package components

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// facts is what the gateway acknowledged before it was killed.
type facts struct {
	mu       sync.Mutex
	enrolled []*gateway.Person
	live     []token // time-based grants that passed
	spent    []token // one-time grants that were used
	used     []code  // codes that were accepted
}

type token struct{ user, cookie string }
type code struct {
	p            *gateway.Person
	method, code string
}

// TestKill9 kills the gateway under load, twenty times or FAULT_ROUNDS, and holds it to all that
// it acknowledged: enrollments are there, spent grants and codes stay spent, live
// grants work.
func TestKill9(t *testing.T) {
	up := newCounter(t)
	g := gateway.New(t, gateway.Options{Upstream: up.addr})
	var all facts
	rounds := max(20, faultRounds())
	for round := range rounds {
		g.Run(lastingBank())
		check(t, g, &all)
		var now facts
		var workers sync.WaitGroup
		stop := make(chan struct{})
		for w := range 6 {
			workers.Add(1)
			go func() {
				defer workers.Done()
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					if !live(t, g, fmt.Sprintf("user-%d-%d-%d", round, w, n), &now) {
						return
					}
				}
			}()
		}
		time.Sleep(time.Duration(150+rand.IntN(500)) * time.Millisecond)
		g.Kill()
		close(stop)
		workers.Wait()
		all.enrolled = append(all.enrolled, now.enrolled...)
		all.live = append(all.live, now.live...)
		all.spent = append(all.spent, now.spent...)
		all.used = append(all.used, now.used...)
	}
	g.Run(lastingBank())
	check(t, g, &all)
	t.Logf("held after %d kills: %d enrollments, %d live grants, %d spent grants, %d used codes", rounds, len(all.enrolled), len(all.live), len(all.spent), len(all.used))
	if len(all.enrolled) < 40 || len(all.spent) < 20 || len(all.live) < 20 {
		t.Error("too little was acknowledged to prove anything")
	}
}

// live is the life of one user; it ends with false when the gateway is gone.
func live(t *testing.T, g *gateway.Gateway, name string, f *facts) bool {
	p := g.NewPerson(name)
	add := func(do func()) { f.mu.Lock(); defer f.mu.Unlock(); do() }
	if p.TryEnroll(t, "") != nil {
		return false
	}
	add(func() { f.enrolled = append(f.enrolled, p) })
	for n, action := range []string{"VIEW", "WIRE"} {
		id, err := p.Begin(action)
		if err != nil {
			return false
		}
		method, answer := "totp", ""
		if n == 0 {
			answer = p.Code(t)
		} else {
			method, answer = "recovery_code", p.RecoveryCodes[0]
		}
		if status, err := p.Verify(id, method, answer); err != nil || status != http.StatusOK {
			return false
		}
		add(func() { f.used = append(f.used, code{p, method, answer}) })
		won := token{p.Name, cookieHeader(g, p)}
		path := map[string]string{"VIEW": "/view/", "WIRE": "/wire/"}[action] + p.Name
		resp, _, err := p.Do("GET", path, nil, nil)
		if err != nil || resp.StatusCode != http.StatusOK {
			return false
		}
		add(func() {
			if action == "VIEW" {
				f.live = append(f.live, won)
			} else {
				f.spent = append(f.spent, won)
			}
		})
	}
	return true
}

// check holds the gateway to what was acknowledged.
func check(t *testing.T, g *gateway.Gateway, f *facts) {
	t.Helper()
	for _, p := range f.enrolled {
		var me struct{ Enrolled bool }
		if _, err := p.API("GET", "/me", nil, &me); err != nil || !me.Enrolled {
			t.Fatalf("%s is not enrolled any more: %v", p.Name, err)
		}
	}
	with := func(tok token, path string) int {
		req, _ := http.NewRequest("GET", g.URL+path, nil)
		req.Header.Set(gateway.Header, tok.user)
		req.Header.Set("Cookie", tok.cookie)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for _, tok := range f.live {
		if status := with(tok, "/view/again"); status != http.StatusOK {
			t.Fatalf("the live grant of %s is gone: %d", tok.user, status)
		}
	}
	for _, tok := range f.spent {
		if status := with(tok, "/wire/again"); status != http.StatusUnauthorized {
			t.Fatalf("the spent grant of %s passed again: %d", tok.user, status)
		}
	}
	// Replaying codes costs attempts; a few of the newest are enough.
	for _, c := range f.used[max(0, len(f.used)-12):] {
		id, err := c.p.Begin("WIRE")
		if err != nil {
			t.Fatal(err)
		}
		if status, _ := c.p.Verify(id, c.method, c.code); status == http.StatusOK {
			t.Fatalf("a used %s of %s was accepted again", c.method, c.p.Name)
		}
	}
}

// TestSyncBeforeAcknowledgement traces the system calls: between the request
// that wins a grant and its answer the disk is synced, and so it is before a
// one-time grant's request goes to the application.
func TestSyncBeforeAcknowledgement(t *testing.T) {
	up := newCounter(t)
	trace := t.TempDir() + "/trace"
	g := gateway.New(t, gateway.Options{Upstream: up.addr, Wrap: []string{program(t, "strace"), "-f", "-s", "400", "-o", trace, "-e", "trace=read,write,msync,fsync,fdatasync"}})
	g.Run(bank(""))
	p := g.NewPerson("traced")
	p.Enroll(t, "")
	p.StepUp(t, "WIRE")
	if status, body := get(t, p, "/wire/of-the-traced"); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	g.Stop()
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	between := func(from, to string) {
		t.Helper()
		begin, end, syncs := -1, -1, 0
		first, last := regexp.MustCompile(from), regexp.MustCompile(to)
		for i, line := range lines {
			switch {
			case begin < 0 && first.MatchString(line):
				begin = i
			case begin >= 0 && end < 0 && last.MatchString(line):
				end = i
			case begin >= 0 && end < 0 && regexp.MustCompile(`(msync|fsync|fdatasync)(\(| resumed).*= 0`).MatchString(line):
				syncs++
			}
		}
		if begin < 0 || end < 0 || syncs == 0 {
			t.Errorf("%s … %s: lines %d to %d, %d syncs between", from, to, begin, end, syncs)
			return
		}
		t.Logf("%s … %s: %d syncs between", from, to, syncs)
	}
	// Caddy reads the first 14 bytes of a connection by themselves.
	between(`read.*/api/totp/[^/]+/confirm HTTP`, `write\(.*HTTP/1\.1 200 OK`)
	between(`read.*/api/challenges/[^/]+/verify HTTP`, `write\(.*HTTP/1\.1 200 OK`)
	between(`read.*-traced HTTP`, `write\(.*GET /wire/of-the-traced`)
}
