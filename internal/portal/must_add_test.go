package portal

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
)

// Whoever lacks what an action takes, and can add it, is offered to; what they added
// counts after a day (S24).
func TestS24PersonIsOfferedWhatTheActionTakes(t *testing.T) {
	s := newSiteWith(t, withPhones)
	c := s.browser("alice")
	p := c.enroll()
	byText := grants.Demand{Action: grants.MustAction("CALL"), Use: grants.TimeBased, TTL: 5 * time.Minute, Methods: grants.SMS}
	id := c.begin(byText, "/call")
	path := Prefix + "challenge/" + id
	page := c.get(path).wantPage(t, 403, "None of your methods works for this action")
	add := Prefix + "enroll?challenge=" + id
	if !strings.Contains(strip(page.body), "Accepted for this action: Text message.") || !strings.Contains(page.body, `href="`+add+`"`) {
		t.Fatal(page.body)
	}
	// By the usual rules: a proof for the operation first, which comes back here.
	manage := c.get(add).to(t)
	c.get(manage).wantPage(t, 200, "Confirm it’s you")
	back := c.post(manage, url.Values{"method": {"totp"}, "code": {p.code(c)}}).to(t)
	if back != add {
		t.Fatalf("sent to %s, want %s", back, add)
	}
	start := c.get(back).wantPage(t, 200, "Set up your phone")
	if !strings.Contains(start.body, `name="challenge" value="`+id+`"`) || strings.Contains(start.body, `value="totp"`) {
		t.Error(start.body)
	}
	// Nothing is offered to whoever cannot add, nor for their own settings.
	only := grants.Demand{Action: grants.MustAction("HARD"), Use: grants.TimeBased, TTL: 5 * time.Minute, Methods: grants.Passkey}
	c.get(Prefix+"challenge/"+c.begin(only, "/hard")).wantPage(t, 403, "You cannot confirm this action")
}

// The detour of adding may take longer than the challenge: it still leads back.
func TestAddingLeadsBackToAChallengeThatRanOut(t *testing.T) {
	s := newSiteWith(t, withPhones, func(set *ceremony.Settings, _ *Options, _ *cameIn) { set.ManageTTL = 10 * time.Minute })
	c := s.browser("alice")
	p := c.enroll()
	id := c.begin(withdraw, "/transfer")
	add := Prefix + "enroll?challenge=" + id
	manage := c.get(add).to(t)
	c.get(manage)
	c.post(manage, url.Values{"method": {"totp"}, "code": {p.code(c)}})
	s.clock.Add(6 * time.Minute)
	c.get(add).want(t, 200)
	shown := c.post(Prefix+"enroll", url.Values{"kind": {"totp"}, "challenge": {id}}).to(t)
	page := c.get(shown).want(t, 200)
	second := &person{key: keyOf(t, secretOn(t, page.body))}
	path, _, _ := strings.Cut(shown, "?")
	if to := c.post(path+"/confirm", url.Values{"code": {second.code(c)}, "challenge": {id}}).to(t); to != Prefix+"challenge/"+id {
		t.Error(to)
	}
	c.get(Prefix+"challenge/"+id).wantPage(t, 410, "Time ran out")
}

// The pages of what is open tell the other windows, which look again.
func TestPagesTellOtherWindows(t *testing.T) {
	s := newSite(t)
	c := s.browser("alice")
	p := c.enroll()
	for d, opens := range map[*grants.Demand]bool{&reports: true, &withdraw: false} {
		path := Prefix + "challenge/" + c.begin(*d, "/x")
		page := c.get(path).want(t, 200)
		passed := c.post(path, url.Values{"method": {"totp"}, "code": {p.code(c)}}).want(t, 200)
		if got := strings.Contains(page.body, `data-opens="VIEW_REPORTS" data-self="`+path); got != opens {
			t.Errorf("%s: the challenge listens: %v", d.Action, got)
		}
		if got := strings.Contains(passed.body, `data-opened="VIEW_REPORTS"`); got != opens {
			t.Errorf("%s: the page tells: %v", d.Action, got)
		}
	}
}

// Two windows show one challenge, since both went to the same address: after the
// first has passed the second is sent on, for as long as the action is open.
func TestWindowsOfOneChallengeAreSentOn(t *testing.T) {
	s := newSite(t)
	c := s.browser("alice")
	p := c.enroll()
	path := Prefix + "challenge/" + c.begin(reports, "/reports?page=2")
	c.get(path)
	c.post(path, url.Values{"method": {"totp"}, "code": {p.code(c)}}).onward(t)
	for name, a := range map[string]answer{"seen": c.get(path), "answered": c.post(path, url.Values{"method": {"totp"}, "code": {"000000"}})} {
		if to := a.onward(t); to != "/reports?page=2" {
			t.Errorf("%s: sent to %s", name, to)
		}
	}
	if begun := c.begin(reports, "/reports?page=2"); strings.HasSuffix(path, begun) {
		t.Error("a challenge that is over is asked again")
	}
	s.clock.Add(11 * time.Minute)
	c.get(path).wantPage(t, 404, "This has expired")
	c.call("GET", "/challenges/"+strings.TrimPrefix(path, Prefix+"challenge/"), nil).wantCode(t, 404, "not_found")
}
