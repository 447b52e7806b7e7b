package portal

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/totp"
)

// A clock that is off is told where the secret is shown anyway, and only there.
func TestAWrongClockIsToldAndNotAccepted(t *testing.T) {
	s := newSite(t)
	c := s.browser("alice")
	c.get(Prefix + "enroll")
	shown := c.post(Prefix+"enroll", url.Values{"label": {"Phone"}}).to(t)
	key := keyOf(t, secretOn(t, c.get(shown).body))
	for off, want := range map[time.Duration]string{5 * time.Minute: "about 5 minutes", -90 * time.Second: "about 2 minutes", time.Hour: "didn’t work"} {
		code, _ := totp.Code(key, s.clock.Now().Add(off))
		page := c.post(shown+"/confirm", url.Values{"code": {code}}).wantPage(t, 422, "Error: Set up")
		if !strings.Contains(strip(page.body), want) || strings.Contains(page.body, "clock seems") != (off != time.Hour) {
			t.Errorf("%s: %s", off, strip(page.body))
		}
	}
	begun := c.call("POST", "/totp", obj{})
	code, _ := totp.Code(keyOf(t, begun.str("secret")), s.clock.Now().Add(-4*time.Minute))
	told := c.call("POST", "/totp/"+begun.str("id")+"/confirm", obj{"code": code}).wantCode(t, 422, "invalid_code")
	if !strings.Contains(told.str("detail"), "about 4 min slow") {
		t.Errorf("told: %v", told.json)
	}
	p := c.enroll()
	code, _ = totp.Code(p.key, s.clock.Now().Add(5*time.Minute))
	wrong := c.call("POST", "/challenges/"+c.begin(withdraw, "/")+"/verify", obj{"method": "totp", "code": code}).wantCode(t, 422, "invalid_code")
	plain := c.call("POST", "/challenges/"+c.begin(withdraw, "/")+"/verify", obj{"method": "totp", "code": "000000"}).wantCode(t, 422, "invalid_code")
	if wrong.str("detail") != plain.str("detail") {
		t.Errorf("a guesser is told: %v", wrong.json)
	}
	// Of a code that is past its owner is told, at the challenge too.
	s.clock.Add(20 * time.Minute)
	path := Prefix + "challenge/" + c.begin(withdraw, "/")
	c.get(path)
	code, _ = totp.Code(p.key, s.clock.Now().Add(-3*time.Minute))
	page := c.post(path, url.Values{"method": {"totp"}, "code": {code}}).wantPage(t, 422, "Error: Confirm")
	if !strings.Contains(strip(page.body), "about 3 minutes old") || !strings.Contains(page.body, `data-seen="`+path) {
		t.Error(strip(page.body))
	}
}
