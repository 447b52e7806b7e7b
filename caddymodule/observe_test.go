package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// TestObserve: an observing rule lets everybody through, and tells of it in the
// log and the metrics. A site with no other rule says so when it loads.
func TestObserve(t *testing.T) {
	b := newBed(t)
	b.Load(b.config(keyFile, "tenant observe\n"+strings.Replace(protectAdmin, "grant", "mode observe\ngrant", 1), ""))
	if !strings.Contains(b.Log(), "all rules of a site have mode observe") {
		t.Error("nobody is told that nothing is protected")
	}
	if resp, answer := (&person{b: b}).do("GET", "/admin/x", nil); resp.StatusCode != 200 {
		t.Errorf("%d %v, want 200", resp.StatusCode, answer)
	}
	if n := len(b.app.requests()); n != 1 {
		t.Errorf("%d requests reached the application, want 1", n)
	}
	resp, err := b.Client.Get("http://localhost:" + b.AdminPort + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	metrics, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(metrics), `step_up_requests_total{action_type="ADMIN",outcome="would_challenge"} `) {
		t.Error("the would-be challenge is not counted")
	}
	if out, err := b.run("explain", "GET", b.URL+"/admin/x"); err != nil || !strings.Contains(out, "1 observes") || !strings.Contains(out, "mode observe") {
		t.Errorf("explain wrote %q, %v", out, err)
	}

	// With an enforced rule there is no such warning.
	before := strings.Count(b.Log(), "all rules of a site")
	b.Load(b.config(keyFile, "tenant observe\n"+strings.Replace(protectAdmin, "grant", "mode observe\ngrant", 1)+protectTransfer, ""))
	if strings.Count(b.Log(), "all rules of a site") != before {
		t.Error("a site that enforces a rule is warned of")
	}
}

// observed are the lines of the logger for observing rules.
func observed(log string) (lines []string) {
	for line := range strings.Lines(log) {
		if strings.Contains(line, `"logger":"step_up.observe"`) {
			lines = append(lines, line)
		}
	}
	return lines
}

// TestS13ObserveLog: a line names the rule, and nothing that a client may have
// put into the request.
func TestS13ObserveLog(t *testing.T) {
	b := newBed(t)
	b.Load(b.config(keyFile, "tenant observe13\nprotect PAY {\nunsafe\nmode observe\ngrant one_time\n}\n", ""))
	alice := &person{b: b, name: "alice"}
	alice.do("POST", "/reset/sEcReT-t0ken-0123456789?code=123456&token=hush", map[string]string{"password": "swordfish"})
	lines := observed(b.Log())
	if len(lines) != 1 {
		t.Fatalf("%d lines, want 1: %q", len(lines), lines)
	}
	for _, want := range []string{`"action_type":"PAY"`, `"method":"POST"`, `"path":"/reset/{id}"`, `"identity":"present"`, `"user":"alice"`, `"rule":"protect PAY unsafe grant one_time`} {
		if !strings.Contains(lines[0], want) {
			t.Errorf("%s is missing in %s", want, lines[0])
		}
	}
	for _, secret := range []string{"t0ken", "123456", "hush", "swordfish"} {
		if strings.Contains(lines[0], secret) {
			t.Errorf("%s is in the log: %s", secret, lines[0])
		}
	}
}

// TestS19ObserveLogIsBounded: a flood fills no disk, and what was left out is
// counted.
func TestS19ObserveLogIsBounded(t *testing.T) {
	b := newBed(t)
	b.Load(b.config(keyFile, "tenant observe19\nprotect PAY {\nunsafe\nmode observe\ngrant one_time\n}\n", ""))
	alice := &person{b: b, name: "alice"}
	began := time.Now()
	for i := range 200 {
		alice.do("POST", fmt.Sprint("/x/", i), nil)
	}
	seconds := int(time.Since(began)/time.Second) + 2
	if n := len(observed(b.Log())); n < 10 || n > 10*seconds {
		t.Errorf("%d lines in %d seconds, want at most 10 in each", n, seconds)
	}
	time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second)))
	alice.do("POST", "/x", nil)
	// Where the flood crosses into another second, an earlier line tells a part.
	lines := observed(b.Log())
	told := 0
	for _, line := range lines {
		var l struct{ Suppressed int }
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err, line)
		}
		told += 1 + l.Suppressed
	}
	if told != 201 {
		t.Errorf("%d lines tell of %d requests, want 201", len(lines), told)
	}
}
