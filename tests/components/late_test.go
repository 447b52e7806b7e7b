//go:build components

package components

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/tests/browser"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
	"github.com/stepup-gateway/caddy-stepup/totp"
)

// TestFormsOfTheLateArriveOnce is the person who was called away from a challenge,
// in one window with a form and in another with a plain page: both are told, and
// "Start again" leads to a new challenge for the same. The form arrives as it was
// sent, byte for byte, once.
func TestFormsOfTheLateArriveOnce(t *testing.T) {
	up := newSocket(t, func(target string) string {
		if form, is := strings.CutPrefix(target, "/form"); is {
			return uploadForm(form)
		}
		return "<p>the page " + target
	})
	g := gateway.Start(t, strings.Replace(annsBank(""), "allow_plain_http\n", "allow_plain_http\n\t\tlimits {\n\t\t\tchallenge_ttl 30s\n\t\t}\n", 1), gateway.Options{Upstream: up.addr})
	p := g.NewPerson("ann")
	p.Enroll(t, "")
	_, port, _ := strings.Cut(g.Host, ":")
	b := browser.Start(t)
	open := func() *customer {
		c := newCustomer(t, b, "http://late.localhost:"+port, browser.Options{})
		c.app = &p.App
		return c
	}
	c, reader := open(), open()
	file, _ := randomFile(t, 100<<10)
	c.uploads("/open/x?a=%2F&&b=ü", "Küche & Bad", file)
	c.Sees("the application took it")
	plain := up.one(t)

	reader.Go(reader.site + "/view/page?of=2026&&q=%2F")
	reader.Sees("Confirm it’s you", "You have 0:")
	c.uploads("/wire/x?a=%2F&&b=ü", "Küche & Bad", file)
	c.Sees("Confirm it’s you", "We’ve kept what you entered", "You have 0:")
	ended := []string{c.URL(), reader.URL()}
	time.Sleep(31 * time.Second)
	c.Sees("Time ran out", "What you entered is kept for")
	reader.Sees("Time ran out")
	reader.SeesNot("What you entered")
	up.none(t, "after the time ran out")
	for i, late := range []*customer{c, reader} {
		late.Click("Start again")
		late.Sees("Confirm it’s you", "You have 0:")
		if at := late.URL(); at == ended[i] || !strings.Contains(at, "/.step-up/challenge/") {
			t.Errorf("%s began again at %s", ended[i], at)
		}
	}
	up.none(t, "before the proof")
	c.proves()
	c.Sees("the application took it")
	held := up.one(t)
	if want := bytes.ReplaceAll(plain.body, []byte(boundary(t, plain)), []byte(boundary(t, held))); !bytes.Equal(held.body, want) {
		t.Errorf("%d bytes arrived, %d were sent", len(held.body), len(want))
	}
	if held.RequestURI != "/wire/x?a=%2F&&b=%C3%BC" {
		t.Errorf("it arrived at %s", held.RequestURI)
	}
	reader.proves()
	reader.Sees("the page /view/page?of=2026&&q=%2F")
	// What is over leads nowhere twice.
	c.Go(ended[0])
	c.Reload()
	up.none(t, "after the old challenge was opened")
	c.calm()
	reader.calm()
}

// TestCodesOfTwoMinutesAgo is the person whose device's clock is slow: the hint is
// about the clock, and the code that is right now passes.
func TestCodesOfTwoMinutesAgo(t *testing.T) {
	var app gateway.App
	site := gateway.StartOldBank(t, gateway.OldBankOptions{Plain: []string{"slow"}, Before: func(g *gateway.OldBank) {
		app = g.EnrollEarlier("slow", "alice", 30*time.Hour)
	}})
	i := newInspector(t, browser.Start(t))
	c := &customer{Window: i.Window, t: t, site: site.At("slow"), app: &app}
	c.signIn("alice", "wonderland")
	c.Go(c.site + "/transfer")
	c.transfers("Bob", "1.00", "slow")
	code, err := totp.Code(c.app.Key, time.Now().Add(-2*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	c.Fill("Code from your authenticator app", code)
	c.Sees("That code is about 2 minutes old", "your device’s clock is slow", "set the time automatically")
	i.inspect(t, "code of two minutes ago")
	c.proves()
	c.Sees("Paid to", "1.00")
	// The activity tells what was used, by the name that its owner knows.
	c.Go(c.site + "/.step-up/")
	c.Sees("Confirmed: Transfer money", "Authenticator app · Old phone · 127.0.0.1")
	c.calm()
}

// TestBrowsersWithoutCookiesAreTold is the person who allows none: what is missing
// is named, where there would be a challenge.
func TestBrowsersWithoutCookiesAreTold(t *testing.T) {
	up := newSocket(t, func(target string) string { return uploadForm(strings.TrimPrefix(target, "/form")) })
	g := gateway.Start(t, annsBank(""), gateway.Options{Upstream: up.addr})
	p := g.NewPerson("ann")
	p.Enroll(t, "")
	_, port, _ := strings.Cut(g.Host, ":")
	c := newCustomer(t, browser.StartWithoutCookies(t), "http://none.localhost:"+port, browser.Options{})
	c.Go(c.site + "/view/x")
	c.Sees("Cookies are needed", "Allow cookies for this site")
	file, _ := randomFile(t, 1<<10)
	c.uploads("/wire/x", "Küche", file)
	c.Sees("Cookies are needed")
	up.none(t, "without cookies")
}
