package scales

import (
	"net/url"
	"time"

	"github.com/stepup-gateway/caddy-stepup/tests/browser"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// Way is one way from a challenge page with a pasted code to the application's
// page.
type Way struct {
	Name  string
	Steps []Step
	// Took is the time from pasting until the application's page was complete.
	Took time.Duration
}

// Step is one request for a document.
type Step struct {
	Method, Path string
	Status       int
	Redirect     bool // the answer before has redirected here
	Bytes        int
}

// way walks from the challenge that the window shows.
func way(t browser.T, w *browser.Window, name, code string, arrives ...string) Way {
	t.Helper()
	w.StartsOn("Code from your authenticator app")
	w.Watch()
	pasted := w.Paste(code)
	w.Sees(arrives...)
	v := Way{Name: name, Took: w.Loaded().Sub(pasted)}
	for _, r := range w.Requests() {
		if !r.Document {
			continue
		}
		u, err := url.Parse(r.URL)
		if err != nil {
			t.Fatal(err)
		}
		v.Steps = append(v.Steps, Step{Method: r.Method, Path: u.Path, Status: r.Status, Redirect: r.Redirect, Bytes: r.Bytes})
	}
	return v
}

// Ways walks through the real gateway in front of the sample bank: to a page that
// was asked for, and on with a form that was sent.
func Ways(t browser.T) []Way {
	t.Helper()
	site := gateway.StartOldBank(t, gateway.OldBankOptions{Plain: []string{"weight"}})
	at := site.At("weight")
	w := browser.Start(t).Open(t, browser.Options{})
	w.InFront()
	w.Go(at + "/login")
	w.Fill("User name", "carol")
	w.Fill("Password", "looking-glass")
	w.Click("Sign in")
	w.Sees("Recent transfers")
	w.Go(at + "/.step-up/enroll")
	w.Fill("Authenticator app", " ")
	w.Click("Continue")
	w.Toggle("Cannot scan it?")
	app, err := gateway.NewApp(w.Texts(".secret")[0])
	if err != nil {
		t.Fatal(err)
	}
	w.Fill("Enter the code", app.Code(t))
	w.Sees("Your recovery codes")

	w.Go(at + "/admin/")
	ways := []Way{way(t, w, "a page that was asked for", app.Code(t), "Customers", "Freeze")}
	w.Go(at + "/transfer")
	w.Select("To", "Bob")
	w.Fill("Amount in euros", "12.50")
	w.Click("Transfer now")
	return append(ways, way(t, w, "a form that was sent", app.Code(t), "Paid to", "12.50"))
}
