package portal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/passkey"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/recovery"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/totpapp"
)

func newPasskeySite(t *testing.T) *site {
	t.Helper()
	return newSiteWith(t, withPasskeys, func(_ *ceremony.Settings, _ *Options, where *cameIn) { where.origin = ceremonytest.Site })
}

func withPasskeys(_ *site, o *ceremony.Options) {
	o.Factors = []ceremony.Factor{passkey.Factor{}, totpapp.Factor{Issuer: o.Settings.Issuer, Params: o.Settings.TOTP}, recovery.Factor{}}
}

func newDevice(t *testing.T) *ceremonytest.Device {
	return ceremonytest.NewDevice(t, virtualwebauthn.KeyTypeEC2)
}

// asked are the options on a page.
func asked(t *testing.T, a answer) json.RawMessage {
	t.Helper()
	m := regexp.MustCompile(`data-options="([^"]*)"`).FindStringSubmatch(a.body)
	if m == nil {
		t.Fatalf("the page asks for no passkey: %s", strip(a.body))
	}
	return json.RawMessage(html.UnescapeString(m[1]))
}

// options are the options in an answer of the API.
func (a answer) options(t *testing.T) json.RawMessage {
	t.Helper()
	b, err := json.Marshal(a.json["options"])
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func credential(answer string) string { return `{"credential":` + answer + `}` }

// enrollPasskey gives the client's user a passkey; a further one where prove is
// not nil.
func (c *client) enrollPasskey(d *ceremonytest.Device, prove func(challenge string)) string {
	c.t.Helper()
	if prove != nil {
		prove(c.call("POST", "/passkeys", obj{}).want(c.t, 401).str("challenge_id"))
	}
	begun := c.call("POST", "/passkeys", obj{"label": "Key"}).want(c.t, 201)
	done := c.call("POST", "/passkeys/"+begun.str("id")+"/confirm", credential(d.Create(begun.options(c.t)))).want(c.t, 200)
	return done.json["authenticator"].(map[string]any)["id"].(string)
}

// provePasskey passes the challenge.
func (c *client) provePasskey(d *ceremonytest.Device, challenge string) answer {
	c.t.Helper()
	options := c.call("GET", "/challenges/"+challenge+"/passkey", nil).want(c.t, 200).options(c.t)
	return c.call("POST", "/challenges/"+challenge+"/verify", `{"method":"passkey","credential":`+d.Answer(options)+`}`)
}

func TestPeopleEnrolAPasskeyAndStepUpWithIt(t *testing.T) {
	s := newPasskeySite(t)
	c := s.browser("alice")
	d := newDevice(t)
	id := c.begin(reports, "/reports")
	start := c.get(c.get(Prefix+"challenge/"+id).to(t)).want(t, 200)
	if strings.Index(start.body, `value="passkey"`) > strings.Index(start.body, `value="totp"`) || !strings.Contains(start.body, `value="passkey"`) {
		t.Error("passkeys are not offered first")
	}
	shown := c.post(Prefix+"enroll", url.Values{"kind": {"passkey"}, "label": {"Laptop"}, "challenge": {id}}).to(t)
	page := c.get(shown).wantPage(t, 200, "Set up a passkey")
	options := asked(t, page)
	if again := asked(t, c.get(shown)); !bytes.Equal(again, options) {
		t.Errorf("asked anew: %s\n%s", options, again)
	}
	confirm := strings.Split(shown, "?")[0] + "/confirm"
	for _, bad := range []string{"", "{}", "123456", `{"id":"x"}`, strings.Repeat("x", 17<<10)} {
		wrong := c.post(confirm, url.Values{"code": {bad}, "challenge": {id}}).wantPage(t, 422, "Error: Set up a passkey")
		if !strings.Contains(wrong.body, "That passkey didn’t work") {
			t.Errorf("%.20q: %s", bad, strip(wrong.body))
		}
	}
	done := c.post(confirm, url.Values{"code": {d.Create(options)}, "challenge": {id}}).wantPage(t, 200, "Your recovery codes")
	if got := link(t, done.body, "I have saved them, continue"); got != "/reports" {
		t.Errorf("the way on leads to %s", got)
	}

	path := Prefix + "challenge/" + c.begin(withdraw, "/transfer")
	page = c.get(path).wantPage(t, 200, "Confirm it’s you")
	if !strings.Contains(page.body, `data-passkey="get" data-options="{`) || !strings.Contains(page.body, "method=recovery_code") {
		t.Errorf("the challenge: %s", strip(page.body))
	}
	other := newDevice(t)
	wrong := c.post(path, url.Values{"method": {"passkey"}, "code": {other.Answer(asked(t, page))}}).wantPage(t, 422, "Error: Confirm it’s you")
	if !strings.Contains(wrong.body, "That passkey didn’t work") {
		t.Errorf("wrong: %s", strip(wrong.body))
	}
	if to := c.post(path, url.Values{"method": {"passkey"}, "code": {d.Answer(asked(t, wrong))}}).onward(t); to != "/transfer" {
		t.Errorf("sent to %s", to)
	}
	home := c.get(Prefix).want(t, 200)
	for _, want := range []string{"Laptop", "Confirmed", "Failed attempt", "Verification method added"} {
		if !strings.Contains(home.body, want) {
			t.Errorf("the security page lacks %q: %s", want, strip(home.body))
		}
	}
}

// Passkeys are preferred, apps and messages stay one click away.
func TestPasskeysArePreferred(t *testing.T) {
	s := newPasskeySite(t)
	c := s.browser("alice")
	p := c.enroll()
	d := newDevice(t)
	d.Options.BackupEligible, d.Options.BackupState = true, true
	c.enrollPasskey(d, func(challenge string) { c.prove(p, challenge).want(t, 200) })
	path := Prefix + "challenge/" + c.begin(withdraw, "/transfer")
	page := c.get(path).want(t, 200)
	if asked(t, page); !strings.Contains(page.body, path+"?method=totp") || !strings.Contains(page.body, path+"?method=recovery_code") {
		t.Errorf("no other way: %s", page.body)
	}
	if page := c.get(path + "?method=totp"); !strings.Contains(page.body, `name="code"`) || strings.Contains(page.body, "data-options=") {
		t.Error("the app cannot be chosen")
	}
	me := c.call("GET", "/me", nil).json["authenticators"].([]any)
	if key := me[1].(map[string]any); key["type"] != "passkey" || key["synced"] != true || key["suspect"] != false {
		t.Errorf("me: %v", key)
	}
	if _, told := me[0].(map[string]any)["synced"]; told {
		t.Error("an app is told to be a passkey")
	}
}

func TestAPIEnrolsAPasskeyAndPassesWithIt(t *testing.T) {
	s := newPasskeySite(t)
	c := s.program("alice")
	d := newDevice(t)
	begun := c.call("POST", "/passkeys", obj{"label": "Key"}).want(t, 201)
	at := "/passkeys/" + begun.str("id")
	for _, body := range []string{`{}`, `{"credential":"x"}`, `{"code":"123456"}`, `{"credential":{}}`, `{"credential":{"id":"x","ID":"y"}}`} {
		c.call("POST", at+"/confirm", body).want(t, 422)
	}
	c.call("POST", "/totp/"+begun.str("id")+"/confirm", obj{"code": "123456"}).wantCode(t, 404, "not_found")
	answer := d.Create(begun.options(t))
	s.browser("mallory").call("POST", at+"/confirm", credential(answer)).wantCode(t, 404, "not_found")
	done := c.call("POST", at+"/confirm", credential(answer)).want(t, 200)
	if codes, _ := done.json["recovery_codes"].([]any); len(codes) != 10 {
		t.Errorf("done: %v", done.json)
	}
	c.call("POST", at+"/confirm", credential(answer)).wantCode(t, 404, "not_found")

	challenge := c.call("POST", "/challenges", obj{"action_type": "WITHDRAW_FUNDS"}).want(t, 201)
	if got := fmt.Sprint(challenge.json["methods"]); got != "[passkey recovery_code]" {
		t.Errorf("methods: %s", got)
	}
	won := c.provePasskey(d, challenge.str("challenge_id")).want(t, 200)
	if !strings.HasPrefix(won.str("grant"), "sug_") {
		t.Errorf("won: %v", won.json)
	}
}

// What another origin, user, challenge or key says passes nothing, nor what was
// said once.
func TestS04PasskeyAnswersAreForOneChallengeOfOneUserOnOneSite(t *testing.T) {
	s := newPasskeySite(t)
	c, bob := s.program("alice"), s.program("bob")
	d, ofBob := newDevice(t), newDevice(t)
	c.enrollPasskey(d, nil)
	bob.enrollPasskey(ofBob, nil)
	begin := func() string {
		return c.call("POST", "/challenges", obj{"action_type": "VIEW_REPORTS"}).want(t, 201).str("challenge_id")
	}
	options := func(id string) json.RawMessage {
		return c.call("GET", "/challenges/"+id+"/passkey", nil).want(t, 200).options(t)
	}
	verify := func(id, answer string) answer {
		return c.call("POST", "/challenges/"+id+"/verify", `{"method":"passkey","credential":`+answer+`}`)
	}
	id := begin()
	phished, unverified := *d, *d
	phished.Origin = "https://app.test.evil.example"
	unverified.Options.UserNotVerified = true
	old := d.Answer(options(id))
	verify(id, old).want(t, 200)
	for name, answer := range map[string]func(id string) string{
		"replayed":                  func(string) string { return old },
		"another origin":            func(id string) string { return phished.Answer(options(id)) },
		"another user's":            func(id string) string { return ofBob.Answer(options(id)) },
		"without user verification": func(id string) string { return unverified.Answer(options(id)) },
		"another challenge's":       func(string) string { return d.Answer(options(c.beginWithdrawal())) },
	} {
		s.clock.Add(2 * time.Hour) // the wait after wrong answers
		id := begin()
		if got := verify(id, answer(id)); got.StatusCode != 422 || got.str("code") != "invalid_code" {
			t.Errorf("%s: %d %s", name, got.StatusCode, got.body)
		}
	}
	s.clock.Add(2 * time.Hour)
	id = begin()
	verify(id, d.Answer(options(id))).want(t, 200)
}

func (c *client) beginWithdrawal() string {
	c.t.Helper()
	return c.call("POST", "/challenges", obj{"action_type": "WITHDRAW_FUNDS"}).want(c.t, 201).str("challenge_id")
}

// A counter that goes backwards means that there may be two of the key. The
// person sees it, and the key passes nothing.
func TestClonedPasskeyIsRefusedAndTold(t *testing.T) {
	s := newPasskeySite(t)
	c := s.program("alice")
	d := newDevice(t)
	c.enrollPasskey(d, nil)
	d.Key.Counter = 10
	c.provePasskey(d, c.beginWithdrawal()).want(t, 200)
	d.Key.Counter = 3
	c.provePasskey(d, c.beginWithdrawal()).wantCode(t, 422, "invalid_code")
	if key := c.call("GET", "/me", nil).json["authenticators"].([]any)[0].(map[string]any); key["suspect"] != true {
		t.Errorf("me: %v", key)
	}
	if home := s.browser("alice").get(Prefix); !strings.Contains(home.body, `class="warning"`) {
		t.Error("the security page does not warn")
	}
}

// A rule that takes passkeys alone takes nothing else, recovery codes neither,
// and leads to setting one up.
func TestPasskeysOnlyExcludesEverythingElse(t *testing.T) {
	s := newPasskeySite(t)
	c := s.browser("alice")
	d := withdraw
	d.Methods = grants.Passkey
	start := c.get(c.get(Prefix+"challenge/"+c.begin(d, "/")).to(t)).wantPage(t, 200, "Set up a passkey")
	if strings.Contains(start.body, `value="totp"`) {
		t.Error("an app is offered that does not do")
	}
	p := c.enroll()
	id := c.begin(d, "/transfer")
	c.get(Prefix+"challenge/"+id).want(t, 403)
	c.prove(p, id).wantCode(t, 422, "invalid_request")
	c.call("POST", "/challenges/"+id+"/verify", obj{"method": "recovery_code", "code": p.codes[0]}).wantCode(t, 422, "invalid_request")
	key := newDevice(t)
	c.enrollPasskey(key, func(challenge string) { c.prove(p, challenge).want(t, 200) })
	// An app vouched for it: the rule takes it after a day (S24).
	s.clock.Add(24 * time.Hour)
	id = c.begin(d, "/transfer")
	page := c.get(Prefix+"challenge/"+id).want(t, 200)
	if strings.Contains(page.body, "method=totp") || strings.Contains(page.body, "method=recovery_code") {
		t.Error("other ways are offered")
	}
	c.provePasskey(key, id).want(t, 200)
}

func TestS14PasskeysAreAddedRenamedAndRemovedByProof(t *testing.T) {
	s := newPasskeySite(t)
	c := s.program("alice")
	first, second := newDevice(t), newDevice(t)
	begun := c.call("POST", "/passkeys", obj{"label": "Old"}).want(t, 201)
	done := c.call("POST", "/passkeys/"+begun.str("id")+"/confirm", credential(first.Create(begun.options(t)))).want(t, 200)
	old := done.json["authenticator"].(map[string]any)["id"].(string)
	recovery := done.json["recovery_codes"].([]any)[0].(string)
	s.clock.Add(48 * time.Hour)
	// A recovery code adds, and that is all.
	added := c.enrollPasskey(second, func(challenge string) {
		c.call("POST", "/challenges/"+challenge+"/verify", obj{"method": "recovery_code", "code": recovery}).want(t, 200)
	})
	for _, call := range [][2]string{{"DELETE", "/authenticators/" + old}, {"POST", "/recovery-codes"}} {
		id := c.call(call[0], call[1], nil).wantCode(t, 401, "insufficient_user_authentication").str("challenge_id")
		c.call("POST", "/challenges/"+id+"/verify", obj{"method": "recovery_code", "code": recovery}).wantCode(t, 422, "invalid_request")
		// The new one is not asked for.
		if options := c.get(Prefix+"api/challenges/"+id+"/passkey").want(t, 200); strings.Count(options.body, `"type":"public-key"`) != 1 {
			t.Error("too new a passkey is asked for", options.body)
		}
		c.provePasskey(second, id).wantCode(t, 403, "forbidden") // too new
	}
	rename := "/authenticators/" + added
	c.provePasskey(second, c.call("PATCH", rename, obj{"label": "New"}).want(t, 401).str("challenge_id")).wantCode(t, 403, "forbidden")
	s.clock.Add(24 * time.Hour)
	c.provePasskey(second, c.call("PATCH", rename, obj{"label": "New"}).want(t, 401).str("challenge_id")).want(t, 200)
	c.call("PATCH", rename, obj{"label": "New"}).want(t, 200)
	// The grant for renaming one key removes none.
	c.provePasskey(first, c.call("PATCH", rename, obj{"label": "x"}).want(t, 401).str("challenge_id")).want(t, 200)
	c.call("DELETE", rename, nil).wantCode(t, 401, "insufficient_user_authentication")
	s.clock.Add(25 * time.Hour)
	// A recovery code vouched for the new one: it never removes the older (S24).
	c.provePasskey(second, c.call("DELETE", "/authenticators/"+old, nil).want(t, 401).str("challenge_id")).wantCode(t, 403, "forbidden")
	c.provePasskey(first, c.call("DELETE", rename, nil).want(t, 401).str("challenge_id")).want(t, 200)
	c.call("DELETE", rename, nil).want(t, 204)
	c.provePasskey(second, c.beginWithdrawal()).wantCode(t, 422, "invalid_code")
}

func TestS11PasskeyOptionsAreEscaped(t *testing.T) {
	s := newPasskeySite(t)
	c := s.browser(`"><script>alert(1)</script>`)
	c.get(Prefix + "enroll")
	page := c.get(c.post(Prefix+"enroll", url.Values{"kind": {"passkey"}, "label": {`'><script>alert(2)</script>`}}).to(t)).want(t, 200)
	if strings.Contains(page.body, "<script>") {
		t.Error("the user is not escaped")
	}
	var options map[string]any
	if err := json.Unmarshal(asked(t, page), &options); err != nil {
		t.Errorf("the options: %v", err)
	}
	if csp := page.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || strings.Contains(csp, "connect-src") {
		t.Errorf("CSP: %s", csp)
	}
}

func TestS18PasskeysOfOthersDoNotExist(t *testing.T) {
	s := newPasskeySite(t)
	c := s.browser("alice")
	d := newDevice(t)
	c.enrollPasskey(d, nil)
	challenge := c.begin(withdraw, "/")
	begun := s.browser("carol").call("POST", "/passkeys", obj{}).want(t, 201)
	made := credential(newDevice(t).Create(begun.options(t)))
	const none = "AAAAAAAAAAAAAAAAAAAAAA"
	for _, who := range []*client{s.browser("mallory"), s.browser("alice"), s.browser("carol")} {
		who.get(Prefix)
		a, b := who.call("POST", "/passkeys/"+begun.str("id")+"/confirm", made), who.call("POST", "/passkeys/"+none+"/confirm", made)
		if a.StatusCode != 404 || a.body != b.body {
			t.Errorf("confirm as %s: %d %s and %d %s", who.user, a.StatusCode, a.body, b.StatusCode, b.body)
		}
		a, b = who.call("GET", "/challenges/"+challenge+"/passkey", nil), who.call("GET", "/challenges/"+none+"/passkey", nil)
		if a.StatusCode != 404 || a.body != b.body {
			t.Errorf("options as %s: %d %s and %d %s", who.user, a.StatusCode, a.body, b.StatusCode, b.body)
		}
	}
}

// On a site that is named by an address there can be no passkeys, and none are
// offered; nor is the grant spent that would allow one.
func TestPasskeysAreNotOfferedWhereThereCanBeNone(t *testing.T) {
	s := newSiteWith(t, withPasskeys) // at 127.0.0.1
	c := s.browser("alice")
	if page := c.get(Prefix + "enroll"); strings.Contains(page.body, `value="passkey"`) {
		t.Error("passkeys are offered")
	}
	c.post(Prefix+"enroll", url.Values{"kind": {"passkey"}}).want(t, 422)
	c.call("POST", "/passkeys", obj{}).wantCode(t, 403, "forbidden")
}
