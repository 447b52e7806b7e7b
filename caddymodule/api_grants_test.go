package caddymodule_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestS02AcceptAPI: a grant that a server won opens what its user, its action type
// and today's rule let it open, where the rule accepts such grants at all.
func TestS02AcceptAPI(t *testing.T) {
	b := newBed(t)
	rules := rule("OPEN", "grant time_based 10m\naccept api") +
		rule("CLOSED", "grant time_based 10m") +
		rule("ONCE", "grant one_time 2m\naccept api") +
		rule("BRIEF", "grant time_based 1s\naccept api") +
		rule("CODES", "grant time_based 10m\nmethods recovery_code\naccept api")
	other := "\nhttp://127.0.0.2:{{port}} {\nvars user {header.X-Test-User}\nstep_up {\ntenant other\nidentity placeholder {http.vars.user}\n" + rules + "}\nrespond ok\n}\n"
	b.Load(b.withAPI(b.config(keyFile, rules, "")+other, ""))
	ours := b.newServer(anyVerb...)
	theirs := b.newServer("--tenant", "other", "--scope", "verify,grants", "--any-action")
	apart := *b
	bedApart := *b.Bed
	bedApart.URL = "http://127.0.0.2:" + b.Port
	apart.Bed = &bedApart

	people := 0
	enroll := func(b *bed) *person {
		people++
		return b.enroll(fmt.Sprintf("person%d", people))
	}
	for name, tc := range map[string]struct {
		action, use string
		seconds     int
		at          string // the rule that the grant is brought to
		wait        time.Duration
		want        int
	}{
		"as the rule says":              {"OPEN", timeBased, 600, "OPEN", 0, 200},
		"longer than the rule says":     {"OPEN", timeBased, 86400, "OPEN", 0, 200},
		"one-time, as the rule says":    {"ONCE", once, 120, "ONCE", 0, 200},
		"a rule without accept":         {"CLOSED", timeBased, 600, "CLOSED", 0, 401},
		"another action type":           {"OPEN", timeBased, 600, "CODES", 0, 401},
		"time-based for one-time":       {"ONCE", timeBased, 600, "ONCE", 0, 401},
		"one-time for time-based":       {"OPEN", once, 120, "OPEN", 0, 401},
		"older than the rule lets":      {"BRIEF", timeBased, 600, "BRIEF", 1100 * time.Millisecond, 401},
		"older than the server said":    {"OPEN", timeBased, 1, "OPEN", 1100 * time.Millisecond, 401},
		"by a means that does not do":   {"CODES", timeBased, 600, "CODES", 0, 401},
		"for an action that no rule is": {"ELSE", timeBased, 600, "OPEN", 0, 401},
	} {
		p := enroll(b)
		grant := ours.win(p, tc.action, tc.use, tc.seconds)
		time.Sleep(tc.wait)
		path := "/" + strings.ToLower(tc.at)
		if resp, answer := p.do("GET", path, nil, carried("default", tc.at, grant)); resp.StatusCode != tc.want {
			t.Errorf("%s: %d %v, want %d", name, resp.StatusCode, answer, tc.want)
		}
		if resp, _ := (&person{b: b, name: "mallory"}).do("GET", path, nil, carried("default", tc.at, grant)); resp.StatusCode != 401 {
			t.Errorf("%s, for another user: %d", name, resp.StatusCode)
		}
	}

	// The same name in two tenants is two people.
	alice, namesake := b.enroll("alice"), apart.enroll("alice")
	mine, hers := ours.win(alice, "OPEN", timeBased, 600), theirs.win(namesake, "OPEN", timeBased, 600)
	for _, tc := range []struct {
		p     *person
		name  string // of the tenant whose cookie it is
		grant string
		want  int
	}{
		{alice, "default", mine, 200}, {namesake, "other", hers, 200},
		{alice, "default", hers, 401}, {namesake, "other", mine, 401}, {alice, "other", mine, 401},
	} {
		if resp, _ := tc.p.do("GET", "/open", nil, carried(tc.name, "OPEN", tc.grant)); resp.StatusCode != tc.want {
			t.Errorf("%s's cookie: %d, want %d", tc.name, resp.StatusCode, tc.want)
		}
	}
	for _, tc := range []struct {
		s     *server
		grant string
		want  int
	}{{ours, mine, 200}, {theirs, hers, 200}, {ours, hers, 400}, {theirs, mine, 400}} {
		if got := tc.s.check("alice", "OPEN", tc.grant); got != tc.want {
			t.Errorf("checking across tenants: %d, want %d", got, tc.want)
		}
	}
}

// TestS02BrowserGrantOverAPI: a server can check what its user won on the pages,
// within the rule of today.
func TestS02BrowserGrantOverAPI(t *testing.T) {
	b := newBed(t)
	text := func(rules string) string { return b.withAPI(b.config(keyFile, rules, ""), "") }
	b.Load(text(protectAdmin + protectTransfer))
	s := b.newServer("--tenant", "default", "--scope", "grants")
	alice := b.enroll("alice")
	grant, single := alice.win("ADMIN").Value, alice.win("TRANSFER").Value
	for name, tc := range map[string]struct {
		user, action, grant string
		want                int
	}{
		"hers":             {"alice", "ADMIN", grant, 200},
		"again":            {" Alice ", "ADMIN", grant, 200},
		"another user":     {"bob", "ADMIN", grant, 400},
		"another action":   {"alice", "TRANSFER", grant, 400},
		"no grant":         {"alice", "ADMIN", strings.Replace(grant, "sug_", "sug-", 1), 400},
		"for her to use":   {"alice", "ADMIN", single, 400},
		"for bob to waste": {"bob", "TRANSFER", single, 400},
	} {
		if got := s.check(tc.user, tc.action, tc.grant); got != tc.want {
			t.Errorf("%s: %d, want %d", name, got, tc.want)
		}
	}
	if got := s.check("alice", "TRANSFER", single); got != 200 {
		t.Errorf("one-time: %d", got)
	}
	if got := s.check("alice", "TRANSFER", single); got != 400 {
		t.Errorf("one-time, again: %d, want 400", got)
	}
	if resp, _ := alice.do("POST", "/transfer", object{}, carried("default", "TRANSFER", single)); resp.StatusCode != 401 {
		t.Errorf("one-time, at the route after that: %d, want 401", resp.StatusCode)
	}
	// The rule becomes stricter; the grant is good for no more than it says now.
	b.Load(text(rule("ADMIN", "grant time_based 10m\nmethods recovery_code")))
	if got := s.check("alice", "ADMIN", grant); got != 400 {
		t.Errorf("by a means that the rule takes no more: %d, want 400", got)
	}
}

// TestS03OnceInAll: whichever side spends a one-time grant, and whoever won it, it
// is spent once.
func TestS03OnceInAll(t *testing.T) {
	b := newBed(t)
	b.Load(b.withAPI(b.config(keyFile, rule("ONCE", "grant one_time 2m\naccept api"), ""), ""))
	s := b.newServer(anyVerb...)
	for round := range 4 {
		p := b.enroll(fmt.Sprintf("racer%d", round))
		var cookie *http.Cookie
		if round%2 == 0 {
			cookie = carried("default", "ONCE", s.win(p, "ONCE", once, 120))
		} else {
			cookie = p.win("ONCE")
		}
		before := len(b.app.requests())
		var passed atomic.Int32
		var all sync.WaitGroup
		start := make(chan struct{})
		for i := range 64 {
			all.Go(func() {
				<-start
				status := 0
				if i%2 == 0 {
					status = s.check(p.name, "ONCE", cookie.Value)
				} else {
					resp, _ := p.do("GET", "/once", nil, cookie)
					status = resp.StatusCode
				}
				if status < 400 {
					passed.Add(1)
				}
			})
		}
		close(start)
		all.Wait()
		if n := passed.Load(); n != 1 {
			t.Errorf("round %d: %d of 64 passed, want 1", round, n)
		}
		if n := len(b.app.requests()) - before; n > 1 {
			t.Errorf("round %d: %d requests reached the application", round, n)
		}
	}
}

// TestS05APIBudget: a server that guesses locks nobody out of their browser; it does
// lock out other servers, since guesses must not grow with the number of keys.
func TestS05APIBudget(t *testing.T) {
	b := newBed(t)
	b.Load(b.withAPI(b.config(keyFile+"limits {\nattempts {\napi 5\n}\n}\n", rule("OPEN", "grant time_based 10m\naccept api"), ""), ""))
	guesser, honest := b.newServer(anyVerb...), b.newServer(anyVerb...)
	alice := b.enroll("alice")
	for i := range 5 {
		if status, answer := guesser.try("alice", "OPEN", timeBased, 600, "000000"); status != 400 {
			t.Fatalf("guess %d: %d %v", i, status, answer)
		}
	}
	if status, answer := guesser.try("alice", "OPEN", timeBased, 600, alice.code()); status != 429 {
		t.Errorf("after five: %d %v, want 429 for a right code too", status, answer)
	}
	alice.used = alice.used.Add(-30 * time.Second) // that code was not looked at
	if status, answer := honest.try("alice", "OPEN", timeBased, 600, alice.code()); status != 429 {
		t.Errorf("another key: %d %v, want 429", status, answer)
	}
	alice.used = alice.used.Add(-30 * time.Second)
	if locked := b.mustRun("users", "alice")["locked"]; fmt.Sprint(locked) != "[api]" {
		t.Errorf("locked: %v", locked)
	}
	if out, _ := b.run("users"); !strings.Contains(out, "API") || strings.Contains(out, guesser.id) {
		t.Errorf("users wrote %q", out)
	}
	b.mustRun("unlock", "alice")
	if status, _ := guesser.try("alice", "OPEN", timeBased, 600, "000000"); status != 400 {
		t.Errorf("after unlock: %d, want 400", status)
	}
	alice.win("OPEN")
}
