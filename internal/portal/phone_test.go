package portal

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/invite"
)

func TestPeopleEnrolAPhoneOnTheWayToTheAction(t *testing.T) {
	s := newPhoneSite(t)
	c := s.browser("alice")
	id := c.begin(reports, "/reports/q")
	page := c.get(c.get(Prefix+"challenge/"+id).to(t)).wantPage(t, 200, "Set up")
	for _, kind := range []string{"totp", "sms"} {
		if !strings.Contains(page.body, `name="kind" value="`+kind+`"`) {
			t.Errorf("%s is not offered", kind)
		}
	}
	if strings.Contains(page.body, `value="passkey"`) {
		t.Error("passkeys are offered where there are none")
	}
	c.post(Prefix+"enroll", url.Values{"kind": {"passkey"}, "challenge": {id}}).wantPage(t, 422, "Something’s missing")
	asked := c.post(Prefix+"enroll", url.Values{"kind": {"sms"}, "label": {"My mobile"}, "challenge": {id}}).wantPage(t, 200, "Set up your phone")
	for _, want := range []string{`name="number"`, `name="label" value="My mobile"`, `name="challenge" value="` + id + `"`, `action="/.step-up/phone"`} {
		if !strings.Contains(asked.body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	form := func(number string) url.Values {
		return url.Values{"number": {number}, "label": {"My mobile"}, "challenge": {id}}
	}
	for typed, want := range map[string]string{
		"12": "does not look like a phone number", "": "does not look like a phone number",
		"+1 212 555 2368": "This site does not send messages to that number", "+49 900 1234567": "This site does not send messages to that number",
	} {
		bad := c.post(Prefix+"phone", form(typed)).wantPage(t, 422, "Error: Set up your phone")
		if !strings.Contains(bad.body, want) || !strings.Contains(bad.body, `name="label" value="My mobile"`) {
			t.Errorf("%q: %s", typed, strip(bad.body))
		}
	}
	if s.sentTexts() != 0 {
		t.Fatal("a message was sent")
	}
	shown := c.post(Prefix+"phone", form(number)).to(t)
	if !regexp.MustCompile(`^/\.step-up/enroll/[A-Za-z0-9_-]+\?challenge=` + id + `$`).MatchString(shown) {
		t.Fatalf("sent to %s", shown)
	}
	page = c.get(shown).wantPage(t, 200, "Set up your phone")
	if !strings.Contains(page.body, "6789") || strings.Contains(page.body, "3456789") || !strings.Contains(page.body, `data-seconds="30"`) {
		t.Errorf("the page: %s", page.body)
	}
	if to := link(t, page.body, "Use another number"); to != "/.step-up/phone?challenge="+id {
		t.Errorf("another number is given at %s", to)
	}
	if c.get(shown); s.sentTexts() != 1 {
		t.Errorf("%d messages", s.sentTexts())
	}
	path := strings.Split(shown, "?")[0]
	again := url.Values{"challenge": {id}}
	early := c.post(path+"/send", again).wantPage(t, 429, "Error: Set up your phone")
	if early.Header.Get("Retry-After") != "30" {
		t.Errorf("Retry-After %q", early.Header.Get("Retry-After"))
	}
	s.clock.Add(31 * time.Second)
	if page := c.get(shown); strings.Contains(page.body, `data-then="resend"`) {
		t.Error("one waits for longer than one has to")
	}
	if to := c.post(path+"/send", again).to(t); to != shown || s.sentTexts() != 2 {
		t.Errorf("sent to %s, %d messages", to, s.sentTexts())
	}
	wrong := c.post(path+"/confirm", url.Values{"code": {other(s.lastCode())}, "challenge": {id}}).wantPage(t, 422, "Error: Set up your phone")
	if !strings.Contains(wrong.body, "Check the digits in the latest message") {
		t.Errorf("the wrong code: %s", strip(wrong.body))
	}
	done := c.post(path+"/confirm", url.Values{"code": {s.lastCode()}, "challenge": {id}}).wantPage(t, 200, "Your recovery codes")
	if got := link(t, done.body, "I have saved them, continue"); got != "/reports/q" || !strings.Contains(done.body, "Your phone is set up") {
		t.Errorf("%s: %s", got, strip(done.body))
	}
	home := c.get(Prefix).wantPage(t, 200, "Your security settings")
	for _, want := range []string{"My mobile", "6789", "Code sent", "Verification method added", "View reports"} {
		if !strings.Contains(home.body, want) {
			t.Errorf("the security page lacks %q: %s", want, strip(home.body))
		}
	}
	if strings.Contains(home.body, "3456789") {
		t.Error("the security page shows the number")
	}
}

// Who comes from an action that takes messages only is not led to set up an app
// that does not do for it.
func TestEnrolmentOffersWhatDoesForTheAction(t *testing.T) {
	s := newPhoneSite(t)
	c := s.browser("alice")
	d := withdraw
	d.Methods = grants.SMS | grants.RecoveryCode
	page := c.get(c.get(Prefix+"challenge/"+c.begin(d, "/transfer")).to(t)).wantPage(t, 200, "Set up your phone")
	if !strings.Contains(page.body, `name="kind" value="sms"`) || strings.Contains(page.body, `value="totp"`) {
		t.Errorf("offered: %s", page.body)
	}
	d.Methods = grants.Passkey // which nobody can set up here
	page = c.get(c.get(Prefix+"challenge/"+c.begin(d, "/transfer")).to(t)).want(t, 200)
	if !strings.Contains(page.body, `value="totp"`) {
		t.Errorf("offered: %s", page.body)
	}
}

// Opening pages sends nothing, and each form sends one message.
func TestPeoplePassAChallengeByMessage(t *testing.T) {
	s := newPhoneSite(t)
	c := s.browser("alice")
	c.enrollPhone()
	before := s.sentTexts()
	id := c.begin(withdraw, "/transfer")
	path := Prefix + "challenge/" + id
	for _, query := range []string{"", "?method=sms"} {
		page := c.get(path+query).wantPage(t, 200, "Confirm it’s you")
		if !strings.Contains(page.body, `action="`+path+`/send"`) || strings.Contains(page.body, `name="code"`) || !strings.Contains(page.body, "6789") {
			t.Errorf("%s: %s", query, strip(page.body))
		}
	}
	c.get(path+"/send").want(t, 405)
	if s.sentTexts() != before {
		t.Fatal("opening a page sent a message")
	}
	s.down(fmt.Errorf("no route to %s", number))
	failed := c.post(path+"/send", nil).wantPage(t, 503, "Error: Confirm it’s you")
	if !strings.Contains(failed.body, "This did not count as an attempt") || strings.Contains(failed.body, `name="code"`) || strings.Contains(failed.body, "no route") {
		t.Errorf("not sent: %s", strip(failed.body))
	}
	s.down(nil)
	shown := c.post(path+"/send", nil).to(t)
	if shown != path+"?method=sms" {
		t.Fatalf("sent to %s", shown)
	}
	page := c.get(shown).wantPage(t, 200, "Confirm it’s you")
	if !strings.Contains(page.body, `autocomplete="one-time-code"`) || !strings.Contains(page.body, `data-then="resend"`) {
		t.Errorf("sent: %s", strip(page.body))
	}
	early := c.post(path+"/send", nil).wantPage(t, 429, "Error: Confirm it’s you")
	if !strings.Contains(early.body, `name="code"`) || early.Header.Get("Retry-After") != "30" {
		t.Errorf("too early: %s", strip(early.body))
	}
	code := s.lastCode()
	wrong := c.post(path, url.Values{"method": {"sms"}, "code": {other(code)}}).wantPage(t, 422, "Error: Confirm it’s you")
	if !strings.Contains(wrong.body, "Check the digits in the latest message") {
		t.Errorf("wrong: %s", strip(wrong.body))
	}
	if to := c.post(path, url.Values{"method": {"sms"}, "code": {code}}).onward(t); to != "/transfer" {
		t.Errorf("sent to %s", to)
	}
	if s.sentTexts() != before+1 {
		t.Errorf("%d messages", s.sentTexts()-before)
	}
	c.post(path+"/send", nil).wantPage(t, 404, "This has expired")
}

func TestCancelLeadsBackAfterAMessageToo(t *testing.T) {
	s := newPhoneSite(t)
	c := s.browser("alice")
	c.enrollPhone()
	path := Prefix + "challenge/" + c.begin(withdraw, "/transfer")
	c.get(path)
	shown := c.post(path+"/send", url.Values{"from": {"/account?tab=2"}}).to(t)
	for query, want := range map[string]bool{"same-origin": true, "cross-site": false, "same-site": false, "none": false, "": false} {
		page := c.get(shown, "Sec-Fetch-Site", query)
		if got := strings.Contains(page.body, `name="from" value="/account?tab=2"`); got != want {
			t.Errorf("%q: carried on: %v", query, got)
		}
	}
	for _, from := range []string{"//evil.example", "https://evil.example/", "/.step-up/"} {
		page := c.get(path + "?method=sms&from=" + url.QueryEscape(from))
		if strings.Contains(page.body, "evil.example") && !strings.Contains(page.body, `value="/.//evil.example"`) || strings.Contains(page.body, `value="/.step-up/"`) {
			t.Errorf("%q is carried on", from)
		}
	}
}

func TestAPIEnrolsAPhoneAndPassesByMessage(t *testing.T) {
	s := newPhoneSite(t)
	c := s.program("alice")
	for in, field := range map[string]string{`{}`: "phone_number", `{"phone_number":"12"}`: "phone_number", `{"phone_number":"+1 212 555 2368"}`: "phone_number",
		`{"phone_number":"` + strings.Repeat("1", 41) + `"}`: "phone_number", `{"phone_number":"` + number + `","label":"` + strings.Repeat("x", 65) + `"}`: "label"} {
		bad := c.call("POST", "/phones", in).wantCode(t, 422, "invalid_request")
		if got := bad.json["errors"].([]any)[0].(map[string]any)["field"]; got != field {
			t.Errorf("%s: %v", in, bad.json)
		}
	}
	begun := c.call("POST", "/phones", obj{"phone_number": "01512 3456789", "label": "Mobile"}).want(t, 201)
	if begun.str("phone_number_suffix") != "6789" || begun.str("resend_at") != "2026-03-14T09:26:30Z" || begun.str("expires_at") != "2026-03-14T09:41:00Z" {
		t.Errorf("begun: %v", begun.json)
	}
	id := begun.str("id")
	if got := c.call("POST", "/phones/"+id+"/send", nil).wantCode(t, 429, "too_many_sends"); got.Header.Get("Retry-After") != "30" {
		t.Errorf("Retry-After %q", got.Header.Get("Retry-After"))
	}
	c.call("POST", "/phones/"+id+"/confirm", obj{"code": other(s.lastCode())}).wantCode(t, 422, "invalid_code")
	// An enrollment answers under the path of its own kind only.
	c.call("POST", "/totp/"+id+"/confirm", obj{"code": s.lastCode()}).wantCode(t, 404, "not_found")
	c.call("POST", "/passkeys/"+id+"/confirm", `{"credential":{}}`).wantCode(t, 404, "not_found")
	c.call("POST", "/phones/"+c.call("POST", "/totp", obj{}).str("id")+"/send", nil).wantCode(t, 404, "not_found")
	c.call("POST", "/passkeys", obj{}).wantCode(t, 403, "forbidden")
	s.clock.Add(31 * time.Second)
	if again := c.call("POST", "/phones/"+id+"/send", nil).want(t, 200); again.str("resend_at") != "2026-03-14T09:27:01Z" {
		t.Errorf("again: %v", again.json)
	}
	done := c.call("POST", "/phones/"+id+"/confirm", obj{"code": s.lastCode()}).want(t, 200)
	if codes, _ := done.json["recovery_codes"].([]any); len(codes) != 10 {
		t.Errorf("done: %v", done.json)
	}
	phone := c.call("GET", "/me", nil).json["authenticators"].([]any)[0].(map[string]any)
	if phone["type"] != "phone" || phone["phone_number_suffix"] != "6789" || phone["label"] != "Mobile" {
		t.Errorf("me: %v", phone)
	}

	s.clock.Add(11 * time.Minute)
	challenge := c.call("POST", "/challenges", obj{"action_type": "WITHDRAW_FUNDS"}).want(t, 201)
	if got := fmt.Sprint(challenge.json["methods"]); got != "[sms recovery_code]" {
		t.Errorf("methods: %s", got)
	}
	at := "/challenges/" + challenge.str("challenge_id")
	c.call("GET", at+"/passkey", nil).wantCode(t, 422, "invalid_request")
	c.call("POST", at+"/send", obj{"authenticator_id": "AAAAAAAAAAAAAAAA"}).wantCode(t, 404, "not_found")
	s.down(errors.New("down"))
	c.call("POST", at+"/send", nil).wantCode(t, 503, "not_sent")
	if left := c.call("GET", at, nil).json["attempts_left"]; left != 60.0 {
		t.Errorf("a failure to send costs attempts: %v left", left)
	}
	s.down(nil)
	c.call("POST", at+"/send", obj{"authenticator_id": phone["id"].(string)}).want(t, 200)
	c.call("POST", at+"/verify", obj{"method": "sms", "code": other(s.lastCode())}).wantCode(t, 422, "invalid_code")
	c.call("POST", at+"/verify", obj{"method": "sms", "code": s.lastCode()}).want(t, 200)

	kinds := ""
	for _, a := range c.call("GET", "/activity", nil).want(t, 200).json["activity"].([]any) {
		a := a.(map[string]any)
		kinds += fmt.Sprint(a["kind"], "/", a["outcome"], "/", a["method"], " ")
	}
	// The clock stands still between some of them.
	for _, want := range []string{"verify/passed/sms ", "verify/refused/sms ", "sms/sent/sms ", "confirm/done/sms ", "confirm/refused/sms "} {
		if !strings.Contains(kinds, want) {
			t.Errorf("%s is not among %s", want, kinds)
		}
	}
}

// What allowed an enrollment is spent when it begins, so a code that cannot be
// sent must not end it.
func TestAPhoneThatCannotBeReachedStaysPending(t *testing.T) {
	s := newPhoneSite(t)
	s.down(errors.New("down"))
	c := s.program("alice")
	failed := c.call("POST", "/phones", obj{"phone_number": number}).wantCode(t, 503, "not_sent")
	s.down(nil)
	c.call("POST", "/phones/"+failed.str("id")+"/send", nil).want(t, 200)
	c.call("POST", "/phones/"+failed.str("id")+"/confirm", obj{"code": s.lastCode()}).want(t, 200)

	s.down(errors.New("down"))
	b := s.browser("bob")
	b.get(Prefix + "enroll")
	page := b.post(Prefix+"phone", url.Values{"number": {number}}).wantPage(t, 503, "Error: Set up your phone")
	m := regexp.MustCompile(`action="(/\.step-up/enroll/[^/"]+)/send"`).FindStringSubmatch(page.body)
	if m == nil || !strings.Contains(page.body, "This did not count as an attempt") {
		t.Fatalf("not sent: %s", page.body)
	}
	s.down(nil)
	b.get(b.post(m[1]+"/send", nil).to(t))
	b.post(m[1]+"/confirm", url.Values{"code": {s.lastCode()}}).wantPage(t, 200, "Your recovery codes")
}

func TestPhonesByInviteOnly(t *testing.T) {
	s := newPhoneSite(t, func(set *ceremony.Settings, _ *Options, _ *cameIn) { set.Enrollment = ceremony.ByInvite })
	c := s.browser("alice")
	c.get(Prefix+"enroll").want(t, 200)
	if to := c.get(Prefix + "phone").to(t); to != Prefix+"enroll" {
		t.Errorf("sent to %s", to)
	}
	for _, path := range []string{"enroll", "phone"} {
		for invite, want := range map[string]string{"": "Enter the invite", "sui_wrong": "That invite code didn’t work"} {
			if path == "enroll" && invite != "" {
				continue // looked at with the number
			}
			page := c.post(Prefix+path, url.Values{"kind": {"sms"}, "number": {number}, "invite": {invite}}).want(t, 403)
			if !strings.Contains(page.body, want) || !strings.Contains(page.body, `value="sms" required checked`) {
				t.Errorf("%s %q: %s", path, invite, strip(page.body))
			}
		}
	}
	if s.sentTexts() != 0 {
		t.Error("a message was sent without an invite")
	}
	invite, hash := invite.New()
	if err := s.service.Invite(t.Context(), grants.Subject{Tenant: "staff", User: "alice"}, hash, s.clock.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	asked := c.post(Prefix+"enroll", url.Values{"kind": {"sms"}, "invite": {invite}}).wantPage(t, 200, "Set up your phone")
	if !strings.Contains(asked.body, `name="invite" value="`+invite+`"`) {
		t.Error("the invite is not carried on")
	}
	shown := c.post(Prefix+"phone", url.Values{"number": {number}, "invite": {invite}}).to(t)
	c.post(shown+"/confirm", url.Values{"code": {s.lastCode()}}).wantPage(t, 200, "Your recovery codes")
}

// Where no codes are sent, nothing of it is offered.
func TestPhonesAreNotOfferedWithoutASender(t *testing.T) {
	s := newSite(t)
	c := s.browser("alice")
	if page := c.get(Prefix + "enroll"); strings.Contains(page.body, `value="sms"`) {
		t.Error("messages are offered")
	}
	c.get(Prefix+"phone").want(t, 403)
	c.post(Prefix+"phone", url.Values{"number": {number}}).want(t, 403)
	c.call("POST", "/phones", obj{"phone_number": number}).wantCode(t, 403, "forbidden")
	c.enroll()
	c.call("POST", "/challenges/"+c.begin(withdraw, "/")+"/send", nil).wantCode(t, 403, "forbidden")
}
