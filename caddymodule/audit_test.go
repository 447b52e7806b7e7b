package caddymodule_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// logged are the lines of the audit log so far in which the members are as given.
func (b *bed) logged(members map[string]string) []map[string]any {
	b.t.Helper()
	var found []map[string]any
	for text := range strings.Lines(b.Log()) {
		var line map[string]any
		if json.Unmarshal([]byte(text), &line) != nil || line["logger"] != "step_up.audit" {
			continue
		}
		same := true
		for name, want := range members {
			same = same && line[name] == want
		}
		if same {
			found = append(found, line)
		}
	}
	return found
}

// Every line says who acted, and from where as far as that is known.
func TestAuditSaysWhoActed(t *testing.T) {
	b := newBed(t)
	b.Load(b.withAPI(b.config(keyFile, protectAdmin, ""), ""))
	alice := b.enroll("alice")
	alice.win("ADMIN")
	s := b.newServer(append(anyVerb, "--label", "payroll")...)
	s.win(alice, "ADMIN", timeBased, 60)
	b.mustRun("unlock", "alice")
	b.mustRun("revoke", "alice")
	if status, _ := b.admin("POST", "/step_up/unlock", map[string]string{"user": "alice"}); status != 200 {
		t.Fatal(status)
	}
	operator := map[string]string{"actor": "operator", "actor_from": "127.0.0.1"}
	for _, c := range []struct {
		event   string
		members map[string]string
		claimed bool
	}{
		{"confirm", map[string]string{"actor": "person", "actor_id": "alice", "user": "alice"}, false},
		{"verify", map[string]string{"actor": "person", "actor_id": "alice", "user": "alice"}, false},
		{"verify", map[string]string{"actor": "api_key", "actor_id": s.id, "actor_label": "payroll", "user": "alice"}, false},
		{"api_key", operator, true},
		{"unlock", operator, true},
		{"revoke", operator, true},
	} {
		c.members["event"] = c.event
		lines := b.logged(c.members)
		if len(lines) == 0 {
			t.Errorf("no line with %v", c.members)
			continue
		}
		if claimed, _ := lines[0]["actor_claimed"].(string); (claimed != "") != c.claimed {
			t.Errorf("%v: claimed %q", c.members, claimed)
		}
	}
	for _, line := range b.logged(nil) {
		if line["actor"] == nil || line["actor"] == "" {
			t.Errorf("nobody acted: %v", line)
		}
	}
	if unlocks := b.logged(map[string]string{"event": "unlock"}); len(unlocks) != 2 || unlocks[1]["actor_claimed"] != nil {
		t.Errorf("by the admin endpoint alone: %v", unlocks)
	}
}

// S26: bad keys by the thousand are a few lines, and one that counts the rest; the
// counter has them all.
func TestS26BadKeysDoNotFloodTheAudit(t *testing.T) {
	b := newBed(t)
	b.Load(b.withAPI(b.config(keyFile, protectAdmin, ""), ""))
	s := &server{b: b, key: "suk_" + strings.Repeat("x", 43)}
	for range 300 {
		s.do("GET", "/api/backend/v1/user/alice/mfa", nil)
	}
	lines := len(b.logged(map[string]string{"event": "api_call"}))
	if lines == 0 || lines > 20 {
		t.Errorf("%d lines", lines)
	}
	b.Load(b.withAPI(b.config(keyFile, protectTransfer, ""), "")) // tells what was left out
	left := 0.0
	for _, line := range b.logged(map[string]string{"event": "api_call"}) {
		if n, ok := line["left_out"].(float64); ok {
			left += n
			lines--
		}
		lines++
	}
	if float64(lines)+left < 300 {
		t.Errorf("%d lines and %v left out of 300", lines, left)
	}
	if strings.Contains(b.Log(), s.key) {
		t.Error("S13: the bad key is in the log")
	}
}
