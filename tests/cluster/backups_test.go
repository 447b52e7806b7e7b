//go:build components

package cluster

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// crowd are people who enroll, prove, hold forms and pay at a gateway, all the time.
type crowd struct {
	m    *mover
	stop chan struct{}
	all  sync.WaitGroup

	mu           sync.Mutex
	acknowledged []*member
}

// member is somebody with a live grant, a one-time grant that was used, one that was
// not if there was time for it, and a form that is held.
type member struct {
	*gateway.Person
	used      string // the code that won the last grant
	challenge string // of the form
}

func newCrowd(m *mover, n int) *crowd {
	c := &crowd{m: m, stop: make(chan struct{})}
	for i := range n {
		c.all.Go(func() {
			for turn := 0; ; turn++ {
				select {
				case <-c.stop:
					return
				default:
				}
				if err := c.one(fmt.Sprintf("user-%d-%d", i, turn)); err != nil {
					c.m.t.Error(err)
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		})
	}
	return c
}

func (c *crowd) one(name string) error {
	x := &member{Person: c.m.NewPerson(name)}
	x.Host = "bank.test"
	if err := x.TryEnroll(c.m.t, ""); err != nil {
		return err
	}
	if err := x.TryStepUp(c.m.t, "VIEW_REPORTS"); err != nil {
		return nil // as below
	}
	id, err := x.Begin("PAY")
	if err != nil {
		return err
	}
	x.used = x.Code(c.m.t)
	switch status, err := x.Verify(id, "totp", x.used); {
	case status == 422:
		return nil // the machine was too slow for the code; somebody else is asked
	case err != nil:
		return err
	}
	if len(name)%2 == 0 {
		if _, _, err := x.Do("POST", "/pay", map[string]string{"Accept": "application/json"}, nil); err != nil {
			return err
		}
		if x.challenge, err = holdThisForm(x.Person, "/pay", "note="+strings.Repeat("x", 4<<10)); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acknowledged = append(c.acknowledged, x)
	return nil
}

// known are those whose every change was acknowledged before now.
func (c *crowd) known() []*member {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*member{}, c.acknowledged...)
}

func (c *crowd) end() {
	close(c.stop)
	c.all.Wait()
}

// restoring is a gateway elsewhere, that uses what was restored.
type restoring struct {
	*gateway.Gateway
	t    *testing.T
	file string // the Caddyfile, with STORE for the store
}

func newRestoring(m *mover) *restoring {
	return &restoring{gateway.New(m.t, gateway.Options{Upstream: "127.0.0.1:1"}), m.t, strings.Replace(m.file, "enrollment first_use", "enrollment invite", 1)}
}

func (r *restoring) on(store string) string { return strings.ReplaceAll(r.file, "STORE", store) }

// restore runs the command.
func (r *restoring) restore(store, backup string, more ...string) (string, error) {
	out, err := r.Command(append([]string{"step-up", "restore", backup, "--config", r.Write(r.on(store))}, more...)...).CombinedOutput()
	return string(out), err
}

// TestS25BackupUnderLoad takes backups while a gateway works, and restores each
// elsewhere: whatever was acknowledged before is there, and nothing that was issued is
// good.
func TestS25BackupUnderLoad(t *testing.T) {
	stores := map[string]func(t *testing.T) string{
		"badger":   func(*testing.T) string { return "store badger {\ndir GW_DIR/first\nmark GW_DIR/first.mark\n}" },
		"postgres": func(t *testing.T) string { return onPostgres(newServer(t).database()) },
		"pgbouncer": func(t *testing.T) string {
			s := newServer(t)
			return onPostgres(s.bouncer("transaction", s.database()))
		},
		"etcd": func(t *testing.T) string { return onEtcd(strings.Join(newEtcd(t).endpoints(), " ")) },
	}
	for name, open := range stores {
		t.Run(name, func(t *testing.T) { testBackupUnderLoad(t, open(t)) })
	}
}

func testBackupUnderLoad(t *testing.T, store string) {
	m := newMover(t)
	if out, err := m.Command("step-up", "init", "--config", m.write(store)).CombinedOutput(); err != nil {
		t.Fatalf("init: %v\n%s", err, out)
	}
	m.Run(m.on(store))
	c, rows, people := newCrowd(m, 4), int64(0), 0
	defer c.end()
	r := newRestoring(m)
	rounds := long(t, 1, 50)
	for n := range rounds {
		for began := time.Now(); len(c.known()) < 5+n && time.Since(began) < time.Minute; {
			time.Sleep(50 * time.Millisecond)
		}
		invite := inviteFor(t, m, fmt.Sprintf("newcomer-%d", n))
		known, file := c.known(), filepath.Join(m.Dir, fmt.Sprintf("%d.backup", n))
		out, err := m.StepUp("backup", file)
		if err != nil {
			t.Fatalf("backup: %v\n%s", err, out)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
		place := fmt.Sprintf("store badger {\ndir GW_DIR/%d\nmark GW_DIR/%d.mark\n}", n, n)
		text, err := r.restore(place, file, "--json")
		var done struct{ Rows, Waiting int64 }
		if at := strings.Index(text, "{\n"); err == nil && at >= 0 {
			err = json.Unmarshal([]byte(text[at:]), &done)
		}
		if err != nil || int(done.Waiting) < len(known) {
			t.Fatalf("restore: %v\n%s", err, text)
		}
		rows += done.Rows
		people += len(known)
		r.Run(r.on(place))
		r.looksAt(known, invite, fmt.Sprintf("newcomer-%d", n))
		r.Stop()
		for _, left := range []string{file, filepath.Join(r.Dir, fmt.Sprint(n))} {
			os.RemoveAll(left)
		}
	}
	t.Logf("%d backups of %d rows in all, with %d acknowledged users", rounds, rows, people)
}

func inviteFor(t *testing.T, m *mover, name string) string {
	t.Helper()
	out, err := m.StepUp("invite", name, "--tenant", "default", "--json")
	var made struct{ Invite string }
	if at := strings.Index(out, "{"); err == nil && at >= 0 {
		err = json.Unmarshal([]byte(out[at:]), &made)
	}
	if err != nil || made.Invite == "" {
		t.Fatalf("inviting: %v\n%s", err, out)
	}
	return made.Invite
}

// looksAt holds that everybody is there, and that nothing is good that they had.
func (r *restoring) looksAt(known []*member, invite, invited string) {
	r.t.Helper()
	status := func(x *gateway.Person, method, path string) int {
		resp, _, err := x.Do(method, path, map[string]string{"Accept": "application/json"}, nil)
		if err != nil {
			r.t.Fatal(err)
		}
		return resp.StatusCode
	}
	for i, was := range known {
		// All were counted by the command; the last ones, and some of the others, are asked.
		if i < len(known)-50 && i%(1+len(known)/50) > 0 {
			continue
		}
		x := was.Copy(r.Gateway)
		var me struct {
			Authenticators []struct{ Suspended bool }
			Grants         []any
		}
		if _, err := x.API("GET", "/me", nil, &me); err != nil || len(me.Authenticators) != 1 || !me.Authenticators[0].Suspended || len(me.Grants) > 0 {
			r.t.Fatalf("%s, who was acknowledged, is %+v, %v", was.Name, me, err)
		}
		if got := status(x, "GET", "/reports/1"); got != 401 && got != 409 {
			r.t.Errorf("with a time-based grant of before: %d", got)
		}
		if got := status(x, "POST", "/pay"); got != 401 && got != 409 {
			r.t.Errorf("with a one-time grant of before: %d", got)
		}
		if was.challenge != "" {
			if got, _ := x.API("GET", "/challenges/"+was.challenge, nil, nil); got != 404 && got != 410 {
				r.t.Errorf("a challenge of before: %d", got)
			}
			if got, _ := x.Verify(was.challenge, "totp", was.used); got < 400 {
				r.t.Errorf("a used code at a challenge of before: %d", got)
			}
		}
	}
	if out, err := r.StepUp("fence", "confirm", "--all"); err != nil || !strings.Contains(out, "are accepted") {
		r.t.Fatalf("confirming: %v\n%s", err, out)
	}
	last := known[len(known)-1]
	x := last.Copy(r.Gateway)
	for what, code := range map[string]string{"totp": last.used, "recovery_code": last.RecoveryCodes[0]} {
		id, err := x.Begin("PAY")
		if err != nil {
			r.t.Fatal(err)
		}
		if got, _ := x.Verify(id, what, code); got < 400 {
			r.t.Errorf("a %s of before: %d", what, got)
		}
	}
	stranger := r.NewPerson(invited)
	stranger.Host = "bank.test"
	if err := stranger.TryEnroll(r.t, invite); err == nil {
		r.t.Error("an invite of before is good")
	}
}
