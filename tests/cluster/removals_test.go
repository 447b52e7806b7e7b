//go:build components

package cluster

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

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

// TestS25FailoverUndoesNoRemoval: an asynchronous standby is promoted that never
// heard of a reset, a revoked API key, wrong codes and somebody who enrolled. The
// gateways that acknowledged them apply them again, each its own, before they serve.
func TestS25FailoverUndoesNoRemoval(t *testing.T) {
	primary, standby, url := pair(t)
	testFailoverUndoesNoRemoval(t, newNodes(t, url, 3), primary, standby)
}

func TestS25FailoverUndoesNoRemovalThroughPgbouncer(t *testing.T) {
	primary, standby, url := pair(t)
	testFailoverUndoesNoRemoval(t, newNodes(t, through(url, primary, standby), 3), primary, standby)
}

func testFailoverUndoesNoRemoval(t *testing.T, c *nodes, primary, standby *server) {
	alice, bob := c.enroll("alice"), c.enroll("bob")
	var key struct{ ID, Key string }
	_, text, _ := strings.Cut(ask(t, c.all[0], "keys", "create", "--tenant", "default", "--scope", "read", "--json"), "{")
	if err := json.Unmarshal([]byte("{"+text), &key); err != nil || key.ID == "" {
		t.Fatal(err, text)
	}
	primary.cutOff(standby)
	ask(t, c.all[0], "reset", "alice")
	ask(t, c.all[1], "keys", "revoke", key.ID)
	dave := c.enroll("dave")
	bob.At(c.all[2])
	bob.Before = nil
	challenge, err := bob.Begin("PAY")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if status, _ := bob.Verify(challenge, "totp", bob.App.WrongCode()); status == 200 {
			t.Fatal("a wrong code passed")
		}
	}
	primary.kill()
	standby.promote()

	// Each gateway has met the server before another is asked.
	for _, g := range c.all {
		alice.Before = nil
		c.eventually(alice.At(g), "GET", "/reports/1", 401)
	}
	for i, g := range c.all {
		if out := ask(t, g, "users", "alice"); !strings.Contains(out, "reset") {
			t.Errorf("gateway %d: alice was reset before the failover:\n%s", i, out)
		}
		if out := ask(t, g, "users", dave.Name); !strings.Contains(out, "enrolled") {
			t.Errorf("gateway %d: dave had enrolled before the failover:\n%s", i, out)
		}
		if out := ask(t, g, "keys", "list"); strings.Contains(out, key.ID) {
			t.Errorf("gateway %d: the key was revoked before the failover:\n%s", i, out)
		}
	}
	again := 0
	for _, g := range c.all {
		for line := range strings.Lines(g.Log()) {
			var entry struct {
				Again int `json:"applied_again"`
			}
			if strings.Contains(line, "applied_again") && json.Unmarshal([]byte(line), &entry) == nil {
				again += entry.Again
			}
		}
	}
	if again < 4 {
		t.Errorf("the logs tell of %d records, want alice, bob, dave and the key", again)
	}
}
