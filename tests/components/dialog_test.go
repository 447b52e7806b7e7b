//go:build components

package components

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/color"
	"github.com/stepup-gateway/caddy-stepup/internal/pages"
	"github.com/stepup-gateway/caddy-stepup/internal/portal"
	"github.com/stepup-gateway/caddy-stepup/tests/browser"
)

// TestDialogIsAccessible opens the dialog of client.js in a page of an application,
// in every language, by day and night and in every window: with the words of that
// language, what the operator calls the action, and the operator's name and colors.
func TestDialogIsAccessible(t *testing.T) {
	accents, err := color.NewAccents(color.RGB{R: 0x9c, G: 0x1f, B: 0x5b})
	if err != nil {
		t.Fatal(err)
	}
	const label = "Delete a note that others can see"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/branded.js":
			w.Header().Set("Content-Type", "text/javascript")
			w.Write(portal.ClientScript("Old Bank", &pages.Brand{Name: "Bank of the Coast", Accent: &accents}))
		case "/plain.js":
			w.Header().Set("Content-Type", "text/javascript")
			w.Write(portal.ClientScript("Old Bank", nil))
		case "/call":
			at := "http://" + r.Host
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintf(w, `{"code":"insufficient_user_authentication","action_type":"DELETE_NOTE","action_label":%q,"grant_type":"ONE_TIME_USE","verify_url":"%s/verify","api_url":"%[2]s/verify"}`, label, at)
		default:
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; connect-src 'self'")
			fmt.Fprintf(w, `<!doctype html><html lang=%q><meta name="viewport" content="width=device-width"><title>Notes</title><script src=%q></script><main><h1>Notes</h1><p>Nothing</p></main>`,
				r.FormValue("lang"), strings.TrimPrefix(r.URL.Path, "/of")+".js")
		}
	}))
	t.Cleanup(server.Close)
	i := newInspector(t, browser.Start(t))
	words := pages.DialogWords()
	for kind, name := range map[string]string{"plain": "Old Bank", "branded": "Bank of the Coast"} {
		for _, l := range pages.Languages() {
			i.Go(server.URL + "/of/" + kind + "?lang=" + l.Tag)
			i.Inject(`fetch('/call')`)
			say := words[l.Tag]
			i.Sees(name, strings.TrimPrefix(server.URL, "http://"), say.Title, say.Text, label, say.Confirm, say.Cancel)
			i.SeesNot("DELETE_NOTE")
			if got := i.Ask(`() => { const d = document.querySelector('dialog'); return d.lang + ' ' + getComputedStyle(d).direction }`); got != l.Tag+" "+say.Dir {
				t.Errorf("%s: the dialog is %s", l.Tag, got)
			}
			i.Appear(onScreen)
			day := i.Ask(dialogColors)
			i.Appear(dark(onScreen))
			if night := i.Ask(dialogColors); night == day {
				t.Errorf("%s: by night as by day: %s", l.Tag, night)
			}
			i.inspectDialog(t, kind+" dialog "+l.Tag)
		}
	}
	if complaints := i.Complaints(); len(complaints) > 0 {
		t.Errorf("the browser complains: %q", complaints)
	}
}

// inspectDialog looks at a dialog that lies on a page, as inspect does at pages. With
// text of 200 % it may be higher than a phone, and then scrolls, but never sideways.
func (i *inspector) inspectDialog(t *testing.T, name string) {
	t.Helper()
	for _, window := range []browser.Appearance{onPhone, onTablet, onScreen} {
		for rules, a := range map[string]browser.Appearance{allRules: window, colorRules: dark(window)} {
			i.Appear(a)
			for _, fault := range i.violations(t, rules) {
				t.Errorf("%s, %+v: %s", name, a, fault)
			}
		}
	}
	i.Inject(`document.querySelector('main').remove()`) // which it covers
	const sideways = `() => { const d = document.querySelector('dialog'); return String(d.scrollWidth > d.clientWidth || d.offsetWidth > innerWidth) }`
	for _, window := range []browser.Appearance{onPhone, onTablet, onScreen} {
		i.Appear(window)
		for _, fault := range i.unreadable() {
			t.Errorf("%s, %+v: %s", name, window, fault)
		}
	}
	if by := i.EnlargeText(); by < 1.99 {
		t.Errorf("%s: text of 200 %% grows by %.2f only", name, by)
	}
	i.Appear(onPhone)
	if i.Ask(sideways) == "true" || len(i.Overflow()) > 0 {
		t.Errorf("%s: text of 200 %% has no room sideways: %q", name, i.Overflow())
	}
	i.ResetText()
}

// dialogColors are the colors of the dialog, and of its first button.
const dialogColors = `() => [document.querySelector('dialog'), document.querySelector('dialog a')].map(e => getComputedStyle(e).color + ' on ' + getComputedStyle(e).backgroundColor).join(', ')`
