package portal

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
)

// recovered adds an app with a recovery code alone.
func (c *client) recovered(code string) *person {
	c.t.Helper()
	id := c.call("POST", "/totp", obj{"label": "New phone"}).wantCode(c.t, 401, "insufficient_user_authentication").str("challenge_id")
	c.call("POST", "/challenges/"+id+"/verify", obj{"method": "recovery_code", "code": code}).want(c.t, 200)
	begun := c.call("POST", "/totp", obj{"label": "New phone"}).want(c.t, 201)
	p := &person{key: keyOf(c.t, begun.str("secret"))}
	done := c.call("POST", "/totp/"+begun.str("id")+"/confirm", obj{"code": p.code(c)}).want(c.t, 200)
	p.id, _ = done.json["authenticator"].(map[string]any)["id"].(string)
	return p
}

// An app that a recovery code added does not open a rule for apps: the pages and the
// API say from when it does, and count nothing; the owner lets the old one vouch.
func TestS24PagesTellTheWaitAndLetTheOldOneVouch(t *testing.T) {
	s := newSite(t)
	c := s.browser("alice")
	old := c.enroll()
	s.clock.Add(48 * time.Hour)
	fresh := c.recovered(old.codes[0])
	rule := withdraw
	rule.Methods = grants.TOTP
	id := c.begin(rule, "/transfer")
	page := c.get(Prefix+"challenge/"+id).want(t, 200)
	for _, said := range []string{"New on your account: “New phone”", "“New phone” works for this in 24 hours"} {
		if !strings.Contains(strip(page.body), said) {
			t.Errorf("the challenge does not say %q: %s", said, strip(page.body))
		}
	}
	state := c.call("GET", "/challenges/"+id, nil).want(t, 200)
	young, _ := state.json["too_new"].([]any)
	if len(young) != 1 || young[0].(map[string]any)["method"] != "totp" || young[0].(map[string]any)["available_at"] == nil {
		t.Error("too_new:", state.body)
	}
	c.get(Prefix + "challenge/" + id)
	refused := c.post(Prefix+"challenge/"+id, url.Values{"method": {"totp"}, "code": {fresh.code(c)}}).wantPage(t, 403, "You cannot use this yet")
	if !strings.Contains(strip(refused.body), "“New phone” can be used for this in 24 hours, from ") || !strings.Contains(refused.body, "give you an invite") {
		t.Error(strip(refused.body))
	}
	got := c.prove(fresh, id).wantCode(t, 403, "forbidden")
	if at, err := time.Parse(time.RFC3339, got.str("available_at")); err != nil || at.Sub(s.clock.Now()) > 24*time.Hour {
		t.Error(got.body)
	}
	if again := c.call("GET", "/challenges/"+id, nil); again.json["attempts_left"] != state.json["attempts_left"] {
		t.Error("it was counted as a wrong answer:", again.body)
	}

	own := "authenticators/" + fresh.id
	home := c.get(Prefix).want(t, 200)
	for _, said := range []string{"This was not me", "Approve", "Added with: Recovery code", "Restrictions end in 24 hours"} {
		if !strings.Contains(strip(home.body), said) {
			t.Errorf("the security page does not say %q: %s", said, strip(home.body))
		}
	}
	to := c.get(Prefix + own + "/vouch").to(t)
	if page := c.get(to).want(t, 200); !strings.Contains(page.body, "Approve the verification method “New phone”") {
		t.Error("the challenge does not show what is vouched for:", strip(page.body))
	}
	c.prove(old, to[strings.LastIndex(to, "/")+1:]).want(t, 200)
	c.get(Prefix+own+"/vouch").wantPage(t, 200, "Is this verification method yours?")
	if home := c.get(c.post(Prefix+own+"/vouch", nil).to(t)); !strings.Contains(home.body, "Approved. It is now accepted") || strings.Contains(home.body, "Restrictions end in") {
		t.Error(strip(home.body))
	}
	c.prove(fresh, c.begin(rule, "/transfer")).want(t, 200)
}

// "This was not me" suspends a new authenticator, by a form of the page alone, and
// never the older one.
func TestS24ThisWasNotMe(t *testing.T) {
	s := newSite(t)
	c := s.browser("alice")
	old := c.enroll()
	s.clock.Add(8 * 24 * time.Hour)
	thief := c.recovered(old.codes[0])
	id := c.begin(withdraw, "/transfer")
	c.get(Prefix)
	c.post(Prefix+"authenticators/"+thief.id+"/not-me", url.Values{"csrf_token": {"x"}}).want(t, 403)
	c.post(Prefix+"authenticators/"+thief.id+"/not-me", nil, "Sec-Fetch-Site", "cross-site").want(t, 403)
	c.get(Prefix+"authenticators/"+thief.id+"/not-me").want(t, 405)
	c.call("POST", "/authenticators/"+old.id+"/not-me", nil).wantCode(t, 403, "forbidden")
	c.get(Prefix)
	if home := c.get(c.post(Prefix+"authenticators/"+thief.id+"/not-me", nil).to(t)); !strings.Contains(home.body, "Turned off, because you said") {
		t.Error(strip(home.body))
	}
	c.prove(thief, id).wantCode(t, 422, "invalid_code")
	c.prove(old, id).want(t, 200)
	// The older one takes it back.
	ask := c.call("POST", "/authenticators/"+thief.id+"/vouch", nil).wantCode(t, 401, "insufficient_user_authentication").str("challenge_id")
	c.prove(thief, ask).wantCode(t, 422, "invalid_code")
	c.prove(old, ask).want(t, 200)
	c.call("POST", "/authenticators/"+thief.id+"/vouch", nil).want(t, 200)
	c.prove(thief, c.begin(withdraw, "/transfer")).want(t, 200)
}
