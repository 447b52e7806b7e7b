//go:build components

package cluster

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/tests/cluster/rig"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// TestS25FailoverUndoesNothing: an asynchronous standby is promoted again and again
// that lacks what was acknowledged last. At no gateway is anything good again that was
// spent, used or taken away then, and people are asked anew. STEP_UP_LONG=1 fails over
// 20 times, another number so many times, while others use the gateways.
func TestS25FailoverUndoesNothing(t *testing.T) {
	for name, pooled := range map[string]int{"directly": 0, "through pgbouncer": 3} {
		t.Run(name, func(t *testing.T) {
			on := pooledServers(t, pooled)
			s := newSystem(t, rand.New(rand.NewPCG(1, 2)), on)
			faults := &postgresFaults{s, on}
			p := newPeople(t, s)
			p.begin()
			began := time.Now()
			r := new(faultReport)
			var f *losing
			for n := range long(t, 2, 20) {
				f = p.losing(n)
				at := time.Now()
				faults.failoverWithout(f.lose)
				if err := p.serving(time.Now(), recovers); err != nil {
					s.tell()
					on.tell()
					t.Fatalf("after failover %d: %v", n+1, err)
				}
				one, whole := p.gaps(at, time.Now())
				r.one, r.whole = append(r.one, one), append(r.whole, whole)
				f.judge()
			}
			if os.Getenv("STEP_UP_LONG") != "" {
				f.codesAgain()
			}
			p.end()
			p.judge(filepath.Join(t.TempDir(), "histories"))
			t.Logf("%v\n%s\n%s", time.Since(began).Round(time.Second), summary(map[string]*faultReport{"failover, " + name: r}), p.summary())
		})
	}
}

// losing is what people have before a failover, and use or lose in what the standby
// does not hear of.
type losing struct {
	*people
	n                                           int  // the failover
	ended                                       bool // all gateways: what they had acknowledged they do not know
	payer, viewer, coder, saver, guesser, reset *gateway.Person
	revoked, sender, waiting, late              *gateway.Person
	code, challenge, guessed, resume, key       string
}

// losing lets everybody prepare, at any gateway.
func (p *people) losing(n int) *losing {
	f := &losing{people: p, n: n}
	for _, one := range []**gateway.Person{&f.payer, &f.viewer, &f.coder, &f.saver, &f.guesser, &f.reset, &f.revoked, &f.sender, &f.waiting} {
		*one = f.person()
	}
	f.payer.StepUp(p.t, "PAY")
	f.viewer.StepUp(p.t, "VIEW_REPORTS")
	f.revoked.StepUp(p.t, "VIEW_REPORTS")
	for _, x := range []*gateway.Person{f.viewer, f.revoked} {
		for i := range p.gates {
			f.want(i, x, "GET", "/reports/1", 200)
		}
	}
	f.challenge, f.guessed = f.begun(f.waiting), f.begun(f.guesser)
	held, err := holdForm(f.sender, "/pay?once=held-"+f.sender.Name)
	if err == nil {
		f.resume, err = proveHeld(f.sender, held, f.sender.Code(p.t))
	}
	if err != nil {
		p.t.Fatal(err)
	}
	var key struct{ ID string }
	_, text, _ := strings.Cut(ask(p.t, p.gates[0], "keys", "create", "--tenant", "default", "--scope", "read", "--json"), "{")
	if err := json.Unmarshal([]byte("{"+text), &key); err != nil || key.ID == "" {
		p.t.Fatal(err, text)
	}
	f.key = key.ID
	return f
}

// lose is what the standby does not hear of. All of it is acknowledged.
func (f *losing) lose() {
	t := f.t
	f.want(f.anyGate(), f.payer, "POST", "/pay?once="+f.payer.Name, 200)
	f.code = f.coder.Code(t)
	if got := f.verified(f.anyGate(), f.coder, "totp", f.code); got != 200 {
		t.Fatalf("a code: %d", got)
	}
	if got := f.verified(f.anyGate(), f.saver, "recovery_code", f.saver.RecoveryCodes[0]); got != 200 {
		t.Fatalf("a recovery code: %d", got)
	}
	if got, _ := f.ask(f.anyGate(), f.sender.Name, f.cookies(f.sender), "GET", f.resume, "", window); got != 200 {
		t.Fatalf("the form that was held: %d", got)
	}
	for _, one := range []struct {
		who   *gateway.Person
		route string
	}{{f.reset, "reset"}, {f.revoked, "revoke"}} {
		if f.take(one.who, one.route, f.anyGate()) != rig.Done {
			t.Fatalf("%s was not done", one.route)
		}
	}
	ask(t, f.gates[f.anyGate()], "keys", "revoke", f.key)
	f.late = f.person()
	for range 2 {
		if got, _ := f.guesser.Verify(f.guessed, "totp", f.guesser.WrongCode()); got != 422 {
			t.Fatalf("a wrong code: %d", got)
		}
	}
}

// judge looks at every gateway, each of which has met the promoted server.
func (f *losing) judge() {
	t, told, again := f.t, 0, 0
	if got := f.verified(0, f.viewer, "totp", f.viewer.Code(t)); got != 422 {
		t.Errorf("a code that may have been used: %d", got)
	}
	for i, g := range f.gates {
		f.want(i, f.payer, "POST", "/pay?once="+f.payer.Name, 401)
		f.want(i, f.viewer, "GET", "/reports/1", 401)
		f.want(i, f.revoked, "GET", "/reports/1", 401)
		if got := f.verified(i, f.coder, "totp", f.code); got != 422 && got != 429 {
			t.Errorf("%s: the code that was used: %d", gate(i), got)
		}
		if got := f.verified(i, f.saver, "recovery_code", f.saver.RecoveryCodes[0]); got == 200 {
			t.Errorf("%s: the recovery code that was used: %d", gate(i), got)
		}
		f.asked(i, f.viewer, "/reports/1")
		f.asked(i, f.sender, f.resume)
		f.asked(i, f.waiting, "/reports/1")
		f.over(i)
		if !f.ended {
			f.kept(i)
		}
		var health struct {
			Status       string
			Generation   int
			HeardSeconds float64 `json:"heard_seconds"`
		}
		if text := healthOf(t, g); json.Unmarshal([]byte(text), &health) != nil || health.Status != "ok" || health.Generation != f.n+1 || health.HeardSeconds <= 0 {
			t.Errorf("%s: health: %s", gate(i), text)
		}
		for line := range strings.Lines(g.Log()) {
			var entry struct {
				Generation int
				Reason     string
				Again      int `json:"applied_again"`
			}
			if json.Unmarshal([]byte(line), &entry) == nil && entry.Generation == f.n+1 && strings.Contains(entry.Reason, "a standby was promoted") {
				told++
				again += entry.Again
			}
		}
	}
	switch {
	case f.ended && told == 0, !f.ended && told != len(f.gates):
		t.Errorf("the logs tell %d times what happened", told)
	case !f.ended && again < 6:
		// Those who used a code and a recovery code, who was reset, who enrolled, who
		// guessed, and the key.
		t.Errorf("the logs tell of %d records that were applied again", again)
	}
}

// kept looks for what is applied again.
func (f *losing) kept(i int) {
	t, g := f.t, f.gates[i]
	if out := ask(t, g, "users", f.reset.Name); !strings.Contains(out, "reset") {
		t.Errorf("%s: %s was reset before the failover:\n%s", gate(i), f.reset.Name, out)
	}
	if out := ask(t, g, "users", f.late.Name); !strings.Contains(out, "enrolled") {
		t.Errorf("%s: %s had enrolled before the failover:\n%s", gate(i), f.late.Name, out)
	}
	if out := ask(t, g, "keys", "list"); strings.Contains(out, f.key) {
		t.Errorf("%s: the key was revoked before the failover:\n%s", gate(i), out)
	}
}

// codesAgain waits until codes of the authenticator apps of before are taken again.
func (f *losing) codesAgain() {
	f.t.Helper()
	began := time.Now()
	for f.verified(0, f.waiting, "totp", f.waiting.Code(f.t)) != 200 {
		if time.Since(began) > 2*time.Minute {
			f.t.Fatalf("codes are refused for %v after a failover", time.Since(began))
		}
	}
	f.t.Logf("codes are taken again %v later", time.Since(began).Round(time.Second))
}

// person enrolls somebody, at any gateway.
func (f *losing) person() *gateway.Person {
	f.t.Helper()
	x, err := f.someone()
	if err != nil {
		f.t.Fatal(err)
	}
	return x
}

func (f *losing) begun(x *gateway.Person) string {
	f.t.Helper()
	id, err := x.Begin("PAY")
	if err != nil {
		f.t.Fatal(err)
	}
	return id
}

// verified is the status for an answer to a new challenge at a gateway.
func (f *losing) verified(i int, x *gateway.Person, method, code string) int {
	f.t.Helper()
	b, err := browser(f.t, x, f.gates[i])
	if err != nil {
		f.t.Fatal(err)
	}
	status, _ := b.Verify(f.begun(b), method, code)
	return status
}

func (f *losing) want(i int, x *gateway.Person, method, path string, want int) {
	f.t.Helper()
	if got, _ := f.ask(i, x.Name, f.cookies(x), method, path, "", nil); got != want {
		f.t.Errorf("%s: %s %s of %s: %d, want %d", gate(i), method, path, x.Name, got, want)
	}
}

// asked follows what a browser is sent to: a page that asks.
func (f *losing) asked(i int, x *gateway.Person, path string) {
	f.t.Helper()
	const hops = 3 // to the address without what was held for it, and to its challenge
	b := x.Copy(f.gates[i])
	for range hops {
		resp, body, err := b.Do("GET", path, window, nil)
		switch {
		case err != nil:
			f.t.Fatal(err)
		case resp.StatusCode == http.StatusSeeOther:
			path = resp.Header.Get("Location")
			continue
		case resp.StatusCode == http.StatusOK && strings.HasPrefix(path, "/.step-up/challenge/") && strings.Contains(string(body), `name="code"`):
			return
		}
		f.t.Errorf("%s: a browser gets %s at %s, want a challenge", gate(i), resp.Status, path)
		return
	}
	f.t.Errorf("%s: a browser is sent from address to address, and then to %s", gate(i), path)
}

// over answers the challenge that was open before: it is over, and its page says so.
func (f *losing) over(i int) {
	f.t.Helper()
	b := f.waiting.Copy(f.gates[i])
	resp, body, err := b.Do("GET", "/.step-up/challenge/"+f.challenge, window, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	if !strings.Contains(string(body), "This has expired") || !strings.Contains(string(body), "Start again") {
		f.t.Errorf("%s: the page of a challenge of before: %s\n%s", gate(i), resp.Status, body)
	}
	if got, _ := b.Verify(f.challenge, "totp", b.Code(f.t)); got != 404 {
		f.t.Errorf("%s: an answer to a challenge of before: %d", gate(i), got)
	}
}

// ask runs a command at the gateway until it succeeds, and returns what it printed.
func ask(t *testing.T, g *gateway.Gateway, args ...string) (out string) {
	t.Helper()
	var err error
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if out, err = g.StepUp(args...); err == nil {
			return out
		}
	}
	t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	return ""
}
