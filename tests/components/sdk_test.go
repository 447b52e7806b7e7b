//go:build components

package components

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/stepup-gateway/caddy-stepup/internal/freeport"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// sdkHost is what the published packages call, whatever they are told.
const sdkHost = "propelauth-api.com"

// sdkGateway has a site for people and the API for servers at sdkHost, which is
// sdkPort. SMS are written to a file.
func sdkGateway(t *testing.T) (g *gateway.Gateway, s gateway.Sealed) {
	t.Helper()
	s = gateway.Sealed{Name: sdkHost, Port: freeport.Find(t)}
	site := strings.Replace(bank(`protect SESSION /session {
			grant time_based 10m
		}`), "auto_https off", "auto_https disable_redirects\n\tskip_install_trust", 1)
	site = strings.Replace(site, "\t\tallow_plain_http\n", `		allow_plain_http
		sms {
			sender file GW_DIR/outbox
			country DE
			limits {
				resend_after 10s
			}
		}
`, 1)
	g = gateway.Start(t, site+`
https://`+s.Name+`:`+s.Port+` {
	bind 127.0.0.1
	tls internal
	step_up_api
	respond "application" 200
}
`, gateway.Options{Upstream: newCounter(t).addr})
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the gateway's log:\n%s", g.Log())
		}
	})
	return g, s
}

// newKey makes an API key of the tenant, with a command.
func newKey(t *testing.T, g *gateway.Gateway, scopes []string, actions ...string) string {
	t.Helper()
	out, err := g.StepUp("keys", "create", "--tenant", "t", "--scope", strings.Join(scopes, ","), "--action", strings.Join(actions, ","), "--json")
	if err != nil {
		t.Fatalf("creating a key: %v: %s", err, out)
	}
	// A warning may stand before it.
	var made struct{ Key string }
	if _, answer, _ := strings.Cut(out, "{"); json.Unmarshal([]byte("{"+answer), &made) != nil || made.Key == "" {
		t.Fatalf("creating a key: %s", out)
	}
	return made.Key
}

// TestPropelAuthSDK drives the API by @propelauth/node as it is published: the
// checks are those of tests/clients/sdk.mjs, and each has users of its own.
func TestPropelAuthSDK(t *testing.T) {
	g, s := sdkGateway(t)
	type user struct {
		ID     string `json:"id,omitempty"`
		Name   string `json:"name,omitempty"`
		Alias  string `json:"alias,omitempty"`
		Secret string `json:"secret"`
	}
	users := map[string]user{}
	enroll := func(name string) *gateway.Person {
		p := g.NewPerson(name)
		p.Enroll(t, "")
		return p
	}
	for _, name := range []string{"plain", "race", "timed", "expiry", "wronged", "acting", "mistaken", "locked", "leaving", "spaced"} {
		p := enroll(uuid.NewString())
		users[name] = user{ID: p.Name, Secret: p.Key.Base32()}
	}
	named := enroll("łucja van der Berg")
	// As clients that know only UUIDs compute it, of the id as it is kept: folded.
	namespace := uuid.NewSHA1(uuid.NameSpaceURL, []byte("urn:step-up:tenant:t"))
	users["named"] = user{Name: named.Name, Alias: uuid.NewSHA1(namespace, []byte(strings.ToLower(named.Name))).String(), Secret: named.Key.Base32()}
	reset := enroll(uuid.NewString())
	if out, err := g.StepUp("reset", reset.Name, "--tenant", "t"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	caller := g.NewPerson(uuid.NewString())
	outbox := filepath.Join(g.Dir, "outbox")
	enrollPhone(t, caller, outbox)

	printed, complaints, err := sealed(t, g, s, "sdk.mjs", map[string]any{
		"key":    newKey(t, g, []string{"enroll", "verify", "grants", "read", "reset"}, "WIRE", "VIEW", "wire transfer / Überweisung"),
		"bare":   newKey(t, g, []string{"verify", "grants", "read"}, "VIEW"),
		"action": "WIRE", "other": "VIEW", "spaced": "wire transfer / Überweisung", "users": users, "unknown": uuid.NewString(), "unenrolled": reset.Name,
		"sms": map[string]string{"id": caller.Name, "outbox": outbox},
	})
	if err != nil {
		t.Errorf("the driver ends with %v", err)
	}
	done := map[string]bool{}
	for line := range strings.Lines(printed) {
		var check struct{ Check, Wrong string }
		if err := json.Unmarshal([]byte(line), &check); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		done[check.Check] = true
		t.Run(check.Check, func(t *testing.T) {
			if check.Wrong != "" {
				t.Error(check.Wrong)
			}
		})
	}
	for _, name := range []string{
		"metadata: the key of tokens is served",
		"methods: Totp", "methods: Phone", "methods: none", "methods: unknown user",
		"grant: one-time, once", "grant: one-time, 20-way race", "grant: time-based, many times", "grant: expiry",
		"grant: wrong user", "grant: wrong action", "grant: any string is an action type", "grant: never made", "grant: a refusal is at least 400",
		"UserNotFoundException", "MfaNotEnabledException", "IncorrectMfaCodeException", "IncorrectMfaCodeException: used code",
		"InvalidRequestFieldsException", "BadRequestException", "UnauthorizedException", "lockout",
		"scopes: a key for another action", "scopes: a key that may not reset", "ids: not a UUID",
		"sms", "disable", "nothing falls through",
	} {
		if !done[name] {
			t.Errorf("the check %q was not made", name)
		}
	}
	if t.Failed() {
		t.Logf("the driver complains:\n%s", complaints)
	}

	// With a wrong key the package does not even begin.
	_, complaints, err = sealed(t, g, s, "sdk_begin.mjs", map[string]any{"key": "wrong"})
	if err == nil || !strings.Contains(complaints, "Your API key is incorrect") {
		t.Errorf("with a wrong key the package begins: %v\n%s", err, complaints)
	}
}

// enrolPhone enrolls a phone whose messages are written to a file.
func enrollPhone(t *testing.T, p *gateway.Person, outbox string) {
	t.Helper()
	var begun struct{ ID string }
	if _, err := p.API("POST", "/phones", map[string]string{"phone_number": "+4915112345678"}, &begun); err != nil {
		t.Fatal(err)
	}
	if _, err := p.API("POST", "/phones/"+begun.ID+"/confirm", map[string]string{"code": lastCode(t, outbox)}, nil); err != nil {
		t.Fatal(err)
	}
}

// lastCode is the code in the last message of the file.
func lastCode(t *testing.T, outbox string) string {
	t.Helper()
	content, err := os.ReadFile(outbox)
	if err != nil {
		t.Fatal(err)
	}
	codes := sixDigits.FindAllString(string(content), -1)
	if len(codes) == 0 {
		t.Fatalf("no message holds a code: %s", content)
	}
	return codes[len(codes)-1]
}

var sixDigits = regexp.MustCompile(`\b[0-9]{6}\b`)
