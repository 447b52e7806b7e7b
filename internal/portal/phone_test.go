package portal

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/totp"
)

const number = "+49 1512 3456789"

// enrolPhone gives the client's user a phone as first authenticator.
func (c *client) enrolPhone() *person {
	c.t.Helper()
	begun := c.call("POST", "/phones", obj{"phone_number": number, "label": "Mobile"}).want(c.t, 201)
	done := c.call("POST", "/phones/"+begun.str("id")+"/confirm", obj{"code": c.lastCode()}).want(c.t, 200)
	p := &person{}
	p.id, _ = done.json["authenticator"].(map[string]any)["id"].(string)
	for _, code := range done.json["recovery_codes"].([]any) {
		p.codes = append(p.codes, code.(string))
	}
	c.clock.Add(11 * time.Minute)
	return p
}

func other(code string) string {
	if code == "271828" {
		return "314159"
	}
	return "271828"
}

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
	c.post(Prefix+"enroll", url.Values{"kind": {"passkey"}, "challenge": {id}}).wantPage(t, 422, "That could not be understood")
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
		"+1 212 555 2368": "No messages are sent to that number", "+49 900 1234567": "No messages are sent to that number",
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
	for _, want := range []string{"My mobile", "6789", "Text message sent", "Authenticator added", "View reports"} {
		if !strings.Contains(home.body, want) {
			t.Errorf("the security page lacks %q: %s", want, strip(home.body))
		}
	}
	if strings.Contains(home.body, "3456789") {
		t.Error("the security page shows the number")
	}
}

// Opening pages sends nothing, and each form sends one message.
func TestPeoplePassAChallengeByMessage(t *testing.T) {
	s := newPhoneSite(t)
	c := s.browser("alice")
	c.enrolPhone()
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
	if !strings.Contains(failed.body, "Nothing was used up") || strings.Contains(failed.body, `name="code"`) || strings.Contains(failed.body, "no route") {
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
	c.enrolPhone()
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
	// An enrolment answers under the path of its own kind only.
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

// What allowed an enrolment is spent when it begins, so a code that cannot be
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
	if m == nil || !strings.Contains(page.body, "Nothing was used up") {
		t.Fatalf("not sent: %s", page.body)
	}
	s.down(nil)
	b.get(b.post(m[1]+"/send", nil).to(t))
	b.post(m[1]+"/confirm", url.Values{"code": {s.lastCode()}}).wantPage(t, 200, "Your recovery codes")
}

func TestPhonesByInviteOnly(t *testing.T) {
	s := newPhoneSite(t, func(set *ceremony.Settings, _ *Options, _ *Site) { set.Enrollment = ceremony.ByInvite })
	c := s.browser("alice")
	c.get(Prefix+"enroll").want(t, 200)
	if to := c.get(Prefix + "phone").to(t); to != Prefix+"enroll" {
		t.Errorf("sent to %s", to)
	}
	for _, path := range []string{"enroll", "phone"} {
		for invite, want := range map[string]string{"": "Enter the invite", "sui_wrong": "That invite was not accepted"} {
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
	invite, hash := ceremony.NewInvite()
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

// A clock that is off is told where the secret is shown anyway, and only there.
func TestAWrongClockIsToldAndNotAccepted(t *testing.T) {
	s := newSite(t)
	c := s.browser("alice")
	c.get(Prefix + "enroll")
	shown := c.post(Prefix+"enroll", url.Values{"label": {"Phone"}}).to(t)
	key := keyOf(t, secretOn(t, c.get(shown).body))
	for off, want := range map[time.Duration]string{5 * time.Minute: "about 5 minutes", -90 * time.Second: "about 2 minutes", time.Hour: "was not accepted"} {
		code, _ := totp.Code(key, s.clock.Now().Add(off))
		page := c.post(shown+"/confirm", url.Values{"code": {code}}).wantPage(t, 422, "Error: Set up")
		if !strings.Contains(page.body, want) || strings.Contains(page.body, "clock seems") != (off != time.Hour) {
			t.Errorf("%s: %s", off, strip(page.body))
		}
	}
	begun := c.call("POST", "/totp", obj{})
	code, _ := totp.Code(keyOf(t, begun.str("secret")), s.clock.Now().Add(-4*time.Minute))
	told := c.call("POST", "/totp/"+begun.str("id")+"/confirm", obj{"code": code}).wantCode(t, 422, "invalid_code")
	if !strings.Contains(told.str("detail"), "about 4 min slow") {
		t.Errorf("told: %v", told.json)
	}
	p := c.enrol()
	code, _ = totp.Code(p.key, s.clock.Now().Add(5*time.Minute))
	wrong := c.call("POST", "/challenges/"+c.begin(withdraw, "/")+"/verify", obj{"method": "totp", "code": code}).wantCode(t, 422, "invalid_code")
	if wrong.str("detail") != "" {
		t.Errorf("a guesser is told: %v", wrong.json)
	}
}

// Who may not answer is not sent a code either, and who claims another's number
// may not guess the code that went there.
func TestS05CodesToPhonesAreNotGuessed(t *testing.T) {
	s := newPhoneSite(t)
	c := s.browser("alice")
	c.enrolPhone()
	path := Prefix + "challenge/" + c.begin(withdraw, "/transfer")
	c.get(path)
	c.get(c.post(path+"/send", nil).to(t))
	code := s.lastCode()
	for range 5 {
		c.post(path, url.Values{"method": {"sms"}, "code": {other(code)}}).want(t, 422)
	}
	got := c.post(path, url.Values{"method": {"sms"}, "code": {code}}).wantPage(t, 429, "Error: Confirm it’s you")
	if got.Header.Get("Retry-After") != "30" {
		t.Errorf("Retry-After %q", got.Header.Get("Retry-After"))
	}
	before := s.sentTexts()
	c.post(path+"/send", nil).wantPage(t, 429, "Error: Confirm it’s you")
	c.call("POST", "/challenges/"+strings.TrimPrefix(path, Prefix+"challenge/")+"/send", nil).wantCode(t, 429, "too_many_attempts")
	if s.sentTexts() != before {
		t.Error("a message was sent to who has to wait")
	}

	m := s.program("mallory")
	id := m.call("POST", "/phones", obj{"phone_number": number}).want(t, 201).str("id")
	code = s.lastCode()
	for range 5 {
		m.call("POST", "/phones/"+id+"/confirm", obj{"code": other(code)}).wantCode(t, 422, "invalid_code")
	}
	m.call("POST", "/phones/"+id+"/confirm", obj{"code": code}).wantCode(t, 410, "challenge_expired")
}

func TestS10MessagesAreSentByOurOwnFormsOnly(t *testing.T) {
	s := newPhoneSite(t)
	c := s.browser("alice")
	c.enrolPhone()
	id := c.begin(withdraw, "/transfer")
	path := Prefix + "challenge/" + id
	c.get(path)
	before := s.sentTexts()
	pages := []string{path + "/send", Prefix + "phone"}
	for _, p := range pages {
		c.post(p, url.Values{"csrf_token": {"x"}, "number": {number}}).wantPage(t, 403, "This form is out of date")
		for _, h := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Sec-Fetch-Site", "", "Origin", "https://evil.example"}} {
			c.post(p, url.Values{"number": {number}}, h...).wantPage(t, 403, "Sent from another site")
		}
	}
	for _, p := range []string{"/challenges/" + id + "/send", "/phones", "/phones/abc/send", "/phones/abc/confirm", "/passkeys", "/passkeys/abc/confirm"} {
		c.call("POST", p, obj{}, "Sec-Fetch-Site", "cross-site").wantCode(t, 403, "cross_origin")
		a := c.send("POST", Prefix+"api"+p, "text/plain", "{}").wantCode(t, 415, "unsupported_media_type")
		c.conforms("POST", p, a)
	}
	if s.sentTexts() != before {
		t.Error("a message was sent")
	}
}

func TestS11PhonePagesEscapeWhatWasTyped(t *testing.T) {
	s := newPhoneSite(t)
	c := s.browser("alice")
	c.get(Prefix + "enroll")
	const attack = `"><script>alert(1)</script>`
	page := c.post(Prefix+"phone", url.Values{"number": {attack}, "label": {attack}, "invite": {attack}, "challenge": {attack}}).want(t, 422)
	if strings.Contains(page.body, "<script>") || !strings.Contains(page.body, "&lt;script&gt;") {
		t.Error("what was typed is not escaped")
	}
	if csp := page.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("CSP: %s", csp)
	}
	for _, path := range []string{"phone", "enroll"} {
		c.get(Prefix+path, "Sec-Fetch-Dest", "iframe").wantPage(t, 403, "Open this page in a window of its own")
	}
}

// The number goes where its owner typed it, into the message and the sealed
// record, and nowhere else.
func TestS13NoNumberOrCodeInAddressesErrorsOrEvents(t *testing.T) {
	s := newPhoneSite(t)
	c := s.browser("alice")
	seen := &allOf{inner: c.http.Transport}
	c.http.Transport = seen
	var told strings.Builder
	page := func(a answer) answer { told.WriteString(a.body); return a }
	c.get(Prefix + "enroll")
	s.down(fmt.Errorf("no route to %s", number))
	m := regexp.MustCompile(`action="(/\.step-up/enroll/[^/"]+)/send"`).FindStringSubmatch(page(c.post(Prefix+"phone", url.Values{"number": {number}})).body)
	s.down(nil)
	shown := c.post(m[1]+"/send", nil).to(t)
	page(c.get(shown))
	var codes []string
	codes = append(codes, s.lastCode())
	page(c.post(shown+"/confirm", url.Values{"code": {other(s.lastCode())}}))
	c.post(shown+"/confirm", url.Values{"code": {s.lastCode()}}).want(t, 200)
	s.clock.Add(11 * time.Minute)
	path := Prefix + "challenge/" + c.begin(withdraw, "/transfer")
	page(c.get(path))
	page(c.get(c.post(path+"/send", nil).to(t)))
	codes = append(codes, s.lastCode())
	page(c.call("POST", "/phones", obj{"phone_number": number}))
	page(c.call("POST", "/phones", obj{"phone_number": number + "99999"}))
	page(c.call("GET", "/me", nil))
	page(c.post(path, url.Values{"method": {"sms"}, "code": {s.lastCode()}}))
	page(c.call("GET", "/activity", nil))
	page(c.get(Prefix))
	everything := seen.seen.String() + told.String()
	s.mu.Lock()
	everything += fmt.Sprintf("%+v %v", s.events, s.failed)
	s.mu.Unlock()
	for _, secret := range append(codes, "15123456789", "1512 3456789", "1512+3456789", "3456789", url.QueryEscape(number)) {
		if strings.Contains(everything, secret) {
			t.Errorf("%q is told", secret)
		}
	}
}

func TestS14PhonesAreAddedRenamedAndRemovedByProof(t *testing.T) {
	s := newPhoneSite(t)
	c := s.program("alice")
	p := c.enrol()
	s.clock.Add(48 * time.Hour)
	refused := c.call("POST", "/phones", obj{"phone_number": number}).wantCode(t, 401, "insufficient_user_authentication")
	if s.sentTexts() != 0 {
		t.Fatal("a message was sent before the proof")
	}
	c.prove(p, refused.str("challenge_id")).want(t, 200)
	// The failure to send keeps what the grant was spent for.
	s.down(errors.New("down"))
	id := c.call("POST", "/phones", obj{"phone_number": number, "label": "Mobile"}).wantCode(t, 503, "not_sent").str("id")
	s.down(nil)
	c.call("POST", "/phones", obj{"phone_number": number}).wantCode(t, 401, "insufficient_user_authentication")
	c.call("POST", "/phones/"+id+"/send", nil).want(t, 200)
	phone := c.call("POST", "/phones/"+id+"/confirm", obj{"code": s.lastCode()}).want(t, 200).json["authenticator"].(map[string]any)["id"].(string)
	s.clock.Add(11 * time.Minute)

	byPhone := func(challenge string) answer {
		t.Helper()
		c.call("POST", "/challenges/"+challenge+"/send", nil).want(t, 200)
		return c.call("POST", "/challenges/"+challenge+"/verify", obj{"method": "sms", "code": s.lastCode()})
	}
	// For a day the new phone cannot remove the older app, nor renew codes.
	byPhone(c.call("DELETE", "/authenticators/"+p.id, nil).want(t, 401).str("challenge_id")).wantCode(t, 403, "forbidden")
	s.clock.Add(11 * time.Minute)
	byPhone(c.call("POST", "/recovery-codes", nil).want(t, 401).str("challenge_id")).wantCode(t, 403, "forbidden")
	// It may rename.
	s.clock.Add(11 * time.Minute)
	byPhone(c.call("PATCH", "/authenticators/"+phone, obj{"label": "Old"}).want(t, 401).str("challenge_id")).want(t, 200)
	renamed := c.call("PATCH", "/authenticators/"+phone, obj{"label": "Old"}).want(t, 200)
	if renamed.str("label") != "Old" || renamed.str("phone_number_suffix") != "6789" {
		t.Errorf("renamed: %v", renamed.json)
	}
	// A recovery code removes nothing.
	id = c.call("DELETE", "/authenticators/"+phone, nil).want(t, 401).str("challenge_id")
	c.call("POST", "/challenges/"+id+"/verify", obj{"method": "recovery_code", "code": p.codes[0]}).wantCode(t, 422, "invalid_request")
	c.prove(p, id).want(t, 200)
	c.call("DELETE", "/authenticators/"+phone, nil).want(t, 204)
	// Nothing is sent to a phone that is gone.
	id = c.call("POST", "/challenges", obj{"action_type": "WITHDRAW_FUNDS"}).str("challenge_id")
	c.call("POST", "/challenges/"+id+"/send", nil).wantCode(t, 404, "not_found")
}

// Of many changes at once that one grant allows, one is made.
func TestS14OneGrantAddsOnePhone(t *testing.T) {
	s := newPhoneSite(t)
	c := s.program("alice")
	p := c.enrol()
	c.prove(p, c.call("POST", "/phones", obj{"phone_number": number}).want(t, 401).str("challenge_id")).want(t, 200)
	var wg sync.WaitGroup
	var mu sync.Mutex
	answers := map[int]int{}
	for i := range 64 {
		wg.Go(func() {
			var a answer
			if i%2 == 0 {
				a = c.send("POST", Prefix+"api/phones", "application/json", `{"phone_number":"`+number+`"}`)
			} else {
				a = c.send("POST", Prefix+"api/totp", "application/json", `{}`)
			}
			mu.Lock()
			defer mu.Unlock()
			answers[a.StatusCode]++
		})
	}
	wg.Wait()
	if answers[201] != 1 || answers[201]+answers[401] != 64 {
		t.Errorf("answers: %v", answers)
	}
	if n := s.sentTexts(); n > 1 {
		t.Errorf("%d messages", n)
	}
}

func TestS18PhonesAndChallengesOfOthersDoNotExist(t *testing.T) {
	s := newPhoneSite(t)
	c := s.browser("alice")
	c.enrolPhone()
	challenge := c.begin(withdraw, "/transfer")
	pending := s.browser("carol").call("POST", "/phones", obj{"phone_number": number}).want(t, 201).str("id")
	before := s.sentTexts()
	const none = "AAAAAAAAAAAAAAAAAAAAAA"
	for _, who := range []*client{s.browser("mallory"), s.browser("alice")} {
		who.get(Prefix)
		who.get(Prefix + "enroll")
		for _, path := range []string{"/challenges/*/send", "/phones/*/send", "/phones/*/confirm"} {
			real := pending
			if strings.HasPrefix(path, "/ch") {
				real = challenge
			}
			in := obj{}
			if strings.HasSuffix(path, "confirm") {
				in["code"] = s.lastCode()
			}
			a, b := who.call("POST", strings.Replace(path, "*", real, 1), in), who.call("POST", strings.Replace(path, "*", none, 1), in)
			if a.StatusCode != 404 || a.body != b.body || b.StatusCode != 404 {
				t.Errorf("%s as %s: %d %s and %d %s", path, who.user, a.StatusCode, a.body, b.StatusCode, b.body)
			}
		}
		a, b := who.call("GET", "/challenges/"+challenge+"/passkey", nil), who.call("GET", "/challenges/"+none+"/passkey", nil)
		if a.StatusCode != 404 || a.body != b.body {
			t.Errorf("passkey: %d %s and %d %s", a.StatusCode, a.body, b.StatusCode, b.body)
		}
	}
	if s.sentTexts() != before {
		t.Error("a message was sent to another's phone")
	}
	if list := s.browser("mallory").call("GET", "/activity", nil).want(t, 200).json["activity"].([]any); len(list) != 0 {
		t.Errorf("mallory sees %v", list)
	}
}

func TestS19MessagesAreCappedForAll(t *testing.T) {
	s := newPhoneSite(t)
	c := s.program("alice")
	c.enrolPhone()
	id := c.call("POST", "/challenges", obj{"action_type": "WITHDRAW_FUNDS"}).str("challenge_id")
	for i := range 4 {
		got := c.call("POST", "/challenges/"+id+"/send", nil)
		if i < 3 {
			got.want(t, 200)
		} else if got.wantCode(t, 429, "too_many_sends"); got.Header.Get("Retry-After") != "477" {
			t.Errorf("Retry-After %q", got.Header.Get("Retry-After"))
		}
		s.clock.Add(41 * time.Second)
	}
	// The page tells it too, and lets the last code be typed.
	b := s.browser("alice")
	path := Prefix + "challenge/" + b.begin(withdraw, "/transfer")
	page := b.get(path).want(t, 200)
	if !strings.Contains(page.body, `data-then="send"`) || !strings.Contains(page.body, `data-seconds="436"`) {
		t.Errorf("the page: %s", page.body)
	}
	b.post(path+"/send", nil).wantPage(t, 429, "Error: Confirm it’s you")
}

func TestS19ObjectsInBodiesAreLimitedAndUnmistakable(t *testing.T) {
	s := newPhoneSite(t)
	c := s.program("alice")
	c.enrolPhone()
	id := c.call("POST", "/challenges", obj{"action_type": "WITHDRAW_FUNDS"}).str("challenge_id")
	deep := strings.Repeat(`{"a":`, 9) + "1" + strings.Repeat("}", 9)
	many := ""
	for i := range 65 {
		many += fmt.Sprintf(`,"m%d":1`, i)
	}
	for _, credential := range []string{
		`""`, `[]`, `null`, `1`, `{"a":1,"a":2}`, `{"id":1,"ID":2}`, `{"\u0069d":1,"id":2}`, `{"a":{"b":[{"c":1,"C":2}]}}`, deep, `{` + many[1:] + `}`,
		`{"a":"` + strings.Repeat("x", maxObject) + `"}`, `{"a":`, `{"a" 1}`, `{a:1}`,
	} {
		got := c.call("POST", "/challenges/"+id+"/verify", `{"method":"passkey","credential":`+credential+`}`).wantCode(t, 422, "invalid_request")
		if len(got.body) > 500 {
			t.Errorf("%.40s: the answer repeats it", credential)
		}
	}
	for _, body := range []string{
		`{"method":"passkey"}`, `{"method":"passkey","code":"x"}`, `{"method":"passkey","code":"x","credential":{}}`, `{"method":"sms","credential":{}}`,
		`{"method":"sms","code":"1","credential":{}}`, `{"method":"passkey","credential":{},"credential":{}}`, `{"credential":{}}`,
		`{"method":"passkey","credential":{}}`, // no passkeys here
	} {
		c.call("POST", "/challenges/"+id+"/verify", body).wantCode(t, 422, "invalid_request")
	}
	if left := c.call("GET", "/challenges/"+id, nil).json["attempts_left"]; left != 60.0 {
		t.Errorf("%v attempts left", left)
	}
	c.call("POST", "/phones", `{"phone_number":{}}`).wantCode(t, 422, "invalid_request")
	c.call("POST", "/challenges/"+id+"/send", obj{"authenticator_id": strings.Repeat("A", maxBody)}).wantCode(t, 413, "request_too_large")
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
	c.enrol()
	c.call("POST", "/challenges/"+c.begin(withdraw, "/")+"/send", nil).wantCode(t, 403, "forbidden")
}
