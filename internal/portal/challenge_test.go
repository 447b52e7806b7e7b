package portal

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/totp"
)

// The page sends a code when it is complete: were it taken for shorter than it
// is, it would be sent too early and cost an attempt.
func TestTheChallengeKnowsHowLongCodesAre(t *testing.T) {
	s := newSiteWith(t, withPhones, func(set *ceremony.Settings, _ *Options, _ *cameIn) { set.TOTP.Digits = 8 })
	c := s.browser("alice")
	c.get(Prefix + "enroll")
	shown := c.post(Prefix+"enroll", url.Values{"kind": {"totp"}}).to(t)
	page := c.get(shown).want(t, 200)
	if !strings.Contains(page.body, `data-digits="8"`) {
		t.Error("the enrollment takes codes for shorter")
	}
	key := keyOf(t, secretOn(t, page.body))
	key.Digits = 8
	code, err := totp.Code(key, s.clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	c.post(shown+"/confirm", url.Values{"code": {code}}).want(t, 200)
	if page := c.get(Prefix + "challenge/" + c.begin(withdraw, "/")); !strings.Contains(page.body, `data-digits="8"`) {
		t.Error("the challenge takes codes for shorter")
	}
}
