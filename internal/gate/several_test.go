package gate_test

import (
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/internal/cookies"
	"github.com/stepup-gateway/caddy-stepup/internal/gate"
	"github.com/stepup-gateway/caddy-stepup/internal/readings"
)

var (
	view    = ceremonytest.Demand("VIEW", grants.TimeBased, 10*60e9)
	sendNow = ceremonytest.Demand("SEND", grants.OneTimeUse, 2*60e9)
)

// viewAndPay protect two operations of one address, told apart by a field; what
// else changes something is behind them.
func viewAndPay(o *gate.Options) {
	o.Rules = []gate.Rule{
		{Demand: view, Match: below("/app"), Fields: []readings.Field{form("op", "view")}},
		{Demand: pay, Match: below("/app"), Fields: []readings.Field{form("op", "pay")}},
		{Demand: change, Unsafe: true},
	}
}

const urlencodedForm = "application/x-www-form-urlencoded"

func asked(a answer) string {
	_, asks, _ := strings.Cut(a.Header.Get("WWW-Authenticate"), `acr_values="`)
	asks, _, _ = strings.Cut(asks, `"`)
	return asks
}

// A field with two values may be either to the application: the grant for one of
// them does not pass the other.
func TestS22FieldTwiceNeedsBothGrants(t *testing.T) {
	s := newSite(t, viewAndPay)
	multi, json := "multipart/form-data; boundary=B", "application/json"
	part := func(name, value string) string {
		return "--B\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value + "\r\n"
	}
	for _, tt := range []struct {
		query, kind, body string
		needs             string // besides VIEW; "all": PAY and CHANGE
	}{
		{"", urlencodedForm, "op=view&op=pay", "PAY"},
		{"", urlencodedForm, "op=pay&op=view", "PAY"},
		{"", urlencodedForm, "op[a]=view&op[b]=pay", "all"},
		{"", urlencodedForm, "op=view&OP=pay", "all"},
		{"", urlencodedForm, "op=view;op=pay", "all"},
		{"op=view", urlencodedForm, "op=pay", "PAY"},
		{"op=pay", urlencodedForm, "op=view", "PAY"},
		{"op=view", json, `{"op":"pay"}`, "PAY"},
		{"op=view&op=pay", "", "", "PAY"},
		{"op=view&x=%26op=pay", "", "", "all"},
		{"", json, `{"op":"view","op":"pay"}`, "PAY"},
		{"", json, `{"op":"pay","op":"view"}`, "PAY"},
		{"", json, `{"op":["view","pay"]}`, "all"},
		{"", json, `[{"op":"view"},{"op":"pay"}]`, "PAY"},
		{"", json, `{"op":"view"}` + "\n" + `{"op":"pay"}`, "all"},
		{"", multi, part("op", "view") + part("op", "pay") + "--B--\r\n", "PAY"},
		{"op=view", multi, part("op", "pay") + "--B--\r\n", "PAY"},
		{"op=view", "application/xml", "<op>pay</op>", "all"},
		{"", urlencodedForm, "op=view&op=pay&op=other", "all"},
		{"", urlencodedForm, "op[]=view&op[]=pay", "all"}, // nothing, to who knows no subscripts
		{"", urlencodedForm, "op=view&op=other", "CHANGE"},
		{"", urlencodedForm, "op=VIEW", "CHANGE"}, // nothing, to who minds the case
		{"", json, `[{"op":"view"},{"op":"other"}]`, "CHANGE"},

		{"", urlencodedForm, "op=view&a=b&op=view", ""},
		{"op=view", "", "", ""},
		{"op=view", urlencodedForm, "a=b&c=d", ""},
		{"", json, `[{"op":"view"},{"op":"view"}]`, ""},
		{"", multi, part("a", "b") + part("op", "view") + "--B--\r\n", ""},
	} {
		target := "/app"
		if tt.query != "" {
			target += "?" + tt.query
		}
		try := func(cookie string) answer {
			return s.do("POST", target, tt.body, "Content-Type", tt.kind, "Cookie", cookie)
		}
		// With all grants, and with each alone.
		views, changes := grantCookie(view, s.token("alice", view)), grantCookie(change, s.token("alice", change))
		a := try(views)
		if tt.needs == "" {
			s.expect(a, 200, true)
			continue
		}
		s.expect(a, 401, false)
		pays := grantCookie(pay, s.token("alice", pay))
		enough := map[string]string{"PAY": views + "; " + pays, "CHANGE": views + "; " + changes, "all": views + "; " + pays + "; " + changes}
		for _, some := range []string{"", pays, changes, changes + "; " + pays, enough["PAY"], enough["CHANGE"], enough["all"]} {
			a := try(some)
			reached := len(s.takeReached()) > 0
			if pass := some == enough[tt.needs] || tt.needs != "all" && some == enough["all"] && tt.needs != "PAY"; pass != reached || pass != (a.StatusCode == 200) {
				t.Errorf("%s %q with %q: %d, asks for %q", target, tt.body, some, a.StatusCode, asked(a))
			}
		}
	}
}

// Of several grants none is used up before all are there, all are where it passes,
// and all are given back where the application was not reached.
func TestS03SeveralOneTimeGrants(t *testing.T) {
	s := newSite(t, func(o *gate.Options) {
		o.Undialed = undialed
		o.Rules = []gate.Rule{
			{Demand: pay, Fields: []readings.Field{form("op", "pay")}},
			{Demand: sendNow, Fields: []readings.Field{form("op", "send")}},
		}
	})
	try := func(cookie string) answer {
		return s.do("POST", "/x", "op=pay&op=send", "Content-Type", urlencodedForm, "Cookie", cookie)
	}
	first, second := grantCookie(pay, s.token("alice", pay)), grantCookie(sendNow, s.token("alice", sendNow))
	for range 3 {
		if a := try(first); a.StatusCode != 401 || asked(a) != "SEND" {
			t.Fatalf("%d, asks for %q", a.StatusCode, asked(a))
		}
		if a := try(second); a.StatusCode != 401 || asked(a) != "PAY" {
			t.Fatalf("%d, asks for %q", a.StatusCode, asked(a))
		}
	}
	// The application is down: both stay good.
	r, err := http.NewRequest("POST", "http://app.test/x", strings.NewReader("op=pay&op=send"))
	if err != nil {
		t.Fatal(err)
	}
	r.RequestURI, r.Header = "/x", http.Header{"Cookie": {first + "; " + second}, "X-User": {"alice"}, "Content-Type": {urlencodedForm}}
	rec := httptest.NewRecorder()
	if err := s.Gate.ServeHTTP(rec, r, proxyTo(closedPort(t))); err != nil || rec.Code != 502 {
		t.Fatal(rec.Code, err)
	}
	// Of many at once exactly one passes.
	var passed atomic.Int64
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if try(first+"; "+second).StatusCode == 200 {
				passed.Add(1)
			}
		})
	}
	all.Wait()
	if n := len(s.takeReached()); n != 1 || passed.Load() != 1 {
		t.Errorf("%d passed, %d reached the application", passed.Load(), n)
	}
	// Neither is any good alone, nor with a fresh one of the other.
	fresh := grantCookie(sendNow, s.token("alice", sendNow))
	if a := try(first + "; " + fresh); a.StatusCode != 401 || asked(a) != "PAY" {
		t.Errorf("%d, asks for %q", a.StatusCode, asked(a))
	}
	again := grantCookie(pay, s.token("alice", pay))
	s.expect(try(again+"; "+fresh), 200, true) // what was refused was not used up
}

// person is a browser on its way through challenges.
type person struct {
	s       *site
	who     *ceremonytest.Person
	browser string
	grants  []string
}

func (p *person) cookies() string {
	return strings.Join(append([]string{p.browser}, p.grants...), "; ")
}

func newPerson(s *site) *person {
	p := &person{s: s, browser: browserCookie()}
	if s.people["alice"] == nil {
		principal := ceremony.Principal{Site: ceremonytest.Site, Subject: grants.Subject{Tenant: ceremonytest.Tenant, User: "alice"}, Browser: sha256.Sum256([]byte("alice"))}
		s.people["alice"] = s.EnrollAs(principal, ceremony.Leave{})
	}
	who := *s.people["alice"]
	who.Browser, _ = cookies.BrowserID(&http.Request{Header: http.Header{"Cookie": {p.browser}}}, true)
	p.who = &who
	return p
}

// sends sends the form as a person does, and returns the challenge that it leads to,
// with the answer.
func (p *person) sends(target, body string) (answer, ceremony.Description) {
	p.s.t.Helper()
	a := p.s.do("POST", target, body, with("Cookie", p.cookies(), "Content-Type", urlencodedForm, "Origin", "https://app.test", "Host", "app.test", "Referer", "https://app.test/page")...)
	return a, p.challenge(a)
}

func (p *person) challenge(a answer) ceremony.Description {
	p.s.t.Helper()
	at := a.Header.Get("Location") + a.body
	_, id, ok := strings.Cut(at, "/.step-up/challenge/")
	if !ok {
		return ceremony.Description{}
	}
	if i := strings.IndexAny(id, `"'&<`); i >= 0 {
		id = id[:i]
	}
	who := p.who.Principal
	who.Site = a.site()
	d, err := p.s.Describe(p.s.t.Context(), who, id)
	if err != nil {
		p.s.t.Fatal(err)
	}
	return d
}

func (p *person) proves(d ceremony.Description) {
	p.s.t.Helper()
	p.s.Rest(p.who)
	won := p.s.Pass(p.who, d.Challenge)
	p.grants = append(p.grants, grantCookie(d.Demand, won.Token.Text()))
}

func (p *person) comesBack(d ceremony.Description) answer {
	return p.s.do("GET", d.ReturnTo, "", with("Cookie", p.cookies(), "Host", "app.test")...)
}

// A form that needs two grants is not held while both are missing: the person
// proves, sends it again, and then it is held for the last of them. Nothing asks
// for ever.
func TestS22FormThatNeedsTwoGrants(t *testing.T) {
	s := newSite(t, viewAndPay)
	p := newPerson(s)
	a, d := p.sends("/app", "op=view&op=pay")
	if a.StatusCode != 403 || d.Demand.Action != view.Action || d.Held || d.ReturnTo != "/page" || len(s.takeReached()) > 0 {
		t.Fatalf("%d, asks for %v, held %v, back to %s", a.StatusCode, d.Demand.Action, d.Held, d.ReturnTo)
	}
	p.proves(d)
	a, d = p.sends("/app", "op=view&op=pay")
	if a.StatusCode != 303 || d.Demand.Action != pay.Action || !d.Held || len(s.takeReached()) > 0 {
		t.Fatalf("%d, asks for %v, held %v", a.StatusCode, d.Demand.Action, d.Held)
	}
	p.proves(d)
	// The grant is for the held form alone.
	if a, _ := p.sends("/app", "op=view&op=pay"); a.StatusCode == 200 || len(s.takeReached()) > 0 {
		t.Errorf("another form: %d", a.StatusCode)
	}
	a = p.comesBack(d)
	if reached := s.takeReached(); a.StatusCode != 200 || len(reached) != 1 || reached[0].Method != "POST" || a.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d, %d reached", a.StatusCode, len(reached))
	}
	if a := p.comesBack(d); a.StatusCode != 303 || len(s.takeReached()) > 0 {
		t.Errorf("a second time: %d", a.StatusCode)
	}
	// By GET nothing is held, and the address leads to one challenge after the other.
	p = newPerson(s)
	get := func() answer {
		return s.do("GET", "/app?op=view&op=pay", "", with("Cookie", p.cookies(), "Host", "app.test")...)
	}
	for _, want := range []grants.Action{view.Action, pay.Action} {
		a := get()
		if d := p.challenge(a); a.StatusCode != 303 || d.Demand.Action != want || d.ReturnTo != "/app?op=view&op=pay" {
			t.Fatalf("%d, asks for %v", a.StatusCode, d.Demand.Action)
		}
		p.proves(p.challenge(a))
	}
	s.expect(get(), 200, true)
}

// Two grants that are good for one request: neither is bound to a held form, since
// the other's challenge would lose it.
func TestS22FormThatNeedsTwoOneTimeGrants(t *testing.T) {
	s := newSite(t, func(o *gate.Options) {
		o.Rules = []gate.Rule{
			{Demand: pay, Fields: []readings.Field{form("op", "pay")}},
			{Demand: sendNow, Fields: []readings.Field{form("op", "send")}},
		}
	})
	p := newPerson(s)
	for _, want := range []grants.Action{pay.Action, sendNow.Action} {
		a, d := p.sends("/x", "op=pay&op=send")
		if a.StatusCode != 403 || d.Demand.Action != want || d.Held || len(s.takeReached()) > 0 {
			t.Fatalf("%d, asks for %v, held %v", a.StatusCode, d.Demand.Action, d.Held)
		}
		p.proves(d)
	}
	a, _ := p.sends("/x", "op=pay&op=send")
	s.expect(a, 200, true)
	a, d := p.sends("/x", "op=pay&op=send")
	if a.StatusCode != 403 || d.Demand.Action != pay.Action || len(s.takeReached()) > 0 {
		t.Errorf("a second time: %d, asks for %v", a.StatusCode, d.Demand.Action)
	}
}

// Where one grant ends while the other is proved, it is asked for again, and the
// held form is kept.
func TestS22GrantEndsWhileTheOtherIsProved(t *testing.T) {
	s := newSite(t, viewAndPay)
	p := newPerson(s)
	_, d := p.sends("/app", "op=view&op=pay")
	p.proves(d)
	_, d = p.sends("/app", "op=view&op=pay")
	p.grants = nil // VIEW's has ended
	p.proves(d)
	for n := 0; ; n++ {
		a := p.comesBack(d)
		if a.StatusCode == 200 {
			break
		}
		if d = p.challenge(a); a.StatusCode != 303 || n > 3 || !d.Held || len(s.takeReached()) > 0 {
			t.Fatalf("round %d: %d, asks for %v, held %v", n, a.StatusCode, d.Demand.Action, d.Held)
		}
		p.proves(d)
	}
	if n := len(s.takeReached()); n != 1 {
		t.Errorf("%d reached the application", n)
	}
}

// A form held for one action that is two by the rules of today is not passed on.
func TestS22HeldFormThatBecameTwoActions(t *testing.T) {
	s := newSite(t, func(o *gate.Options) {
		o.Rules = []gate.Rule{{Demand: view, Fields: []readings.Field{form("op", "view")}}}
	})
	p := newPerson(s)
	a, d := p.sends("/app", "op=view&op=pay")
	if a.StatusCode != 303 || !d.Held {
		t.Fatal(a.StatusCode, d.Held)
	}
	p.proves(d)
	s.back.Store(s.newGate(viewAndPay))
	a = p.comesBack(d)
	if d := p.challenge(a); a.StatusCode != 303 || d.Demand.Action != pay.Action || len(s.takeReached()) > 0 {
		t.Errorf("%d, asks for %v", a.StatusCode, d.Demand.Action)
	}
}
