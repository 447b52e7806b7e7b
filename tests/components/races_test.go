//go:build components

package components

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

const (
	racers = 64
	rounds = 50
)

// reloader loads ever new configurations until the test ends.
type reloader struct {
	mu    sync.Mutex // held while one is loaded
	count int
}

func reloading(t *testing.T, g *gateway.Gateway) *reloader {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	r := new(reloader)
	done.Add(1)
	go func() {
		defer done.Done()
		for n := 0; ctx.Err() == nil; n++ {
			r.quietly(func() {
				if err := g.Load(bank(fmt.Sprintf("protect EXTRA_%d /extra/%d/* {\n grant time_based 1m\n }", n%7, n%7))); err != nil {
					t.Error(err)
					cancel()
				}
				r.count++
				time.Sleep(5 * time.Millisecond) // the old listener closes
			})
			time.Sleep(5 * time.Millisecond)
		}
	}()
	t.Cleanup(func() {
		cancel()
		done.Wait()
	})
	return r
}

// quietly does what a lost connection would spoil while nothing is reloaded: on
// a reload the kernel drops connections that no handler has seen yet.
func (r *reloader) quietly(do func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	do()
}

// race starts n callers at once and counts those that f reports as passed.
func race(n int, f func(i int) bool) int {
	var start, done sync.WaitGroup
	var passed atomic.Int64
	start.Add(1)
	for i := range n {
		done.Add(1)
		go func() {
			defer done.Done()
			start.Wait()
			if f(i) {
				passed.Add(1)
			}
		}()
	}
	start.Done()
	done.Wait()
	return int(passed.Load())
}

// TestS03OneTimeGrantRaceDuringReloads sends one one-time grant in 64 requests
// at once, over as many connections.
func TestS03OneTimeGrantRaceDuringReloads(t *testing.T) {
	up := newCounter(t)
	g := gateway.Start(t, bank(""), gateway.Options{Upstream: up.addr})
	reloads := reloading(t, g)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: racers}, Timeout: time.Minute}
	for round := range rounds {
		p := g.NewPerson(fmt.Sprintf("racer-%d", round))
		reloads.quietly(func() {
			p.Enroll(t, "")
			p.StepUp(t, "WIRE")
		})
		cookie, path := cookieHeader(g, p), fmt.Sprintf("/wire/%d", round)
		passed := race(racers, func(int) bool {
			req, _ := http.NewRequest("GET", g.URL+path, nil)
			req.Header.Set(gateway.Header, p.Name)
			req.Header.Set("Cookie", cookie)
			resp, err := patient(client, req)
			if err != nil {
				t.Error(err)
				return false
			}
			defer resp.Body.Close()
			io.Copy(io.Discard, resp.Body)
			if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("round %d: status %s", round, resp.Status)
			}
			return resp.StatusCode == http.StatusOK
		})
		if passed != 1 || up.count(path) != 1 {
			t.Fatalf("round %d: %d requests passed and %d reached the application, want 1", round, passed, up.count(path))
		}
	}
	t.Logf("%d rounds of %d requests, %d reloads meanwhile", rounds, racers, reloads.count)
}

func quietBegin(t *testing.T, r *reloader, p *gateway.Person, action string) (id string) {
	t.Helper()
	r.quietly(func() {
		var err error
		if id, err = p.Begin(action); err != nil {
			t.Fatal(err)
		}
	})
	return id
}

// TestS04CodeRaceDuringReloads gives one TOTP code, and then one recovery code,
// in 64 answers at once.
func TestS04CodeRaceDuringReloads(t *testing.T) {
	up := newCounter(t)
	g := gateway.Start(t, bank(""), gateway.Options{Upstream: up.addr})
	reloads := reloading(t, g)
	for round := range rounds {
		p := g.NewPerson(fmt.Sprintf("racer-%d", round))
		reloads.quietly(func() { p.Enroll(t, "") })
		for _, method := range []string{"totp", "recovery_code"} {
			id := quietBegin(t, reloads, p, "VIEW")
			code := p.RecoveryCodes[0]
			if method == "totp" {
				code = p.Code(t)
			}
			all := make([]*begun, racers)
			for i := range all {
				all[i] = begin(t, g, p, "/.step-up/api/challenges/"+id+"/verify", fmt.Sprintf(`{"method":%q,"code":%q}`, method, code))
			}
			passed := race(racers, func(i int) bool {
				status, body, err := all[i].end()
				switch status {
				case 200:
					return true
				case 404, 410, 422, 429:
					return false
				}
				t.Errorf("round %d, %s: status %d %s %v", round, method, status, body, err)
				return false
			})
			if passed != 1 {
				t.Fatalf("round %d: one %s was accepted %d times", round, method, passed)
			}
			// And not a second time for another challenge.
			again := quietBegin(t, reloads, p, "WIRE")
			reloads.quietly(func() {
				if status, _ := p.Verify(again, method, code); status == 200 || status == 0 {
					t.Fatalf("round %d: a used %s gets %d", round, method, status)
				}
			})
			if method == "totp" {
				// The racers used up the free attempts; the operator forgives
				// them, so that the second race is about the code alone.
				reloads.quietly(func() {
					if out, err := g.StepUp("unlock", p.Name, "--tenant", "t"); err != nil {
						t.Fatalf("%v: %s", err, out)
					}
				})
			}
		}
	}
	t.Logf("%d rounds of %d answers for each kind of code, %d reloads meanwhile", rounds, racers, reloads.count)
}
