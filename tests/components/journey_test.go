//go:build components

package components

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/stepup-gateway/caddy-stepup/tests/browser"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// traveller is a customer who uses pages by pointer or by the keyboard alone:
// Tab, with and without Shift, Enter, the space bar, the arrows of a list and
// what is typed. Whatever has the focus must show it.
type traveller struct {
	*customer
	keys bool
}

// reaches brings the focus to what is called name, onward or, from the end of a
// page, back.
func (v *traveller) reaches(name string) {
	v.t.Helper()
	if !strings.Contains(v.Focus(), name) {
		v.Tab(name)
	}
	if at := v.Stop(); at == nil || !at.Seen {
		v.t.Errorf("%s does not show that %q has the focus", v.URL(), name)
	}
}

// goes follows a link or presses a button that leads to another page.
func (v *traveller) goes(name string) {
	v.t.Helper()
	if !v.keys {
		v.Click(name)
		return
	}
	v.find(name)
	v.reaches(name)
	v.Enter()
}

// find waits for what is called name, by what is read on it or aloud.
func (v *traveller) find(name string) {
	v.t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		for _, called := range v.Texts("a[href], button, summary") {
			if strings.Contains(called, name) {
				return
			}
		}
		if v.Ask("() => String(!!document.querySelector('[aria-label*=\""+name+"\"]'))") == "true" {
			return
		}
	}
	v.t.Fatalf("there is no %q on %s:\n%s", name, v.URL(), v.Text())
}

// fills types into a field.
func (v *traveller) fills(label, text string) {
	v.t.Helper()
	if !v.keys {
		v.Fill(label, text)
		return
	}
	v.Sees(label)
	v.reaches(label)
	v.Type(text)
}

// chooses marks a radio button.
func (v *traveller) chooses(option string) {
	v.t.Helper()
	if !v.keys {
		v.Fill(option, " ")
		return
	}
	// One of them has the focus, the others are reached by the arrows.
	for range 20 {
		if v.Ask("() => document.activeElement.type || ''") == "radio" {
			break
		}
		v.Type(kb.Tab)
	}
	for range 5 {
		if strings.Contains(v.Focus(), option) {
			break
		}
		v.Type(kb.ArrowDown)
	}
	v.reaches(option)
}

// ticks marks a box, or opens a part of the page.
func (v *traveller) ticks(label string) {
	v.t.Helper()
	if !v.keys {
		v.Fill(label, " ")
		return
	}
	v.Sees(label)
	v.reaches(label)
	v.Type(" ")
}

// answers types a code into the field that has the focus already, and sends it:
// with scripts it is sent when it is complete.
func (v *traveller) answers(field, code string) {
	v.t.Helper()
	v.StartsOn(field)
	v.Type(code)
	if v.plain || strings.Contains(field, "Recovery") {
		v.Enter()
	}
}

// proves answers the challenge with the app.
func (v *traveller) proves() {
	v.t.Helper()
	v.Sees("Confirm it’s you")
	v.answers("Code from your authenticator app", v.app.Code(v.t))
}

// touches answers the challenge with the passkey, whose button has the focus.
func (v *traveller) touches() {
	v.t.Helper()
	v.Sees("Confirm it’s you")
	v.StartsOn("Use your passkey")
	v.goes("Use your passkey")
}

// sane looks at the order in which Tab goes around the page, once the page has
// given the focus to what is to have it.
func (v *traveller) sane() {
	v.t.Helper()
	if !v.keys {
		return
	}
	for _, wrong := range v.Misplaced() {
		v.t.Errorf("%s: %s", v.URL(), wrong)
	}
}

// pays fills in the bank's form and sends it.
func (v *traveller) pays(amount, note string) {
	v.t.Helper()
	v.Go(v.site + "/transfer")
	v.fills("To", "Bob")
	v.fills("Amount in euros", amount)
	v.fills("Note", note)
	v.goes("Transfer now")
}

// receives sees that the transfer was made.
func (v *traveller) receives(note string) {
	v.t.Helper()
	v.Sees("Paid to", note)
}

// savesCodes keeps the recovery codes on the page and goes on.
func (v *traveller) savesCodes() {
	v.t.Helper()
	v.saveCodes()
	v.sane()
	v.SeesNot("I have saved them, continue")
	v.ticks("I keep these codes in a safe place")
	v.Sees("I have saved them, continue")
	v.goes("I have saved them, continue")
}

// scans sets up the app that the page shows the key of.
func (v *traveller) scans() {
	v.t.Helper()
	v.Sees("Scan this QR code with your app")
	if v.keys {
		v.sane()
		v.ticks("Cannot scan it?")
	} else {
		v.Toggle("Cannot scan it?")
	}
	v.app = v.readApp()
	v.fills("Enter the code", v.app.Code(v.t))
	if v.plain {
		v.goes("Finish")
	}
}

// TestWholeJourney goes the whole way of a person, with the real binary and a
// real browser, whose device with passkeys is made up of it: enrollment from a
// challenge, recovery codes, step-up by app, passkey and recovery code, the
// removal of the first authenticator, new codes, a grant that is ended, and what
// of it is told. Passkeys take a script, so without one there is a second app.
func TestWholeJourney(t *testing.T) {
	site := gateway.StartOldBank(t, gateway.OldBankOptions{Plain: []string{"pointer", "plain", "keys", "plainkeys"}})
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the gateway's log:\n%s", site.Log())
		}
	})
	b := browser.Start(t)
	for name, o := range map[string]struct {
		browser.Options
		keys bool
	}{
		"pointer":   {},
		"plain":     {Options: browser.Options{NoScripts: true}},
		"keys":      {keys: true},
		"plainkeys": {Options: browser.Options{NoScripts: true}, keys: true},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCustomer(t, b, site.At(name), o.Options)
			defer c.calm()
			c.InFront()
			(&traveller{customer: c, keys: o.keys}).travels()
		})
	}
}

// travels goes the whole way.
func (v *traveller) travels() {
	t := v.t
	t.Helper()
	v.Go(v.site + "/")
	v.fills("User name", "carol")
	v.fills("Password", "looking-glass")
	v.goes("Sign in")
	v.Sees("Recent transfers")

	// From a transfer to the challenge, to enrollment, and on with the transfer.
	v.pays("1.10", "on the way")
	v.Sees("Set up a verification method", "Transfer money", "Authenticator app")
	v.sane()
	v.chooses("Authenticator app")
	v.fills("Name for this device", "Phone")
	v.goes("Continue")
	v.scans()
	v.savesCodes()
	v.receives("on the way")

	// By the app; the way back is the form that one came from.
	v.pays("2.20", "by app")
	v.Sees("Confirm it’s you", "Transfer money", "Works once")
	v.StartsOn("Code from your authenticator app")
	v.sane()
	v.goes("Cancel")
	v.Sees("Amount in euros")
	v.pays("2.20", "by app")
	if v.keys {
		v.StartsOn("Code from your authenticator app")
		v.Tab("Confirm")
		v.TabBack("Code from your authenticator app")
	}
	v.proves()
	v.receives("by app")

	// A second authenticator.
	v.Go(v.site + "/.step-up/")
	v.sane()
	v.goes("Add a verification method")
	v.proves()
	v.Sees("How do you want to confirm that it’s you?")
	if v.plain {
		v.SeesNot("Passkey")
		v.chooses("Authenticator app")
		v.fills("Name for this device", "Laptop")
		v.goes("Continue")
		v.scans()
	} else {
		v.Device()
		v.chooses("Passkey")
		v.fills("Name for this device", "Laptop")
		v.goes("Continue")
		v.StartsOn("Create a passkey")
		v.sane()
		v.goes("Create a passkey")
	}
	v.Sees("The verification method was added.", "Laptop", "Phone")
	again, by, first := v.touches, "Passkey", "Use your passkey"
	if v.plain {
		again, by, first = v.proves, "Authenticator app", "Code from your authenticator app" // by the second app
	}

	// By the second one, for ten minutes.
	v.Go(v.site + "/admin/")
	v.Sees("Administration", "Valid for 10 minutes")
	v.StartsOn(first)
	v.sane()
	again()
	v.Sees("Customers", "Freeze")

	// The first one has another name, and is gone. Both are of today, so each may
	// remove the other.
	v.Go(v.site + "/.step-up/")
	v.tells("Confirmed: Administration", "Verification method added", by)
	v.goes("Rename Phone")
	again()
	v.StartsOn("New name")
	v.sane()
	if v.keys {
		v.Tab("Save")
		v.TabBack("New name") // all of it is selected now
	}
	v.fills("New name", "Old phone")
	v.goes("Save")
	v.Sees("The verification method was renamed.", "Old phone")
	v.goes("Remove Old phone")
	v.Sees("Remove the verification method “Old phone”")
	v.SeesNot("recovery code instead")
	again()
	v.Sees("Remove this verification method?")
	v.SeesNot("It is your last one")
	v.sane()
	v.goes("Remove it")
	v.Sees("The verification method was removed.")
	v.lacks("Old phone")

	// By a recovery code, once.
	used := v.codes[0]
	for n, note := range []string{"by recovery code", "not by recovery code"} {
		v.pays("3.30", note)
		v.goes("Use a recovery code instead")
		v.StartsOn("Recovery code")
		v.sane()
		v.answers("Recovery code", used)
		if n == 0 {
			v.receives(note)
		} else {
			v.Sees("That recovery code didn’t work.")
		}
	}

	// New codes.
	v.Go(v.site + "/.step-up/")
	v.Sees("9 codes left")
	v.goes("Generate new codes")
	again()
	v.Sees("Generate new recovery codes?")
	v.goes("Generate new codes")
	v.Sees("Your earlier recovery codes no longer work.")
	v.savesCodes()
	v.Sees("10 codes left")

	// What is open is ended.
	v.Sees("Unlocked right now", "Administration")
	v.goes("Lock now: Administration")
	v.Sees("Locked again. You’ll be asked next time.")
	v.Go(v.site + "/admin/")
	v.Sees("Confirm it’s you")
	v.goes("Cancel")

	// And all of it is told.
	v.Go(v.site + "/.step-up/")
	v.sane()
	v.tells("Confirmed: Transfer money", "Failed attempt: Transfer money", "Verification method renamed", "Verification method removed",
		"New recovery codes generated", "Locked again: Administration", by, "Recovery code", "127.0.0.1")
}

// tells looks for what was done in the activity on the security page.
func (v *traveller) tells(what ...string) {
	v.t.Helper()
	told := strings.Join(v.Texts(".activity li"), "\n")
	for _, one := range what {
		if !strings.Contains(told, one) {
			v.t.Errorf("the recent activity lacks %q:\n%s", one, told)
		}
	}
}

// TestCancelLeadsOut: who is on a page whose grant has ended, follows a link to
// another such page and cancels there is not led back to where a proof is asked
// for again.
func TestCancelLeadsOut(t *testing.T) {
	site := gateway.StartOldBank(t, gateway.OldBankOptions{Plain: []string{"out"}, Edit: func(caddyfile string) string {
		return strings.Replace(caddyfile, "label \"Administration\"\n\t\t\tgrant time_based 10m", "label \"Administration\"\n\t\t\tgrant time_based 10s", 1)
	}})
	c := newCustomer(t, browser.Start(t), site.At("out"), browser.Options{NoScripts: true})
	defer c.calm()
	c.signIn("carol", "looking-glass")
	c.setUp()
	c.Go(c.site + "/admin/")
	c.Sees("Valid for 10 seconds")
	c.proves()
	c.Sees("Customers", "Freeze")
	time.Sleep(11 * time.Second)
	c.Click("Audit")
	c.Sees("Confirm it’s you", "Administration")
	c.Click("Cancel")
	c.Sees("Canceled. Nothing was changed.", "Your security settings")
	c.Click("Back to the site")
	c.Sees("Recent transfers")
}
