package portal

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/mail"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/recovery"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/totpapp"
)

const mailbox = "alice@bank.example"

// newMailSite is a site that sends codes by mail, to the address that the returned
// text has.
func newMailSite(t *testing.T) (*site, *string) {
	t.Helper()
	address := new(string)
	*address = mailbox
	s := newSiteWith(t, func(s *site, o *ceremony.Options) {
		o.Factors = []ceremony.Factor{totpapp.Factor{Issuer: o.Settings.Issuer, Params: o.Settings.TOTP}, mail.New(s.codes(o.Settings.Issuer)), recovery.Factor{}}
	}, func(_ *ceremony.Settings, o *Options, _ *cameIn) {
		identify := o.Identify
		o.Identify = func(r *http.Request) (ceremony.Principal, error) {
			p, err := identify(r)
			p.Email = *address
			return p, err
		}
	})
	return s, address
}

// The whole way on pages, without a script, in every state that a code by mail has.
func TestMailFromEnrolmentToProof(t *testing.T) {
	s, address := newMailSite(t)
	c := s.browser("alice")
	id := c.begin(withdraw, "/transfer")
	start := c.get(Prefix+"enroll?challenge="+id).wantPage(t, 200, "Set up a verification method")
	if !strings.Contains(start.body, `value="email"`) || strings.Contains(start.body, "has no email address") {
		t.Errorf("offered: %s", strip(start.body))
	}
	shown := c.post(Prefix+"enroll", url.Values{"kind": {"email"}, "label": {"Work mail"}, "challenge": {id}, "email": {"mallory@evil.example"}, "number": {"mallory@evil.example"}}).to(t)
	if s.sentTexts() != 1 || s.texts[0].to != mailbox {
		t.Fatalf("sent: %+v", s.texts)
	}
	page := c.get(shown).wantPage(t, 200, "Set up codes by email")
	if !strings.Contains(page.body, "a…\u2060@bank.example") || strings.Contains(page.body, mailbox) || !strings.Contains(page.body, "Enter the code from the email") {
		t.Errorf("the page: %s", strip(page.body))
	}
	path := strings.Split(shown, "?")[0]
	c.post(path+"/send", url.Values{"challenge": {id}}).wantPage(t, 429, "Error: Set up codes by email")
	wrong := c.post(path+"/confirm", url.Values{"code": {other(s.lastCode())}, "challenge": {id}}).wantPage(t, 422, "Error: Set up codes by email")
	if !strings.Contains(wrong.body, "Check the digits in the latest email") {
		t.Errorf("the wrong code: %s", strip(wrong.body))
	}
	done := c.post(path+"/confirm", url.Values{"code": {s.lastCode()}, "challenge": {id}}).wantPage(t, 200, "Your recovery codes")
	if !strings.Contains(done.body, "Codes by email are set up") {
		t.Errorf("confirmed: %s", strip(done.body))
	}
	home := c.get(Prefix).wantPage(t, 200, "Your security settings")
	for _, want := range []string{"Work mail", "a…\u2060@bank.example", "Code sent"} {
		if !strings.Contains(home.body, want) {
			t.Errorf("the security page lacks %q: %s", want, strip(home.body))
		}
	}
	s.clock.Add(11 * time.Minute)
	challenge := Prefix + "challenge/" + c.begin(withdraw, "/transfer")
	if ask := c.get(challenge).wantPage(t, 200, "Confirm it’s you"); !strings.Contains(ask.body, "We’ll send a code to") {
		t.Errorf("asking: %s", strip(ask.body))
	}
	sent := c.get(c.post(challenge+"/send", nil).to(t)).wantPage(t, 200, "Confirm it’s you")
	if !strings.Contains(sent.body, "Code from the email") {
		t.Errorf("sent: %s", strip(sent.body))
	}
	if got := c.post(challenge, url.Values{"method": {"email"}, "code": {s.lastCode()}}).want(t, 200); !strings.Contains(got.Header.Get("Refresh"), "/transfer") {
		t.Errorf("passed: %v", got.Header)
	}

	// Another address at the identity source.
	before := s.sentTexts()
	for _, now := range []string{"mallory@evil.example", ""} {
		*address = now
		s.clock.Add(11 * time.Minute)
		challenge = Prefix + "challenge/" + c.begin(withdraw, "/transfer?"+now)
		ask := c.get(challenge).wantPage(t, 200, "Confirm it’s you")
		if !strings.Contains(ask.body, "“Work mail” is not used") || strings.Contains(ask.body, "by email instead") {
			t.Errorf("%q: %s", now, strip(ask.body))
		}
		c.post(challenge+"/send", nil).wantPage(t, 403, "Your email address has changed")
		if home := c.get(Prefix).wantPage(t, 200, "Your security settings"); !strings.Contains(home.body, "Not used: your account no longer has this email address") {
			t.Errorf("%q: %s", now, strip(home.body))
		}
		d := withdraw
		d.Methods = 1 << 5 // mail alone, so that nothing is left
		c.get(Prefix+"challenge/"+c.begin(d, "/x?"+now)).wantPage(t, 403, "Your email address has changed")
	}
	if s.sentTexts() != before {
		t.Error("a mail was sent")
	}
}

func TestMailNeedsAnAddress(t *testing.T) {
	s, address := newMailSite(t)
	*address = ""
	c := s.browser("alice")
	start := c.get(Prefix+"enroll").wantPage(t, 200, "Set up an authenticator app")
	if !strings.Contains(start.body, "your account has no email address") || strings.Contains(start.body, `value="email"`) {
		t.Errorf("offered: %s", strip(start.body))
	}
	c.post(Prefix+"enroll", url.Values{"kind": {"email"}}).want(t, 422)
	got := c.call("POST", "/emails", obj{}).wantCode(t, 403, "forbidden")
	if !strings.Contains(got.body, "gives no e-mail address") || s.sentTexts() != 0 {
		t.Error(got.body)
	}
}

// Every answer of the calls for mail is as openapi.yaml has it: call compares them.
func TestMailCalls(t *testing.T) {
	s, address := newMailSite(t)
	c := s.program("alice")
	begun := c.call("POST", "/emails", obj{"label": "Work mail"}).want(t, 201)
	c.call("POST", "/emails", obj{"phone_number": "x"}).wantCode(t, 422, "invalid_request")
	c.call("POST", "/emails/"+begun.str("id")+"/send", nil).wantCode(t, 429, "too_many_sends")
	s.clock.Add(31 * time.Second)
	if sent := c.call("POST", "/emails/"+begun.str("id")+"/send", nil).want(t, 200); sent.str("email") != "a…@bank.example" {
		t.Error(sent.body)
	}
	c.call("POST", "/phones/"+begun.str("id")+"/confirm", obj{"code": s.lastCode()}).wantCode(t, 404, "not_found")
	c.call("POST", "/totp/"+begun.str("id")+"/confirm", obj{"code": s.lastCode()}).wantCode(t, 404, "not_found")
	done := c.call("POST", "/emails/"+begun.str("id")+"/confirm", obj{"code": s.lastCode()}).want(t, 200)
	if a := done.json["authenticator"].(map[string]any); a["type"] != "email" || a["usable"] != true {
		t.Error(done.body)
	}
	s.clock.Add(11 * time.Minute)
	id := c.call("POST", "/challenges", obj{"action_type": "WITHDRAW_FUNDS"}).want(t, 201).str("challenge_id")
	c.call("GET", "/challenges/"+id, nil).want(t, 200)
	c.call("POST", "/challenges/"+id+"/send", nil).want(t, 200)
	*address = "mallory@evil.example"
	c.call("GET", "/challenges/"+id, nil).want(t, 200)
	c.call("GET", "/me", nil).want(t, 200)
	c.call("POST", "/challenges/"+id+"/send", nil).wantCode(t, 403, "forbidden")
	c.call("POST", "/challenges/"+id+"/verify", obj{"method": "email", "code": s.lastCode()}).wantCode(t, 403, "forbidden")
	*address = mailbox
	c.call("POST", "/challenges/"+id+"/verify", obj{"method": "email", "code": other(s.lastCode())}).wantCode(t, 422, "invalid_code")
	c.call("POST", "/challenges/"+id+"/verify", obj{"method": "email", "code": s.lastCode()}).want(t, 200)
	c.call("GET", "/activity", nil).want(t, 200)
}
