//go:build components

package components

import (
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/tests/browser"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
	"github.com/stepup-gateway/caddy-stepup/totp"
)

// startLostBank is a bank whose people are called away: a challenge takes half a
// minute, the codes hold as long as they do for everybody, and closing an account
// takes a passkey.
func startLostBank(t *testing.T, name string) *gateway.OldBank {
	t.Helper()
	return gateway.StartOldBank(t, gateway.OldBankOptions{Plain: []string{name}, Edit: func(caddyfile string) string {
		caddyfile = strings.Replace(caddyfile, "allow_plain_http\n", "allow_plain_http\n\t\tlimits {\n\t\t\tchallenge_ttl 30s\n\t\t}\n", 1)
		return strings.Replace(caddyfile, "\t\tprotect ADMIN ", "\t\tprotect CLOSE_ACCOUNT /close {\n\t\t\tlabel \"Close the account\"\n\t\t\tgrant one_time\n\t\t\tmethods passkey\n\t\t}\n\t\tprotect ADMIN ", 1)
	}})
}

// TestPeopleWhoAreLateLoseNothing is the person who was called away: the form is
// kept, how long is left is shown, and one click begins again.
func TestPeopleWhoAreLateLoseNothing(t *testing.T) {
	site := startLostBank(t, "late")
	i := newInspector(t, browser.Start(t))
	c := &customer{Window: i.Window, t: t, site: site.At("late")}
	c.signIn("alice", "wonderland")
	c.setUp()
	c.Go(c.site + "/transfer")
	c.transfers("Bob", "12.50", "late")
	c.Sees("Confirm it’s you", "We’ve kept what you entered", "You have 0:")
	i.inspect(t, "challenge with the time that is left")
	time.Sleep(31 * time.Second)
	c.Sees("Time ran out", "What you entered is kept for")
	i.inspect(t, "challenge that ran out")
	c.Click("Start again")
	c.proves()
	c.Sees("Paid to", "12.50", "late")
	// A plain page too.
	c.Go(c.site + "/.step-up/")
	c.Go(c.site + "/close?account=7")
	c.Sees("None of your methods works for this action", "Accepted for this action: Passkey.")
	i.inspect(t, "method to add")
	c.Click("Add a method")
	c.Sees("Add a verification method")
	c.proves()
	c.Sees("Set up a passkey")
	c.Device()
	c.Click("Continue")
	c.Click("Create a passkey")
	// The action is resumed, and says why it has to wait: a passkey that a code from
	// an app vouches for is a day old before it is taken for what takes passkeys.
	c.Sees("You cannot use this yet", "“Passkey” can be used for this in 24 hours")
	i.inspect(t, "method that is too new")
	c.Click("Go to your security settings")
	c.Sees("Verification methods", "Passkey", "Restrictions end in 24 hours")
	c.calm()
}

// TestWindowsHearOfEachOther opens two windows on what is protected, and proves in
// one of them.
func TestWindowsHearOfEachOther(t *testing.T) {
	site := gateway.StartOldBank(t, gateway.OldBankOptions{Plain: []string{"two"}})
	c := newCustomer(t, browser.Start(t), site.At("two"), browser.Options{})
	c.signIn("alice", "wonderland")
	c.setUp()
	// Both windows go to the same page.
	c.Ask(`() => { document.body.innerHTML = '<a href="/admin/" target="_blank" rel="opener">There</a>'; return '' }`)
	c.Toggle("There")
	w := c.Popup("/.step-up/challenge/")
	w.Sees("Confirm it’s you", "Administration")
	c.Go(c.site + "/admin/")
	c.proves()
	for deadline := time.Now().Add(10 * time.Second); strings.Contains(w.URL(), "/.step-up/"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the other window still shows %s:\n%s", w.URL(), w.Text())
		}
	}
	w.Close()
}

// TestPeopleWithASlowClockAreTold enters a code of eight minutes ago.
func TestPeopleWithASlowClockAreTold(t *testing.T) {
	site := gateway.StartOldBank(t, gateway.OldBankOptions{Plain: []string{"slow"}})
	i := newInspector(t, browser.Start(t))
	c := &customer{Window: i.Window, t: t, site: site.At("slow")}
	c.signIn("alice", "wonderland")
	c.setUp()
	c.Go(c.site + "/transfer")
	c.transfers("Bob", "1.00", "slow")
	// Codes up to now are used up: the app's clock is that far behind its own last.
	code, err := totp.Code(c.app.Key, time.Now().Add(-8*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	c.Fill("Code from your authenticator app", code)
	c.Sees("That code didn’t work.")
	i.inspect(t, "wrong code")
	// What the form was answered with comes back without sending the form again.
	c.Reload()
	c.SeesNot("That code didn’t work.")
	c.Sees("Confirm it’s you")
	c.calm()
}
