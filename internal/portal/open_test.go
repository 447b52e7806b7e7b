package portal

import (
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
)

// Seven windows come back at once, and the person answers in one of them. The
// others ask for nothing any more, whatever is sent there.
func TestS05WindowsOfWhatIsOpenSendOn(t *testing.T) {
	s := newSite(t)
	c := s.browser("alice")
	p := c.enroll()
	var paths []string
	target := func(i int) string { return "/reports?page=" + string(rune('a'+i)) }
	for i := range 7 {
		paths = append(paths, Prefix+"challenge/"+c.begin(reports, target(i)))
		c.get(paths[i]).wantPage(t, 200, "Confirm it’s you")
	}
	code := p.code(c)
	if to := c.post(paths[0], url.Values{"method": {"totp"}, "code": {code}}).onward(t); to != target(0) {
		t.Error(to)
	}
	for i, path := range paths[1:] {
		for _, a := range []answer{
			c.post(path, url.Values{"method": {"totp"}, "code": {code}}),
			c.post(path, url.Values{"method": {"totp"}, "code": {"000000"}}),
			c.get(path),
		} {
			if to := a.onward(t); to != target(i+1) {
				t.Errorf("window %d is sent to %s", i+1, to)
			}
		}
	}
	other := c.call("GET", "/challenges/"+c.begin(withdraw, "/x"), nil).want(t, 200)
	if left := other.json["attempts_left"]; left != float64(20) {
		t.Errorf("%v attempts left", left)
	}
	// After the grant has ended the window asks.
	last := Prefix + "challenge/" + c.begin(reports, "/late")
	c.get(last)
	s.clock.Add(4 * time.Minute)
	again := Prefix + "challenge/" + c.begin(reports, "/later")
	s.clock.Add(4*time.Minute + 30*time.Second)
	c.get(again).want(t, 200).onward(t)
	s.clock.Add(2 * time.Minute)
	fresh := Prefix + "challenge/" + c.begin(reports, "/fresh")
	c.get(fresh).wantPage(t, 200, "Confirm it’s you")
}

// Sending on is for what is open in this browser: not for proofs that are good
// once, not elsewhere, and not by itself where another site sent the person.
func TestS02WindowsOfWhatIsClosedAsk(t *testing.T) {
	s := newSite(t)
	c := s.browser("alice")
	p := c.enroll()
	foreign := Prefix + "challenge/" + c.beginAsk(ceremony.Ask{Demand: reports, Site: s.origin, ReturnTo: "/reports?to=mallory", Foreign: true, From: "https://evil.example"})
	first := Prefix + "challenge/" + c.begin(reports, "/reports")
	c.get(first)
	c.post(first, url.Values{"method": {"totp"}, "code": {p.code(c)}}).onward(t)
	sent := c.get(foreign).want(t, http.StatusOK)
	if sent.Header.Get("Refresh") != "" || !strings.Contains(html.UnescapeString(sent.body), "/reports?to=mallory") || !strings.Contains(sent.body, "evil.example") {
		t.Errorf("another site's address: %v\n%s", sent.Header, strip(sent.body))
	}
	stricter := reports
	stricter.Methods = grants.RecoveryCode
	for _, ask := range map[string]ceremony.Ask{
		"a one-time use": {Demand: withdraw}, "a stricter rule": {Demand: stricter}, "what is shown": {Demand: reports, Request: [32]byte{1}, Show: []ceremony.Shown{{Name: "a"}}},
	} {
		ask.Site, ask.ReturnTo = s.origin, "/x"
		c.get(Prefix+"challenge/"+c.beginAsk(ask)).wantPage(t, 200, "Confirm it’s you")
	}
	elsewhere := s.browser("alice")
	elsewhere.get(Prefix+"challenge/"+elsewhere.begin(reports, "/reports")).wantPage(t, 200, "Confirm it’s you")
}

// Whoever sets up a first authenticator on another site's bidding reads where that
// leads before the click that leads there.
func TestFirstEnrolmentForAnotherSite(t *testing.T) {
	s := newSite(t)
	c := s.browser("alice")
	id := c.beginAsk(ceremony.Ask{Demand: reports, Site: s.origin, ReturnTo: "/reports?to=mallory", Foreign: true, From: "https://evil.example"})
	shown := c.post(Prefix+"enroll", url.Values{"label": {"Phone"}, "challenge": {id}}).to(t)
	p := &person{key: keyOf(t, secretOn(t, c.get(shown).body))}
	confirm, _, _ := strings.Cut(shown, "?")
	done := c.post(confirm+"/confirm", url.Values{"code": {p.code(c)}, "challenge": {id}}).wantPage(t, 200, "Your recovery codes")
	said := html.UnescapeString(strip(done.body))
	if done.Header.Get("Refresh") != "" || !strings.Contains(said, "/reports?to=mallory") || !strings.Contains(said, "evil.example sent you here") {
		t.Errorf("%v\n%s", done.Header, said)
	}
}
