package portal

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
)

// Nobody who took too long is left at the site's first page: the challenge begins
// again for the address that was asked for.
func TestChallengeThatRanOutLeadsBackToItsAddress(t *testing.T) {
	s := newSite(t)
	c := s.browser("alice")
	p := c.enroll()
	id := c.begin(withdraw, "/transfer?to=bob")
	path := Prefix + "challenge/" + id
	if page := c.get(path).want(t, 200); !strings.Contains(page.body, `data-seconds="300"`) || !strings.Contains(strip(page.body), "You have 5 minutes to confirm.") {
		t.Error("nothing is said of the time that is left")
	}
	s.clock.Add(6 * time.Minute)
	for name, a := range map[string]answer{
		"seen":     c.get(path),
		"answered": c.post(path, url.Values{"method": {"totp"}, "code": {p.code(c)}}),
		"sent":     c.post(path+"/send", nil),
	} {
		a.wantPage(t, 410, "Time ran out")
		if !strings.Contains(a.body, `action="`+path+`/again"`) || !strings.Contains(a.body, "/transfer?to=bob") || strings.Contains(a.body, `href="/"`) {
			t.Error(name, a.body)
		}
	}
	next := c.post(path+"/again", url.Values{"from": {"/account"}}).to(t)
	page := c.get(next).wantPage(t, 200, "Confirm it’s you")
	if !strings.Contains(page.body, `name="from" value="/account"`) {
		t.Error("where the person came from is forgotten")
	}
	next, _, _ = strings.Cut(next, "?")
	c.post(path+"/again", nil).wantPage(t, 404, "This has expired")
	s.clock.Add(time.Minute)
	if to := c.post(next, url.Values{"method": {"totp"}, "code": {p.code(c)}}).onward(t); to != "/transfer?to=bob" {
		t.Error(to)
	}
	// Nothing begins by a link.
	id = c.begin(withdraw, "/transfer")
	s.clock.Add(6 * time.Minute)
	c.get(Prefix+"challenge/"+id+"/again").want(t, 405)
	bob := s.browser("bob")
	bob.get(Prefix)
	bob.post(Prefix+"challenge/"+id+"/again", nil).want(t, 404)
}

// A challenge that another site led to stays one.
func TestChallengeThatRanOutStaysForeign(t *testing.T) {
	s := newSite(t)
	c := s.browser("alice")
	c.enroll()
	id := c.beginAsk(ceremony.Ask{Demand: reports, Site: c.origin, Label: "View reports", ReturnTo: "/reports", Foreign: true, From: "https://evil.example"})
	s.clock.Add(6 * time.Minute)
	path := Prefix + "challenge/" + id
	if page := c.get(path).wantPage(t, 410, "Time ran out"); !strings.Contains(page.body, "evil.example sent you") {
		t.Error(page.body)
	}
	if page := c.get(c.post(path+"/again", nil).to(t)).want(t, 200); !strings.Contains(page.body, "evil.example sent you") {
		t.Error("the other site is forgotten")
	}
}

// In a window that a script opened there is nothing to begin: the script does.
func TestChallengeOfAScriptThatRanOut(t *testing.T) {
	s := newSite(t)
	c := s.browser("alice")
	c.enroll()
	id := c.beginAsk(ceremony.Ask{Demand: reports, Site: c.origin, Label: "View reports"})
	s.clock.Add(6 * time.Minute)
	page := c.get(Prefix+"challenge/"+id).wantPage(t, 410, "Time ran out")
	if strings.Contains(page.body, "/again") || !strings.Contains(page.body, "Close this window") {
		t.Error(page.body)
	}
}
