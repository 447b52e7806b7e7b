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
)

// Who may not answer is not sent a code either, and who claims another's number
// may not guess the code that went there.
func TestS05CodesToPhonesAreNotGuessed(t *testing.T) {
	s := newPhoneSite(t)
	c := s.browser("alice")
	c.enrollPhone()
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
	c.enrollPhone()
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
	p := c.enroll()
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
	tooNew := func(challenge string) {
		t.Helper()
		got := c.call("POST", "/challenges/"+challenge+"/send", nil).wantCode(t, 403, "forbidden")
		if at, err := time.Parse(time.RFC3339, got.str("available_at")); err != nil || at.Sub(s.clock.Now()) > 24*time.Hour {
			t.Error(got.body)
		}
	}
	tooNew(c.call("DELETE", "/authenticators/"+p.id, nil).want(t, 401).str("challenge_id"))
	s.clock.Add(11 * time.Minute)
	tooNew(c.call("POST", "/recovery-codes", nil).want(t, 401).str("challenge_id"))
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
	p := c.enroll()
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
	c.enrollPhone()
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
	c.enrollPhone()
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
