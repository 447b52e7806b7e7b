package caddymodule_test

import (
	"encoding/json"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// In JSON, too, a guest whose name is misspelled is told by its neighbors.
func TestGuestTypos(t *testing.T) {
	dir := t.TempDir()
	app := func(members string) string {
		return `{"admin": {"disabled": true}, "apps": {"step_up": {"key_file": ` + quoted(t, filepath.Join(dir, "key")) + `, ` + members + `}}}`
	}
	for in, want := range map[string]string{
		app(`"store": {"engine": "bagder"}`):                                                  `unknown store engine "bagder": did you mean "badger"? There are badger, etcd, postgres`,
		app(`"sms": {"countries": ["DE"]}, "sms_sender": {"sender": "web_hook", "url": "x"}`): `unknown sender "web_hook": did you mean "webhook"? There are file, smtp, webhook`,
		`{"admin": {"disabled": true}, "apps": {"http": {"servers": {"s": {"routes": [{"handle": [{"handler": "step_up", "identity": {"source": "headers"}, "rules": [{"action": "A", "any": true, "grant": "time_based", "ttl": "5m"}]}]}]}}}}}`: `unknown identity source "headers": did you mean "header"? There are header, jwt, panicking, placeholder, whoami`,
	} {
		var c caddy.Config
		if err := json.Unmarshal([]byte(in), &c); err != nil {
			t.Fatal(err)
		}
		if err := caddy.Validate(&c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", in, err, want)
		}
	}
}

func quoted(t *testing.T, s string) string {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// An invite that nobody could use is not made.
func TestInviteWhereNobodyEnrolls(t *testing.T) {
	b := newBed(t)
	b.Load(strings.Replace(b.config(keyFile, protectAdmin, ""), "enrollment first_use", "enrollment deny", 1))
	c := newStepUpCommand()
	c.SetArgs([]string{"invite", "alice", "--address", "localhost:" + b.AdminPort})
	c.SetOut(io.Discard)
	c.SetErr(io.Discard)
	if err := c.Execute(); err == nil || !strings.Contains(err.Error(), "write `enrollment invite` first") {
		t.Error(err)
	}
}
