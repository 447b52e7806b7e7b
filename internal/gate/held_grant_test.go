package gate_test

import (
	"crypto/sha256"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/internal/cookies"
	"github.com/stepup-gateway/caddy-stepup/internal/gate"
)

// prove passes the form's own challenge, in its browser.
func (f *heldForm) prove() {
	f.s.t.Helper()
	s := f.s
	who := s.people["alice"]
	if who == nil {
		p := ceremony.Principal{Site: ceremonytest.Site, Subject: grants.Subject{Tenant: ceremonytest.Tenant, User: "alice"}, Browser: sha256.Sum256([]byte("alice"))}
		who = s.EnrollAs(p, ceremony.Leave{})
		s.people["alice"] = who
	}
	mine := *who
	mine.Browser, _ = cookies.BrowserID(&http.Request{Header: http.Header{"Cookie": {f.browser}}}, true)
	s.Rest(&mine)
	c, err := s.Describe(s.t.Context(), mine.Principal, f.id)
	if err != nil {
		s.t.Fatal(err)
	}
	won := s.Pass(&mine, c.Challenge)
	f.grant = grantCookie(c.Demand, won.Token.Text())
}

// sendIn sends a form in a browser, and leaves its challenge open.
func sendIn(s *site, browser, target string) *heldForm {
	s.t.Helper()
	f := &heldForm{s: s, browser: browser}
	a := s.do("POST", target, formBody, with(append([]string{"Cookie", browser}, sentForm...)...)...)
	s.expect(a, 303, false)
	d := s.challengeOf(a, "alice", browser)
	f.id, f.resume = d.ID, d.ReturnTo
	return f
}

// What a person proved for one form passes that form: not the heartbeat that the
// page sends behind their back, not another tab's form, not another method.
func TestS03GrantOfAHeldFormPassesThatFormOnly(t *testing.T) {
	s := newSite(t, func(o *gate.Options) { o.Rules = []gate.Rule{{Demand: transfer, Unsafe: true}} })
	browser := browserCookie()
	meant, other := sendIn(s, browser, "/post"), sendIn(s, browser, "/delete")
	meant.prove()
	other.grant = meant.grant
	script := []string{"Cookie", browser + "; " + meant.grant, "Sec-Fetch-Mode", "cors", "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Dest", "empty", "Host", "app.test"}
	for name, try := range map[string]func() answer{
		"a background call":         func() answer { return s.do("POST", "/heartbeat", formBody, script...) },
		"the same call by a script": func() answer { return s.do("POST", "/post", formBody, append(script, sentForm...)...) },
		"another method":            func() answer { return s.do("DELETE", "/post", "", script...) },
		"another form": func() answer {
			return s.do("POST", "/pay", formBody, with("Cookie", browser+"; "+meant.grant, "Host", "app.test")...)
		},
		"the same form sent again": func() answer {
			return s.do("POST", "/post", formBody, with(append([]string{"Cookie", browser + "; " + meant.grant}, sentForm...)...)...)
		},
		"another tab's held form":      func() answer { return other.comeBack("GET") },
		"the form in another browser":  func() answer { g := *meant; g.browser = browserCookie(); return g.comeBack("GET") },
		"the form for somebody else":   func() answer { return meant.comeBack("GET", "X-User", "bob") },
		"the form in another session":  func() answer { return meant.comeBack("GET", "X-Session", "new") },
		"a program without the cookie": func() answer { return s.do("POST", "/post", formBody, "Cookie", meant.grant) },
	} {
		if a := try(); a.StatusCode == 200 || len(s.takeReached()) > 0 {
			t.Errorf("%s: %d", name, a.StatusCode)
		}
	}
	a := meant.comeBack("GET")
	if reached := s.takeReached(); a.StatusCode != 200 || len(reached) != 1 || reached[0].RequestURI != "/post" {
		t.Errorf("the form itself: %d, %d reached", a.StatusCode, len(reached))
	}
	if a := other.comeBack("GET"); a.StatusCode == 200 || len(s.takeReached()) > 0 {
		t.Errorf("the other form afterwards: %d", a.StatusCode)
	}
}

// A first enrollment is the first proof, so it passes the form that led to it: that
// form, and nothing else.
func TestS03FirstEnrolmentPassesItsFormOnly(t *testing.T) {
	s := newSite(t, func(o *gate.Options) { o.Rules = []gate.Rule{{Demand: transfer, Unsafe: true}} })
	browser := browserCookie()
	meant, other := sendIn(s, browser, "/post"), sendIn(s, browser, "/delete")
	alice := ceremony.Principal{Site: ceremonytest.Site, Subject: grants.Subject{Tenant: ceremonytest.Tenant, User: "alice"}}
	alice.Browser, _ = cookies.BrowserID(&http.Request{Header: http.Header{"Cookie": {browser}}}, true)
	begun, err := s.EnrollApp(t.Context(), alice, "phone", ceremony.Leave{})
	if err != nil {
		t.Fatal(err)
	}
	done, err := s.Confirm(t.Context(), alice, begun.ID, s.Code(begun.Key), meant.id)
	if err != nil || done.Won == nil {
		t.Fatal(done.Won, err)
	}
	meant.grant = grantCookie(transfer, done.Won.Token.Text())
	other.grant = meant.grant
	if a := other.comeBack("GET"); a.StatusCode == 200 || len(s.takeReached()) > 0 {
		t.Errorf("the other form: %d", a.StatusCode)
	}
	a := meant.comeBack("GET")
	if reached := s.takeReached(); a.StatusCode != 200 || len(reached) != 1 || reached[0].RequestURI != "/post" {
		t.Errorf("its form: %d, %d reached", a.StatusCode, len(reached))
	}
}

// Nothing that the browser does meanwhile takes the form's grant away: background
// calls, other forms that are proved, a cookie that another grant has replaced.
func TestS03HeldFormIsNotRobbed(t *testing.T) {
	s := newSite(t, func(o *gate.Options) { o.Rules = []gate.Rule{{Demand: transfer, Unsafe: true}} })
	browser := browserCookie()
	forms := []*heldForm{sendIn(s, browser, "/a"), sendIn(s, browser, "/b"), sendIn(s, browser, "/c")}
	for _, f := range forms {
		f.prove()
	}
	last := forms[len(forms)-1].grant // one cookie for all: the last one stays
	for _, f := range forms {
		f.grant = last
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			s.do("POST", "/heartbeat", "x=1", "Cookie", browser+"; "+last, "Sec-Fetch-Mode", "cors", "Sec-Fetch-Site", "same-origin", "Host", "app.test")
		})
		for _, f := range forms {
			all.Go(func() { f.comeBack("GET") })
		}
	}
	all.Wait()
	got := map[string]int{}
	for _, r := range s.takeReached() {
		got[r.RequestURI]++
	}
	if len(got) != 3 || got["/a"] != 1 || got["/b"] != 1 || got["/c"] != 1 {
		t.Errorf("the application saw %v", got)
	}
}

// Programs hold nothing: what they prove passes their next request, as before.
func TestGrantsOfProgramsAreUnbound(t *testing.T) {
	s := newSite(t, func(o *gate.Options) { o.Rules = []gate.Rule{{Demand: transfer, Unsafe: true}} })
	cookie := grantCookie(transfer, s.token("alice", transfer))
	s.expect(s.do("POST", "/anything", "x=1", "Cookie", cookie), 200, true)
	if a := s.do("POST", "/anything", "x=1", "Cookie", cookie); a.StatusCode != 401 || !strings.Contains(a.body, "insufficient_user_authentication") {
		t.Errorf("%d", a.StatusCode)
	}
}

// A ticket that is claimed is nobody else's until the claim is given back or has
// lapsed; then a request that comes late with the old claim redeems nothing.
func TestS03ClaimsLapse(t *testing.T) {
	s := newSite(t, func(o *gate.Options) { o.Rules = []gate.Rule{{Demand: admin}} })
	f := send(s, "/x", admin)
	browser, _ := cookies.BrowserID(&http.Request{Header: http.Header{"Cookie": {f.browser}}}, true)
	ticket, err := s.Ticket(t.Context(), browser, f.id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Claim(t.Context(), ticket); err != nil { // and the process dies
		t.Fatal(err)
	}
	if a := f.comeBack("GET"); a.StatusCode != 303 || len(s.takeReached()) > 0 {
		t.Errorf("a claimed form: %d", a.StatusCode)
	}
	s.Clock.Advance(61e9)
	s.expect(f.comeBack("GET"), 200, true)
	if a := f.comeBack("GET"); a.StatusCode != 303 || len(s.takeReached()) > 0 {
		t.Errorf("a second time: %d", a.StatusCode)
	}
}
