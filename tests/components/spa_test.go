//go:build components

package components

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"github.com/stepup-gateway/caddy-stepup/examples/spa"
	"github.com/stepup-gateway/caddy-stepup/tests/browser"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// TestSinglePageApplicationInBrowser uses the notes of examples/spa: calls that
// meet the gateway are sent again after their dialog, or answered 401 where the
// person cancels.
func TestSinglePageApplicationInBrowser(t *testing.T) {
	app := httptest.NewServer(spa.New())
	t.Cleanup(app.Close)
	_, after, found := strings.Cut(spa.Caddyfile, "\n{\n")
	if !found {
		t.Fatal("examples/spa/Caddyfile has another form than is expected here")
	}
	// A browser forgets a password of basic_auth at any 401, and asks its person for
	// it again, by a prompt that a test cannot answer. So everybody is alice here.
	before, rest, _ := strings.Cut(after, "\tbasic_auth {")
	_, rest, _ = strings.Cut(rest, "\n\t}\n")
	after = before + "\tvars user alice\n" + strings.Replace(rest, "{http.auth.user.id}", "{http.vars.user}", 1)
	g := gateway.Start(t, "{\n\tadmin GW_ADMIN\n\tpersist_config off\n"+strings.NewReplacer(
		"allow_plain_http\n", "allow_plain_http\n\t\ttotp {\n\t\t\tskew 2\n\t\t}\n",
		"step-up-demo/", "GW_DIR/", "http://localhost:8080", "http://127.0.0.1:GW_PORT", "localhost:9000", "GW_UPSTREAM",
	).Replace(after), gateway.Options{Upstream: strings.TrimPrefix(app.URL, "http://")})

	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the gateway's log:\n%s", g.Log())
		}
	})
	c := newCustomer(t, browser.Start(t), g.URL, browser.Options{})
	c.setUp()
	c.Go(c.site + "/")
	c.Sees("Buy milk")
	passes := func() {
		t.Helper()
		w := c.Popup("/.step-up/challenge/")
		// Complete, it is sent by itself.
		w.Fill("Code from your authenticator app", c.app.Code(t))
		w.Sees("You can close this window")
		w.Close()
	}

	// By XMLHttpRequest, with the keyboard alone; each deletion is proved.
	c.Toggle("Delete Buy milk")
	c.Sees("Confirm it’s you", "“delete note” needs a fresh proof")
	c.StartsOn("Confirm")
	c.Type(kb.Enter)
	passes()
	c.Sees("Deleted Buy milk")
	c.SeesNot("Confirm it’s you")

	for name, cancel := range map[string]func(){
		"Escape": func() { c.Type(kb.Escape) }, "Cancel": func() { c.Toggle("Cancel") },
	} {
		c.Toggle("Delete Call Bob")
		c.Sees("“delete note” needs a fresh proof")
		cancel()
		c.Sees("Not deleted: 401")
		if c.SeesNot("fresh proof"); !strings.Contains(c.Text(), "Call Bob") {
			t.Errorf("%s: the note is gone", name)
		}
		c.Go(c.site + "/")
	}

	// By fetch, for five minutes.
	adds := func(text string) {
		t.Helper()
		c.Fill("New note", text)
		c.Type(kb.Enter)
	}
	adds("Read")
	c.Sees("“change notes” needs a fresh proof")
	c.Toggle("Cancel")
	c.Sees("Not added: 401")
	adds("Read")
	c.Sees("“change notes” needs a fresh proof")
	c.Toggle("Confirm")
	passes()
	c.Sees("Added Read")
	adds("Write")
	c.Sees("Added Write")
	c.calm()
}
