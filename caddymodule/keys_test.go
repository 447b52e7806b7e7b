package caddymodule_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/cookies"
)

// A key is written once, alone on its line, and kept nowhere (S13).
func TestS13KeysAreShownOnce(t *testing.T) {
	b := newBed(t)
	b.Load(b.withAPI(b.config(keyFile, protectAdmin, ""), ""))
	c := newStepUpCommand()
	var out, told bytes.Buffer
	c.SetOut(&out)
	c.SetErr(&told)
	c.SetArgs([]string{"keys", "create", "--address", "localhost:" + b.AdminPort, "--tenant", "default", "--label", "payroll",
		"--scope", "verify", "--scope", "grants", "--action", "A", "--action", "B", "--expires", "90d"})
	if err := c.Execute(); err != nil {
		t.Fatal(err)
	}
	key := strings.TrimSuffix(out.String(), "\n")
	if !strings.HasPrefix(key, "suk_") || strings.ContainsAny(key, " \n") || strings.Contains(told.String(), key) || !strings.Contains(told.String(), "keys revoke key_") {
		t.Fatalf("wrote %q and told %q", out.String(), told.String())
	}
	s := &server{b: b, key: key}
	if got := s.check("alice", "A", "sug_x"); got != 400 {
		t.Errorf("the key: %d, want 400 for the grant", got)
	}
	listed := b.mustRun("keys", "list")["keys"].([]any)
	one := listed[0].(map[string]any)
	if len(listed) != 1 || one["label"] != "payroll" || len(one["actions"].([]any)) != 2 || one["last_used_at"] == nil || one["expired"] != nil {
		t.Errorf("keys list: %v", listed)
	}
	if until, err := time.Parse(time.RFC3339, one["expires_at"].(string)); err != nil || time.Until(until).Round(24*time.Hour) != 90*24*time.Hour {
		t.Errorf("expires %v", one["expires_at"])
	}
	text, err := b.run("keys", "list")
	if err != nil || !strings.Contains(text, "payroll") || !strings.Contains(text, "A,B") {
		t.Errorf("keys list wrote %q, %v", text, err)
	}
	for name, where := range map[string]string{"list": text + answerText(t, one), "log": b.Log()} {
		if strings.Contains(where, key) {
			t.Errorf("the key is in the %s", name)
		}
	}
}

// Document 003 takes any string for an action type, and so do the commands.
func TestKeysForAnyActionType(t *testing.T) {
	b := newBed(t)
	b.Load(b.withAPI(b.config(keyFile, rule("WIRE_TRANSFER", "grant time_based 10m\naccept api"), ""), ""))
	const wire, comma = "wire transfer", `größer als "1,000 €"`
	s := b.newServer("--tenant", "default", "--scope", "verify,grants", "--action", wire, "--action", `"größer als ""1,000 €"""`)
	listed := b.mustRun("keys", "list")["keys"].([]any)[0].(map[string]any)["actions"].([]any)
	if len(listed) != 2 || listed[0] != wire || listed[1] != comma {
		t.Fatalf("made for %q", listed)
	}
	if text, err := b.run("keys", "list"); err != nil || !strings.Contains(text, `"wire transfer","größer als \"1,000 €\""`) {
		t.Errorf("keys list wrote %q, %v", text, err)
	}
	alice := b.enroll("alice")
	grant := s.win(alice, wire, timeBased, 60)
	if got := s.check(alice.name, wire, grant); got != 200 {
		t.Errorf("the grant for %q: %d", wire, got)
	}
	for _, other := range []string{comma, "WIRE_TRANSFER", "wire transfer ", "wire\u00a0transfer"} {
		if got := s.check(alice.name, other, grant); got != 400 {
			t.Errorf("the grant for %q checked for %q: %d", wire, other, got)
		}
	}
	// It opens no route (S02), in whichever cookie it comes.
	for _, name := range []string{wire, "WIRE_TRANSFER"} {
		if resp, _ := alice.do("GET", "/wire_transfer", nil, carried("default", name, grant)); resp.StatusCode != 401 {
			t.Errorf("a route takes the grant for %q in the cookie of %q: %d", wire, name, resp.StatusCode)
		}
	}
	if !strings.Contains(b.Log(), `"action_type":"wire transfer"`) {
		t.Error("the audit log does not name the action type")
	}
	if got := b.mustRun("revoke", "alice", "--action", wire); got["revoked"] != 1.0 {
		t.Errorf("revoke: %v", got)
	}
	if got := s.check(alice.name, wire, grant); got != 400 {
		t.Errorf("a revoked grant: %d", got)
	}
}

func TestKeysRefusals(t *testing.T) {
	b := newBed(t)
	b.Load(b.withAPI(b.config(keyFile, protectAdmin, ""), ""))
	for _, tc := range []struct{ args, want string }{
		{"", "--tenant"},
		{"--tenant default", "--scope"},
		{"--tenant default --scope all", "none of"},
		{"--tenant default --scope read,read", "twice"},
		{"--tenant default --scope verify", "--any-action"},
		{"--tenant default --scope read --action A", "verify"},
		{"--tenant default --scope read --any-action", "verify"},
		{"--tenant default --scope verify --any-action --action A", "exclude"},
		{"--tenant default --scope verify --action step_up.manage", "action type"},
		{"--tenant default --scope verify --action \x01", "action type"},
		{"--tenant a/b --scope read", "tenant"},
		{"--tenant default --scope read --expires soon", "--expires"},
		{"--tenant default --scope read --expires 0s", "past"},
		{"--tenant default --scope read --label " + strings.Repeat("x", 65), "label"},
		{"--tenant default --scope read surplus", "surplus"},
	} {
		out, err := b.run(append([]string{"keys", "create"}, strings.Fields(tc.args)...)...)
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "{") || strings.Contains(out, "suk_") {
			t.Errorf("keys create %s: %q, %v, want a sentence with %q", tc.args, out, err, tc.want)
		}
	}
	if list := b.mustRun("keys", "list")["keys"].([]any); len(list) != 0 {
		t.Errorf("refused keys were made: %v", list)
	}
	if _, err := b.run("keys", "revoke", "key_000000000000"); err == nil || !strings.Contains(err.Error(), "no such API key") {
		t.Errorf("revoking what is none: %v", err)
	}
	for _, tc := range []struct {
		body object
		want int
	}{
		{object{"tenant": "default", "scopes": []string{"read"}, "hash": strings.Repeat("ab", 32)}, 200},
		{object{"tenant": "default", "scopes": []string{"read"}, "hash": strings.Repeat("ab", 32)}, 400}, // taken
		{object{"tenant": "default", "scopes": []string{"read"}, "hash": "ab"}, 400},
		{object{"tenant": "default", "scopes": []string{"read"}, "key": "suk_x"}, 400},
	} {
		if status, answer := b.admin("POST", "/step_up/keys/create", tc.body); status != tc.want {
			t.Errorf("%v: %d %v, want %d", tc.body, status, answer, tc.want)
		}
	}
}

// A server learns from the commands in which cookie its client must carry a grant.
func TestCookieNames(t *testing.T) {
	b := newBed(t)
	b.Load(b.config(keyFile, rule("OPEN", "grant time_based 10m\naccept api"), ""))
	want := b.enroll("alice").win("OPEN").Name
	explained := b.mustRun("explain", "GET", b.URL+"/open")
	if explained["cookie"] != want {
		t.Errorf("explain: %v, want the cookie %s", explained, want)
	}
	if out, err := b.run("explain", "GET", b.URL+"/open"); err != nil || !strings.Contains(out, want) || !strings.Contains(out, "accept api") {
		t.Errorf("explain wrote %q, %v", out, err)
	}
	if out := b.mustRun("explain", "GET", b.URL+"/"); out["cookie"] != nil {
		t.Errorf("a cookie for what is not protected: %v", out)
	}
	if out, err := b.run("cookie", "OPEN", "--plain-http"); err != nil || out != want+"\n" {
		t.Errorf("cookie wrote %q, %v, want %s", out, err, want)
	}
	if got := b.mustRun("cookie", "OPEN", "--tenant", "staff")["cookie"]; got != cookies.Grant("staff", "OPEN").On(true) {
		t.Errorf("cookie of another tenant: %v", got)
	}
	for _, bad := range [][]string{{"cookie", "a b"}, {"cookie", "step_up.manage"}, {"cookie", "A", "--tenant", "a b"}, {"cookie"}} {
		if out, err := b.run(bad...); err == nil {
			t.Errorf("step-up %v wrote %q, want an error", bad, out)
		}
	}
}
