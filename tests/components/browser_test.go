//go:build components

package components

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/tests/browser"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// customer is somebody who uses the bank in a browser, with an authenticator
// app in hand.
type customer struct {
	*browser.Window
	t     *testing.T
	site  string
	app   *gateway.App
	codes []string // recovery codes that were not used yet
	plain bool     // the window runs no scripts
}

func newCustomer(t *testing.T, b *browser.Browser, site string, o browser.Options) *customer {
	t.Helper()
	return &customer{Window: b.Open(t, o), t: t, site: site, plain: o.NoScripts}
}

// enters types a code, and sends it: with scripts it is sent when it is complete.
func (c *customer) enters(label, code, button string) {
	c.t.Helper()
	c.Fill(label, code)
	if c.plain {
		c.Click(button)
	}
}

// keeps says that the recovery codes on the page are kept.
func (c *customer) keeps() {
	c.t.Helper()
	c.SeesNot("I have saved them, continue")
	c.Fill("I keep these codes in a safe place", " ")
	c.Sees("I have saved them, continue")
}

// signIn signs in to the bank, which knows nothing of second factors.
func (c *customer) signIn(user, password string) {
	c.t.Helper()
	c.Go(c.site + "/")
	c.Fill("User name", user)
	c.Fill("Password", password)
	c.Click("Sign in")
	c.Sees("Recent transfers")
}

// lacks is that none of the person's verification methods is called so; the activity
// below still names it.
func (c *customer) lacks(label string) {
	c.t.Helper()
	for _, line := range c.Texts("[aria-labelledby=authenticators] li") {
		if strings.Contains(line, label) {
			c.t.Errorf("%s still lists %q", c.URL(), line)
		}
	}
}

// enroll finishes an enrollment that has begun: from the page with the QR code to
// the recovery codes.
func (c *customer) enroll() {
	c.t.Helper()
	c.Sees("Scan this QR code with your app")
	c.Toggle("Cannot scan it?")
	c.app = c.readApp()
	c.enters("Enter the code", c.app.Code(c.t), "Finish")
}

// readApp reads the key from the enrollment page, as one types it by hand.
func (c *customer) readApp() *gateway.App {
	c.t.Helper()
	secrets := c.Texts(".secret")
	if len(secrets) != 1 {
		c.t.Fatalf("the page shows %d keys:\n%s", len(secrets), c.Text())
	}
	app, err := gateway.NewApp(secrets[0])
	if err != nil {
		c.t.Fatalf("the key %q: %v", secrets[0], err)
	}
	return &app
}

var recoveryCode = regexp.MustCompile(`^[a-z0-9]{5}-[a-z0-9]{5}$`)

// saveCodes reads the recovery codes from the page.
func (c *customer) saveCodes() {
	c.t.Helper()
	c.Sees("Your recovery codes", "Save these codes now")
	c.codes = c.Texts(".codes li")
	if len(c.codes) != 10 {
		c.t.Fatalf("%d recovery codes: %q", len(c.codes), c.codes)
	}
	for _, code := range c.codes {
		if !recoveryCode.MatchString(code) {
			c.t.Errorf("a recovery code has the form %q", code)
		}
	}
}

// proves answers the challenge on the page with the app's next code.
func (c *customer) proves() {
	c.t.Helper()
	c.Sees("Confirm it’s you")
	c.enters("Code from your authenticator app", c.app.Code(c.t), "Confirm")
}

// transfers fills in the bank's form and sends it.
func (c *customer) transfers(to, amount, note string) {
	c.t.Helper()
	c.Select("To", to)
	c.Fill("Amount in euros", amount)
	c.Fill("Note", note)
	c.Click("Transfer now")
}

// picksApp chooses the authenticator app, where a script has marked the passkey
// too, and goes on to its QR code.
func (c *customer) picksApp() {
	c.t.Helper()
	c.Sees("How do you want to confirm that it’s you?")
	c.Fill("Authenticator app", " ")
	c.Click("Continue")
}

// setUp enrolls on the security page.
func (c *customer) setUp() {
	c.t.Helper()
	c.Go(c.site + "/.step-up/")
	c.Click("Set up a verification method")
	c.picksApp()
	c.enroll()
	c.saveCodes()
	c.keeps()
	c.Click("I have saved them, continue")
}

// beginsByScript begins a challenge as a script of the application does, and
// gives its id.
func (c *customer) beginsByScript(action string) string {
	c.t.Helper()
	answer := c.Ask(`() => {
		const r = new XMLHttpRequest()
		r.open('POST', '/.step-up/api/challenges', false)
		r.setRequestHeader('Content-Type', 'application/json')
		r.send('{"action_type":"` + action + `"}')
		return r.responseText
	}`)
	var begun struct {
		ID string `json:"challenge_id"`
	}
	if err := json.Unmarshal([]byte(answer), &begun); err != nil || begun.ID == "" {
		c.t.Fatalf("beginning %s: %s", action, answer)
	}
	return begun.ID
}

// calm ends the test if the browser complains of anything: a script or style
// that a policy refused, a page in quirks mode, an exception.
func (c *customer) calm() {
	c.t.Helper()
	for _, complaint := range c.Complaints() {
		c.t.Errorf("the browser complains: %s", complaint)
	}
}

// TestBankInBrowser uses the bank as its customers do, with a real browser in
// front of the real binary.
func TestBankInBrowser(t *testing.T) {
	var old gateway.App
	site := gateway.StartOldBank(t, gateway.OldBankOptions{
		Plain:  []string{"plain", "scripts", "keys", "own", "codes", "aged", "wrong"},
		Before: func(b *gateway.OldBank) { old = b.EnrollEarlier("aged", "alice", 30*time.Hour) },
	})
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the gateway's log:\n%s", site.Log())
		}
	})
	b := browser.Start(t)

	for name, o := range map[string]browser.Options{"plain": {NoScripts: true}, "scripts": {Width: 360, Height: 740}} {
		t.Run("main path, "+name, func(t *testing.T) {
			c := newCustomer(t, b, site.At(name), o)
			defer c.calm()
			c.signIn("alice", "wonderland")
			statement := time.Now().UTC().Format("January 2006")

			// Not enrolled: from the statement to the challenge, and on to enrollment.
			c.Click(statement)
			c.Sees("Set up a verification method", "Account statements")
			c.picksApp()
			c.enroll()
			c.saveCodes()
			c.Sees("Then you’ll continue with: Account statements")
			c.keeps()
			if file := c.Download("I have saved them, continue"); !strings.Contains(file, "Opening balance") {
				t.Fatalf("the statement is %q", file)
			}
			// The grant holds for all statements.
			c.Go(c.site + "/")
			c.Download(statement)

			// A transfer, proved with a recovery code.
			c.Click("Transfer")
			c.transfers("Bob", "12.50", "first, "+name)
			c.Sees("Confirm it’s you", "Transfer money", "Works once")
			c.Click("Use a recovery code instead")
			c.Fill("Recovery code", c.codes[0])
			c.Click("Confirm")
			// The form was sent once, and goes on by itself.
			c.Sees("Paid to", "Bob Mason", "12.50", "first, "+name)
			if !strings.HasPrefix(c.URL(), c.site+"/receipts/") {
				t.Fatalf("after the proof the browser is on %s", c.URL())
			}

			// The grant was good for one transfer.
			c.Click("Transfer")
			c.transfers("Bob", "3.20", "second, "+name)
			c.Sees("Confirm it’s you", "Transfer money")
			c.proves()
			c.Sees("Paid to", "3.20", "second, "+name)

			// Neither reloading the receipt nor going back and forth sends
			// anything again.
			c.Reload()
			c.Sees("Paid to", "3.20", "second, "+name)
			c.Back()
			c.Forward()
			c.Sees("Paid to", "3.20", "second, "+name)

			// A recovery code is used once.
			c.Click("Transfer")
			c.transfers("Bob", "1", "third, "+name)
			c.Click("Use a recovery code instead")
			c.Fill("Recovery code", c.codes[0])
			c.Click("Confirm")
			c.Sees("That recovery code didn’t work")
			// Back to the form, as it was before.
			c.Click("Cancel")
			c.Sees("Amount in euros")
			c.Go(c.site + "/")
			c.Sees("Recent transfers")
			c.SeesNot("third, " + name)
			for _, note := range []string{"first, ", "second, "} {
				if n := strings.Count(c.Text(), note+name); n != 1 {
					t.Errorf("the transfer %q was booked %d times", note+name, n)
				}
			}
		})
	}

	t.Run("by keyboard alone", func(t *testing.T) {
		c := newCustomer(t, b, site.At("keys"), browser.Options{NoScripts: true})
		defer c.calm()
		c.Go(c.site + "/")
		c.Tab("User name")
		c.Type("alice")
		c.Tab("Password")
		c.Type("wonderland")
		c.Enter()
		c.Tab("Transfer money")
		c.Enter()
		transfer := func() {
			t.Helper()
			c.Tab("To")
			c.Type("Bob")
			c.Tab("Amount")
			c.Type("7.77")
			c.Tab("Transfer now")
			c.Enter()
		}
		transfer()
		c.Sees("Set up a verification method", "Transfer money")
		c.Tab("Authenticator app")
		c.Tab("Name for this device")
		c.Type("Phone")
		c.Enter()
		c.Tab("Cannot scan it?")
		c.Type(" ")
		c.app = c.readApp()
		c.Tab("Enter the code")
		c.Type(c.app.Code(t))
		c.Enter()
		c.saveCodes()
		c.Tab("I keep these codes in a safe place")
		c.Type(" ")
		c.Tab("I have saved them, continue")
		c.Enter()
		c.Sees("Paid to", "7.77")
		c.Go(c.site + "/transfer")
		transfer()
		c.StartsOn("Code from your authenticator app")
		c.Type(c.app.Code(t))
		c.Enter()
		c.Sees("Paid to", "7.77")
		c.Go(c.site + "/.step-up/")
		c.Tab("Rename Phone")
		c.Tab("Add a verification method")
		c.Tab("Generate new codes")
	})

	t.Run("security page", func(t *testing.T) {
		c := newCustomer(t, b, site.At("own"), browser.Options{NoScripts: true, Width: 360, Height: 740})
		defer c.calm()
		c.signIn("carol", "looking-glass")
		c.setUp()
		c.Sees("Your security settings", "Authenticator app", "10 codes left", "Nothing right now.")

		// A grant, listed and revoked.
		c.Go(c.site + "/admin/")
		c.proves()
		c.Sees("Customers", "Freeze")
		c.Go(c.site + "/.step-up/")
		c.Sees("Administration", "For 10 minutes more")
		c.Click("Lock now: Administration")
		c.Sees("Locked again. You’ll be asked next time.")
		c.Go(c.site + "/admin/")
		c.Sees("Confirm it’s you", "Administration", "Valid for 10 minutes")

		// A second authenticator.
		c.Go(c.site + "/.step-up/")
		c.Click("Add a verification method")
		c.Sees("Add a verification method")
		first := c.app
		c.proves()
		c.Fill("Name for this device", "Tablet")
		c.Click("Continue")
		c.enroll()
		second := c.app
		c.Sees("The verification method was added.", "Tablet")
		if n := len(c.Texts(".rows div b")); n < 2 {
			t.Fatalf("%d authenticators are listed:\n%s", n, c.Text())
		}

		// Its new name, once.
		c.Click("Rename Tablet")
		c.Sees("Rename the verification method “Tablet”")
		c.SeesNot("recovery code instead")
		c.app = first
		c.proves()
		c.Fill("New name", "Kitchen tablet")
		c.Click("Save")
		c.Sees("The verification method was renamed.", "Kitchen tablet")
		c.Click("Rename Kitchen tablet")
		c.Sees("Confirm it’s you")

		// Its removal, which a recovery code does not do for.
		c.Go(c.site + "/.step-up/")
		c.Click("Remove Kitchen tablet")
		c.Sees("Remove the verification method “Kitchen tablet”")
		c.SeesNot("recovery code instead")
		c.proves()
		c.Sees("Remove this verification method?", "Kitchen tablet")
		c.SeesNot("It is your last one")
		c.Click("Remove it")
		c.Sees("The verification method was removed.")
		c.lacks("Kitchen tablet")

		// What it shows is worth nothing now.
		c.Go(c.site + "/admin/")
		c.Fill("Code from", second.Code(t))
		c.Click("Confirm")
		c.Sees("That code didn’t work.")

	})

	t.Run("recovery codes and the last authenticator", func(t *testing.T) {
		c := newCustomer(t, b, site.At("codes"), browser.Options{NoScripts: true})
		defer c.calm()
		c.signIn("carol", "looking-glass")
		c.setUp()

		// New recovery codes; the old ones are void.
		before := c.codes
		c.Go(c.site + "/.step-up/")
		c.Click("Generate new codes")
		c.proves()
		c.Sees("Generate new recovery codes?")
		c.Click("Generate new codes")
		c.saveCodes()
		c.Sees("Your earlier recovery codes no longer work.")
		c.keeps()
		c.Click("I have saved them, continue")
		c.Go(c.site + "/admin/")
		c.Click("Use a recovery code instead")
		c.Fill("Recovery code", before[1])
		c.Click("Confirm")
		c.Sees("That recovery code didn’t work.")
		c.Fill("Recovery code", c.codes[0])
		c.Click("Confirm")
		c.Sees("Customers", "Freeze")
		c.Go(c.site + "/.step-up/")
		c.Sees("9 codes left")

		// The last one: afterwards an invite is needed.
		c.Click("Remove ")
		c.proves()
		c.Sees("It is your last one.")
		c.Click("Remove it")
		c.Sees("The verification method was removed.", "None yet.")
		c.Click("Set up a verification method")
		c.Sees("Invite")
		c.Fill("Invite", "not-an-invite")
		c.Click("Continue")
		c.Sees("That invite code didn’t work.")
		if out, err := site.StepUp("invite", "carol", "--tenant", "codes", "--json"); err != nil {
			t.Fatalf("%v: %s", err, out)
		} else {
			c.Fill("Invite", regexp.MustCompile(`"invite": ?"([^"]+)"`).FindStringSubmatch(out)[1])
		}
		c.Click("Continue")
		c.enroll()
		c.saveCodes()
	})

	t.Run("S14 an authenticator of today removes none of yesterday's", func(t *testing.T) {
		c := newCustomer(t, b, site.At("aged"), browser.Options{NoScripts: true})
		defer c.calm()
		c.app = &old
		c.signIn("alice", "wonderland")
		c.Go(c.site + "/.step-up/")
		c.Sees("Old phone", "30 hours ago")
		c.Click("Add a verification method")
		c.proves()
		c.Fill("Name for this device", "New phone")
		c.Click("Continue")
		c.enroll()
		for _, change := range []string{"Remove Old phone", "Generate new codes"} {
			c.Go(c.site + "/.step-up/")
			c.Click(change)
			c.proves()
			c.Sees("You cannot use this yet", "can be used for this in 24 hours")
		}
		c.Click("Go to your security settings")
		c.Sees("Old phone", "New phone")
		c.app = &old
		c.Click("Remove New phone")
		c.proves()
		c.Click("Remove it")
		c.Sees("The verification method was removed.")
		c.lacks("New phone")
	})

	t.Run("wrong codes", func(t *testing.T) {
		c := newCustomer(t, b, site.At("wrong"), browser.Options{NoScripts: true})
		defer c.calm()
		c.signIn("alice", "wonderland")
		c.setUp()
		c.Go(c.site + "/transfer")
		c.transfers("Bob", "5", "")
		challenge := c.URL()
		for n := range 5 {
			c.Fill("Code from", c.app.WrongCode())
			c.Click("Confirm")
			if n < 4 {
				c.Sees("That code didn’t work.")
			}
		}
		c.Sees("Too many incorrect codes.", "even correct codes are refused")
		if fields := c.Texts("main label"); len(fields) != 0 {
			t.Errorf("the page still asks for %q", fields)
		}
		// Somebody else's challenge is none.
		other := newCustomer(t, b, c.site, browser.Options{NoScripts: true})
		other.signIn("bob", "builder")
		other.Go(challenge)
		other.Sees("Cookies are needed", "this page was opened in another browser")
		other.SeesNot("Transfer money")
		other.Click("Try again")
		other.Sees("Recent transfers")
		other.Go(fmt.Sprintf("%s/.step-up/challenge/%s", c.site, strings.Repeat("A", 22)))
		other.Sees("This has expired")
	})
}

// page is a document that is no application of ours, at a host of its own.
func page(t *testing.T, body string) (url string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, "<!doctype html><title>elsewhere</title>"+body)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/"
}

// TestS12CookiesInBrowser shows over HTTPS that a browser keeps and sends the
// __Host- cookies, the strict one of a one-time grant too when the journey began
// with a link on another site.
func TestS12CookiesInBrowser(t *testing.T) {
	site := gateway.StartOldBank(t, gateway.OldBankOptions{
		Secure: []string{"secure", "linked"},
		Edit: func(caddyfile string) string {
			// A one-time grant for a page that can be linked to.
			// And a page whose policy lets a script call the gateway.
			caddyfile = strings.ReplaceAll(caddyfile, "\treverse_proxy GW_UPSTREAM",
				"\theader /single-page Content-Type text/html\n\trespond /single-page \"<!doctype html><title>single page</title>\"\n\treverse_proxy GW_UPSTREAM")
			return strings.ReplaceAll(strings.ReplaceAll(caddyfile, "\t\tallow_plain_http\n", ""), "protect ADMIN /admin/* {\n\t\t\tlabel \"Administration\"\n\t\t\tgrant time_based 10m",
				"protect ADMIN /admin/* {\n\t\t\tlabel \"Administration\"\n\t\t\tgrant one_time 2m")
		},
	})
	b := browser.Start(t)

	t.Run("transfer", func(t *testing.T) {
		c := newCustomer(t, b, site.SecureAt("secure"), browser.Options{NoScripts: true, AnyCertificate: true})
		defer c.calm()
		c.signIn("alice", "wonderland")
		c.setUp()
		c.Go(c.site + "/transfer")
		c.transfers("Bob", "2.10", "over HTTPS")
		c.proves()
		c.Sees("Paid to", "2.10", "over HTTPS")
		var strict int
		for _, cookie := range c.Cookies() {
			if !strings.Contains(cookie.Name, "step_up_") {
				continue
			}
			if !strings.HasPrefix(cookie.Name, "__Host-") || !cookie.Secure || !cookie.HTTPOnly || cookie.Path != "/" {
				t.Errorf("the browser keeps %+v", cookie)
			}
			if cookie.SameSite == "Strict" {
				strict++
			}
		}
		if strict != 1 {
			t.Errorf("%d strict cookies after one proof for one use: %+v", strict, c.Cookies())
		}
		c.Go(c.site + "/transfer")
		c.transfers("Bob", "2.10", "over HTTPS")
		c.Sees("Confirm it’s you")
	})

	t.Run("from a link on another site", func(t *testing.T) {
		c := newCustomer(t, b, site.SecureAt("linked"), browser.Options{NoScripts: true, AnyCertificate: true})
		defer c.calm()
		c.signIn("carol", "looking-glass")
		elsewhere := page(t, `<a href="`+c.site+`/admin/">Look at the customers</a>`)

		// The first proof is the enrollment.
		c.Go(elsewhere)
		c.Click("Look at the customers")
		c.Sees("Set up a verification method", "Administration")
		c.picksApp()
		c.enroll()
		c.saveCodes()
		c.Sees("sent you here", "nothing has been opened yet", c.site+"/admin/")
		c.keeps()
		c.Click("I have saved them, continue")
		c.Sees("Customers", "Freeze")

		// The grant is spent.
		c.Go(elsewhere)
		c.Click("Look at the customers")
		c.Sees("Administration", "Works once")
		c.proves()
		c.Sees("sent you here")
		c.Click("Continue")
		c.Sees("Customers", "Freeze")

		// A grant that was proved for ahead of time, by a script of the
		// application, is not spent by another site's form.
		c.Go(c.site + "/single-page")
		c.Go(c.site + "/.step-up/challenge/" + c.beginsByScript("TRANSFER"))
		c.proves()
		c.Go(page(t, `<form method="post" action="`+c.site+`/transfer"><input name="to" value="bob"><button>Win a prize</button></form>`))
		c.Click("Win a prize")
		c.SeesNot("Paid to", "Confirm it’s you")
		c.Go(c.site + "/transfer")
		c.transfers("Bob", "4.40", "own will")
		c.Sees("Paid to", "4.40")
	})
}

// TestS11PagesInBrowser shows what a browser makes of the pages' policies: they
// are shown in no frame, and the challenge for a framed page leads out of it.
func TestS11PagesInBrowser(t *testing.T) {
	site := gateway.StartOldBank(t, gateway.OldBankOptions{Edit: func(caddyfile string) string {
		return caddyfile + `
http://framed.localhost:GW_PORT {
	vars user ann
	step_up {
		tenant framed
		identity placeholder {http.vars.user}
		protect SECRET /secret {
			label "The secret"
			grant time_based 5m
		}
	}
	header Content-Type "text/html; charset=utf-8"
	handle /outer {
		respond "<!doctype html><title>outer</title><iframe width=600 height=400 src=/secret></iframe>"
	}
	handle /ours {
		respond "<!doctype html><title>ours</title><iframe width=600 height=400 src=/.step-up/></iframe>"
	}
	handle {
		respond "<!doctype html><title>secret</title><p>the application's secret</p>"
	}
}
`
	}})
	at := site.At("framed")
	b := browser.Start(t)
	framed := `() => { try { return document.querySelector('iframe').contentDocument?.body?.innerText ?? '' } catch { return '' } }`

	c := newCustomer(t, b, at, browser.Options{})
	c.Go(at + "/outer")
	if text := c.Ask(framed); !strings.Contains(text, "in the full window") || !strings.Contains(text, "The secret") {
		t.Fatalf("the frame shows %q", text)
	}
	c.calm()
	c.ClickInFrame("Continue there")
	c.Sees("Set up a verification method", "The secret")
	if !strings.HasPrefix(c.URL(), at+"/.step-up/") {
		t.Fatalf("the link leads to %s", c.URL())
	}
	c.picksApp()
	c.enroll()
	c.saveCodes()
	c.keeps()
	c.Click("I have saved them, continue")
	c.Go(at + "/outer")
	if text := c.Ask(framed); !strings.Contains(text, "the application's secret") {
		t.Errorf("with a grant the frame shows %q", text)
	}
	c.calm()

	// Our own pages are shown in no frame, not even the site's own.
	c.Go(at + "/ours")
	if text := c.Ask(framed); strings.Contains(text, "security settings") {
		t.Errorf("the site's own page frames the security page: %q", text)
	}
	c.Complaints()
	for _, inner := range []string{"/.step-up/", "/.step-up/enroll", "/secret"} {
		c.Go(page(t, "<iframe width=600 height=400 src="+at+inner+"></iframe>"))
		if frames := c.Frames(); len(frames) != 1 || strings.HasPrefix(frames[0], at) {
			t.Errorf("another site frames %s: %q", inner, frames)
		}
		refused := strings.Join(c.Complaints(), "\n")
		if inner != "/secret" && !strings.Contains(refused, "frame-ancestors") {
			t.Errorf("the browser says of %s in a frame of another site: %q", inner, refused)
		}
	}
}
