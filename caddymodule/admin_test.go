package caddymodule_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/stepup-gateway/caddy-stepup/internal/seal"
)

// run runs `caddy step-up` with the given arguments against the bed's admin
// endpoint.
func (b *bed) run(args ...string) (string, error) {
	b.t.Helper()
	switch args[0] {
	case "keygen", "init", "cookie", "version":
	default:
		args = append(args, "--address", "localhost:"+b.AdminPort)
	}
	c := newStepUpCommand()
	var out bytes.Buffer
	c.SetOut(&out)
	c.SetErr(&out)
	c.SetArgs(args)
	err := c.Execute()
	return out.String(), err
}

// mustRun runs a command with --json and reads what it wrote.
func (b *bed) mustRun(args ...string) map[string]any {
	b.t.Helper()
	out, err := b.run(append(args, "--json")...)
	if err != nil {
		b.t.Fatalf("step-up %v: %v", args, err)
	}
	var answer map[string]any
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		b.t.Fatalf("step-up %v wrote %q: %v", args, out, err)
	}
	return answer
}

// TestCommands: a user loses the phone, is reset, invited, and enrolls again.
func TestCommands(t *testing.T) {
	b := newBed(t)
	b.Load(b.config(keyFile, protectAdmin+protectTransfer, ""))
	if out, err := b.run("users"); err != nil || !strings.Contains(out, "TENANT") {
		t.Errorf("users of an empty database: %q, %v", out, err)
	}
	alice := b.enroll("alice")
	grant := alice.win("ADMIN")

	shown := b.mustRun("users", " ALICE ")
	if shown["user"] != "alice" || shown["state"] != "enrolled" || shown["live_grants"] != 1.0 || len(shown["authenticators"].([]any)) != 1 {
		t.Errorf("users alice: %v", shown)
	}
	if list := b.mustRun("users")["users"].([]any); len(list) != 1 {
		t.Errorf("users: %v", list)
	}
	if out, _ := b.run("users"); !strings.Contains(out, "alice") || strings.Contains(out, alice.secret) {
		t.Errorf("users wrote %q", out)
	}

	if got := b.mustRun("revoke", "alice", "--action", "TRANSFER")["revoked"]; got != 0.0 {
		t.Errorf("revoked %v grants of another action type", got)
	}
	if resp, _ := alice.do("GET", "/admin/", nil, grant); resp.StatusCode != 200 {
		t.Errorf("after revoking another action type: %d", resp.StatusCode)
	}
	if got := b.mustRun("revoke", "alice")["revoked"]; got != 1.0 {
		t.Errorf("revoked %v grants, want 1", got)
	}
	if resp, _ := alice.do("GET", "/admin/", nil, grant); resp.StatusCode != 401 {
		t.Errorf("after revoking: %d, want 401", resp.StatusCode)
	}

	// Wrong codes make her wait; unlock forgives them.
	for range 7 {
		resp, challenge := alice.do("POST", "/.step-up/api/challenges", map[string]string{"action_type": "ADMIN"})
		if resp.StatusCode != http.StatusCreated {
			t.Fatalf("beginning: %d %v", resp.StatusCode, challenge)
		}
		alice.do("POST", "/.step-up/api/challenges/"+challenge["challenge_id"].(string)+"/verify", map[string]string{"method": "totp", "code": "000000"})
	}
	_, challenge := alice.do("POST", "/.step-up/api/challenges", map[string]string{"action_type": "ADMIN"})
	resp, _ := alice.do("POST", "/.step-up/api/challenges/"+challenge["challenge_id"].(string)+"/verify", map[string]string{"method": "totp", "code": "000000"})
	if resp.StatusCode != http.StatusTooManyRequests {
		t.Errorf("the eighth wrong code: %d, want 429", resp.StatusCode)
	}
	until, err := time.Parse(time.RFC3339, fmt.Sprint(b.mustRun("users", "alice")["locked_until"]))
	if left := time.Until(until); err != nil || left <= 0 || left > time.Hour {
		t.Errorf("locked until %v, %v", until, err)
	}
	if out, _ := b.run("users"); !strings.Contains(out, " until "+until.Local().Format("2006-01-02 15:04")) {
		t.Errorf("users does not say how long alice has to wait: %q", out)
	}
	b.mustRun("unlock", "alice")
	if until, locked := b.mustRun("users", "alice")["locked_until"]; locked {
		t.Errorf("unlocked, and locked until %v", until)
	}
	alice.win("ADMIN")

	// The phone is lost. Policy is first_use, but a reset demands an invite.
	b.mustRun("reset", "alice")
	if resp, answer := alice.do("POST", "/.step-up/api/totp", map[string]string{}); resp.StatusCode != 403 {
		t.Errorf("enrolling after a reset without an invite: %d %v, want 403", resp.StatusCode, answer)
	}
	invited := b.mustRun("invite", "alice", "--for", "1h")
	code := invited["invite"].(string)
	resp, begun := alice.do("POST", "/.step-up/api/totp", map[string]string{"invite": code})
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("enrolling with an invite: %d %v", resp.StatusCode, begun)
	}
	if strings.Contains(b.Log(), code) {
		t.Error("the invite is in the log")
	}

	c := newStepUpCommand()
	var out, told bytes.Buffer
	c.SetOut(&out)
	c.SetErr(&told)
	c.SetArgs([]string{"invite", "alice", "--address", "localhost:" + b.AdminPort})
	if err := c.Execute(); err != nil || !regexp.MustCompile(`\A[0-9A-Za-z_-]{16,}\n\z`).MatchString(out.String()) || !strings.Contains(told.String(), "alice can enroll with it once") {
		t.Errorf("invite wrote %q and told %q, %v", out.String(), told.String(), err)
	}

	for _, bad := range [][]string{
		{"users", "nobody"}, {"reset", ""}, {"invite", "alice", "--for", "31d"}, {"invite", "alice", "--for", "soon"},
		{"revoke", "alice", "--action", "no\nsuch"}, {"reset", "alice", "--tenant", "elsewhere"}, {"users", "a", "b"},
	} {
		if out, err := b.run(bad...); err == nil {
			t.Errorf("step-up %v wrote %q, want an error", bad, out)
		} else if strings.Contains(err.Error(), "{") {
			t.Errorf("step-up %v: the error is no sentence: %v", bad, err)
		}
	}
}

func TestExplain(t *testing.T) {
	b := newBed(t)
	b.Load(b.config(keyFile, protectAdmin+protectTransfer, "") + "\nhttp://127.0.0.1:{{port}} {\nrespond ok\n}\n")
	for _, tc := range []struct{ method, url, outcome, action string }{
		{"GET", b.URL + "/", "pass", ""},
		{"GET", b.URL + "/admin", "step_up", "ADMIN"},
		{"GET", b.URL + "/x/%2e%2e/admin/", "step_up", "ADMIN"},
		{"POST", b.URL + "/transfer", "step_up", "TRANSFER"},
		{"GET", b.URL + "/transfer?_method=post", "step_up", "TRANSFER"},
		{"GET", b.URL + "/transfer", "pass", ""},
		{"POST", b.URL + "/transfer/%2e%2e/admin/", "", ""}, // several readings; only that it answers
		{"GET", b.URL + "/.step-up/", "own_page", ""},
		{"FROB", b.URL + "/", "method_not_allowed", ""},
	} {
		got := b.mustRun("explain", tc.method, tc.url)
		if tc.outcome != "" && (got["outcome"] != tc.outcome || tc.action != "" && got["action_type"] != tc.action) {
			t.Errorf("%s %s: %v, want %s %s", tc.method, tc.url, got, tc.outcome, tc.action)
		}
	}
	if out, err := b.run("explain", "GET", b.URL+"/ADMIN/x"); err != nil || !strings.Contains(out, `protect ADMIN path ["/admin/*"]`) {
		t.Errorf("explain wrote %q, %v", out, err)
	}
	for _, bad := range [][2]string{
		{"GET", "/admin"}, {"GET", "ftp://localhost/"}, {"GET", "http:///x"}, {"G ET", b.URL}, {"GET", b.URL + "/a b"},
		{"GET", b.URL + "/\r\nX: y"}, {"GET", "http://127.0.0.1:" + b.Port + "/admin/"},
	} {
		if out, err := b.run("explain", bad[0], bad[1]); err == nil {
			t.Errorf("explain %q wrote %q, want an error", bad, out)
		}
	}
	if n := len(b.app.requests()); n > 0 {
		t.Errorf("explaining sent %d requests to the application", n)
	}
}

func TestHealthAndMetrics(t *testing.T) {
	b := newBed(t)
	text := b.config(keyFile, protectAdmin, "")
	b.Load(text)
	if status, answer := b.admin("GET", "/step_up/health", nil); status != 200 || answer["status"] != "ok" || answer["version"] != b.mustRun("version")["version"] {
		t.Errorf("health: %d %v", status, answer)
	}
	alice := b.enroll("alice")
	grant := alice.win("ADMIN")
	count := func() string {
		t.Helper()
		_, answer := b.admin("GET", "/metrics", nil)
		for line := range strings.Lines(answer["text"].(string)) {
			if rest, ok := strings.CutPrefix(line, `step_up_requests_total{action_type="ADMIN",outcome="passed"} `); ok {
				return strings.TrimSpace(rest)
			}
		}
		return "no such line"
	}
	before := count()
	alice.do("GET", "/admin/", nil, grant)
	one := count()
	// A reload brings a new registry; the counters go on.
	b.Load(b.config(keyFile, protectAdmin, "header X-Reloaded yes"))
	if after := count(); after != one || one == before {
		t.Errorf("passes were counted %s, %s after one more and %s after a reload", before, one, after)
	}
	_, answer := b.admin("GET", "/metrics", nil)
	if strings.Contains(answer["text"].(string), "alice") {
		t.Error("a user is in the metrics")
	}
	for _, line := range []string{"step_up_store_in_use 1\n", "step_up_store_generation 0\n", "step_up_store_heard_seconds 0\n", "step_up_store_changes_total 0\n"} {
		if !strings.Contains(answer["text"].(string), "\n"+line) {
			t.Errorf("the metrics are without %q", line)
		}
	}

	// Without the app there is nothing to be healthy.
	b.Load("{\n\tadmin localhost:{{admin}}\n}\nhttp://localhost:{{port}} {\n\trespond ok\n}\n")
	if status, answer := b.admin("GET", "/step_up/health", nil); status != 503 || !strings.Contains(answer["reason"].(string), "not configured") {
		t.Errorf("health without step_up: %d %v", status, answer)
	}
}

// A web page cannot make a browser on the operator's machine call the verbs, and
// nonsense is refused.
func TestAdminRefusals(t *testing.T) {
	b := newBed(t)
	b.Load(b.config(keyFile, protectAdmin, ""))
	alice := b.enroll("alice")
	for _, tc := range []struct {
		method, path, media, body string
		want                      int
	}{
		{"GET", "/step_up/reset", "application/json", `{"user":"alice"}`, 405},
		{"POST", "/step_up/reset", "text/plain", `{"user":"alice"}`, 415},
		{"POST", "/step_up/reset", "application/x-www-form-urlencoded", `{"user":"alice"}`, 415},
		{"POST", "/step_up/reset", "", `{"user":"alice"}`, 415},
		{"POST", "/step_up/reset", "application/json", `{"user":"alice","really":true}`, 400},
		{"POST", "/step_up/reset", "application/json", `{"user":"alice"} {}`, 400},
		{"POST", "/step_up/reset", "application/json", `[]`, 400},
		{"POST", "/step_up/reset", "application/json", `{"user":"` + strings.Repeat("a", 70<<10) + `"}`, 400},
		{"POST", "/step_up/reset", "application/json", `{"user":"a\u0000b"}`, 400},
		{"POST", "/step_up/invite", "application/json", `{"user":"alice","hash":"00","expires_at":"2030-01-01T00:00:00Z"}`, 400},
		{"POST", "/step_up/invite", "application/json", `{"user":"alice","hash":"` + strings.Repeat("00", 32) + `","expires_at":"2020-01-01T00:00:00Z"}`, 400},
		{"POST", "/step_up/users", "application/json", `{"limit":100000}`, 400},
		{"POST", "/step_up/users", "application/json", `{"cursor":"zz"}`, 400},
		{"POST", "/step_up/health", "application/json", `{}`, 405},
	} {
		r, err := http.NewRequest(tc.method, "http://localhost:"+b.AdminPort+tc.path, strings.NewReader(tc.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", tc.media)
		if resp, answer := b.send(r); resp.StatusCode != tc.want {
			t.Errorf("%s %s %s %.60s: %d %v, want %d", tc.method, tc.path, tc.media, tc.body, resp.StatusCode, answer, tc.want)
		}
	}
	alice.win("ADMIN") // was not reset
}

// An operator brings the key: init makes its database, once.
func TestKeygenAndInit(t *testing.T) {
	b := newBed(t)
	out, err := b.run("keygen")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := seal.ParseKey(out); err != nil {
		t.Fatalf("keygen wrote %q: %v", out, err)
	}
	t.Setenv("STEP_UP_TEST_KEY", strings.TrimSpace(out))
	text := b.config("key {env.STEP_UP_TEST_KEY}\n", protectAdmin, "")
	if err := b.TryLoad(text); err == nil || !strings.Contains(err.Error(), "step-up init") {
		t.Errorf("a key without its database: %v", err)
	}
	adapted, err := b.Adapt(text)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(b.Dir, "caddy.json")
	if err := os.WriteFile(file, adapted, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := b.run("init", "--config", file); err != nil || !strings.Contains(out, "empty database") {
		t.Fatalf("init wrote %q, %v", out, err)
	}
	b.Load(text)
	b.enroll("alice").win("ADMIN")
	if strings.Contains(b.Log(), strings.TrimSpace(out)) {
		t.Error("the key is in the log")
	}
	if _, answer := b.admin("GET", "/config/", nil); strings.Contains(answerText(t, answer), strings.TrimSpace(out)) {
		t.Error("the key can be read from the admin endpoint")
	}
	if _, err := b.run("init", "--config", file); err == nil {
		t.Error("init beside the running gateway went well")
	}
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.run("init", "--config", file); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("init over data: %v", err)
	}
	// keygen never gives the same twice.
	if again, _ := b.run("keygen"); again == out {
		t.Error("keygen wrote the same key again")
	}
}

func answerText(t *testing.T, answer map[string]any) string {
	t.Helper()
	text, err := json.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A name or word that is misspelled changes nothing, and is told so.
func TestCommandsBelieveNoTypos(t *testing.T) {
	b := newBed(t)
	b.Load(b.config(keyFile, protectAdmin+protectTransfer, ""))
	b.enroll("alice").win("ADMIN")
	const meant = `nobody called "alcie" ever enrolled in the tenant default: did you mean "alice"?`
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"users", "alcie"}, meant},
		{[]string{"reset", "alcie"}, meant},
		{[]string{"unlock", "alcie"}, meant},
		{[]string{"revoke", "alcie"}, meant},
		{[]string{"reset", "bartholomew"}, `nobody called "bartholomew" ever enrolled in the tenant default`},
		{[]string{"rvoke", "alice"}, `step-up has no command "rvoke": did you mean "revoke"? There are `},
		{[]string{"keys", "creat"}, `step-up keys has no command "creat": did you mean "create"? There are `},
	} {
		if out, err := b.run(tt.args...); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("step-up %v: %v, want %s\n%s", tt.args, err, tt.want, out)
		}
	}
	if list := b.mustRun("users")["users"].([]any); len(list) != 1 {
		t.Errorf("users were made: %v", list)
	}
	out, err := b.run("keys", "create", "--tenant", "default", "--scope", "verify", "--action", "ADMNI")
	if err != nil || !strings.Contains(out, `Warning: no rule asks for "ADMNI", so what is won for it with this key opens no route: did you mean "ADMIN"?`) {
		t.Errorf("a key for an action that no rule has: %s, %v", out, err)
	}
	b.mustRun("reset", "carol", "--new")
	if carol := b.mustRun("users", "carol"); carol["state"] != "reset" {
		t.Errorf("reset --new: %v", carol)
	}
}
