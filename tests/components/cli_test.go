//go:build components

package components

import (
	"encoding/json"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// TestCurlAndOathtool goes the whole way with the tools that an operator has.
func TestCurlAndOathtool(t *testing.T) {
	up := newCounter(t)
	caddyfile := strings.Replace(bank("protect ADMIN /admin/* {\n grant time_based 4s\n }"), "enrollment first_use", "enrollment invite", 1)
	g := gateway.Start(t, caddyfile, gateway.Options{Upstream: up.addr})
	jar := g.Dir + "/jar"
	program(t, "curl")
	program(t, "oathtool")
	run := func(name string, args ...string) string {
		t.Helper()
		out, err := exec.Command(name, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s %q: %v\n%s", name, args, err, out)
		}
		return string(out)
	}
	curl := func(args ...string) string {
		t.Helper()
		return run("curl", append([]string{"-sS", "-i", "--cookie", jar, "--cookie-jar", jar, "-H", gateway.Header + ": carol"}, args...)...)
	}
	post := func(path, body string) string {
		t.Helper()
		return curl("-H", "Content-Type: application/json", "-d", body, g.URL+path)
	}
	want := func(answer string, parts ...string) {
		t.Helper()
		for _, part := range parts {
			if !strings.Contains(answer, part) {
				t.Fatalf("the answer lacks %q:\n%s", part, answer)
			}
		}
	}
	decode := func(answer string, out any) {
		t.Helper()
		_, body, _ := strings.Cut(answer, "\r\n\r\n")
		if err := json.Unmarshal([]byte(body), out); err != nil {
			t.Fatalf("%v in %s", err, answer)
		}
	}

	want(post("/.step-up/api/totp", `{}`), "403", `"forbidden"`)
	invited, err := g.StepUp("invite", "carol", "--tenant", "t", "--json")
	if err != nil {
		t.Fatalf("%v: %s", err, invited)
	}
	var invite struct{ Invite string }
	if err := json.Unmarshal([]byte(invited), &invite); err != nil || invite.Invite == "" {
		t.Fatalf("%v in %s", err, invited)
	}
	var begun struct {
		ID, Secret string
		URI        string `json:"otpauth_uri"`
	}
	decode(post("/.step-up/api/totp", `{"label":"Phone","invite":"`+invite.Invite+`"}`), &begun)
	want(begun.URI, "otpauth://totp/Test:carol?", "secret="+begun.Secret, "issuer=Test")
	oath := func(when string) string {
		return strings.TrimSpace(run("oathtool", "--totp", "--base32", "--now", when, begun.Secret))
	}
	var confirmed struct {
		RecoveryCodes []string `json:"recovery_codes"`
	}
	decode(post("/.step-up/api/totp/"+begun.ID+"/confirm", `{"code":"`+oath("30 seconds ago")+`"}`), &confirmed)
	if len(confirmed.RecoveryCodes) != 10 {
		t.Fatalf("recovery codes: %q", confirmed.RecoveryCodes)
	}

	want(curl("-H", "Accept: text/html", "-H", "Sec-Fetch-Mode: navigate", g.URL+"/admin/"), "303", "Location: /.step-up/challenge/", "no-store")
	refused := curl("-H", "Accept: application/json", g.URL+"/admin/")
	want(refused, "401", `Www-Authenticate: Bearer error="insufficient_user_authentication"`, "max_age", "application/problem+json", `"action_type":"ADMIN"`, "no-store")
	var problem struct {
		Challenge string `json:"challenge_id"`
		API       string `json:"api_url"`
	}
	decode(refused, &problem)

	won := post("/.step-up/api/challenges/"+problem.Challenge+"/verify", `{"method":"totp","code":"`+oath("now")+`"}`)
	want(won, "200", "Set-Cookie:", `"grant_type":"TIME_BASED"`)
	verified := time.Now()
	want(curl(g.URL+"/admin/"), "200", "application: /admin/ for carol")
	passes := 0
	for time.Since(verified) < 3800*time.Millisecond {
		want(curl(g.URL+"/admin/"), "200")
		passes++
		time.Sleep(200 * time.Millisecond)
	}
	time.Sleep(time.Until(verified.Add(4 * time.Second)))
	// curl's jar forgets the cookie by itself; the gateway must not rely on it.
	want(curl("-H", "Cookie: "+cookieOf(won), g.URL+"/admin/"), "401")
	t.Logf("passed %d times within the grant's 4 s, refused after", passes)

	refused = curl("-H", "Accept: application/json", g.URL+"/wire/1")
	decode(refused, &problem)
	won = post("/.step-up/api/challenges/"+problem.Challenge+"/verify", `{"method":"recovery_code","code":"`+confirmed.RecoveryCodes[0]+`"}`)
	want(won, "200", `"grant_type":"ONE_TIME_USE"`, "SameSite=Strict")
	want(curl(g.URL+"/wire/1"), "200", "application: /wire/1 for carol")
	want(curl(g.URL+"/wire/1"), "401")
	if n := up.count("/wire/1"); n != 1 {
		t.Errorf("the application saw the one-time request %d times", n)
	}

	for _, args := range [][]string{
		{"users", "--json"}, {"users"}, {"explain", "GET", g.URL + "/admin/%2e%2e/wire/1"}, {"explain", "--json", "GET", g.URL + "/public"},
		{"unlock", "carol", "--tenant", "t"}, {"revoke", "carol", "--tenant", "t"}, {"reset", "carol", "--tenant", "t"},
	} {
		out, err := g.StepUp(args...)
		if err != nil {
			t.Errorf("%q: %v: %s", args, err, out)
		}
		t.Logf("%s\n%s", strings.Join(args, " "), out)
	}
	want(post("/.step-up/api/totp", `{}`), "403", `"forbidden"`) // reset demands an invite
	for _, command := range []string{"users", "reset", "unlock", "invite", "revoke", "explain", "check", "coverage", "keygen", "init", "version"} {
		out, err := g.Command("step-up", command, "--help").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "Usage:") {
			t.Errorf("step-up %s --help: %v\n%s", command, err, out)
		}
	}
	resp, err := http.Get("http://" + g.Admin + "/step_up/health")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("health: %v %v", resp, err)
	} else {
		resp.Body.Close()
	}
}

// cookieOf is the grant's cookie that an answer sets.
func cookieOf(answer string) string {
	for line := range strings.Lines(answer) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(name, "set-cookie") && strings.Contains(value, "=sug_") {
			pair, _, _ := strings.Cut(strings.TrimSpace(value), ";")
			return pair
		}
	}
	return ""
}
