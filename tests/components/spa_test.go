//go:build components

package components

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/stepup-gateway/caddy-stepup/examples/spa"
	"github.com/stepup-gateway/caddy-stepup/tests/browser"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// TestSinglePageApplicationInBrowser uses the notes of examples/spa: calls that
// meet the gateway are sent again after their dialog, whatever proves in its
// window, or answered 401 where the person cancels.
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
	g := gateway.Start(t, "{\n\tadmin GW_ADMIN\n\tpersist_config off\n\tdefault_bind 127.0.0.1\n"+strings.NewReplacer(
		"allow_plain_http\n", "allow_plain_http\n\t\ttotp {\n\t\t\tskew 2\n\t\t}\n\t\tsms {\n\t\t\tsender file GW_DIR/sms.jsonl\n\t\t\tcountry DE\n\t\t\tlimits {\n\t\t\t\tresend_after 10s\n\t\t\t}\n\t\t}\n",
		"{$STEP_UP_DEMO:/var/tmp/step-up-demo}/", "GW_DIR/", "http://localhost:8080", "http://localhost:GW_PORT", "localhost:9000", "GW_UPSTREAM",
	).Replace(after), gateway.Options{Upstream: strings.TrimPrefix(app.URL, "http://")})

	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the gateway's log:\n%s", g.Log())
		}
	})
	c := newCustomer(t, browser.Start(t), strings.Replace(g.URL, "127.0.0.1", "localhost", 1), browser.Options{})
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

	// The list is drawn anew after it is said what was done: what is pressed before
	// that is gone.
	deleted := func(note string) {
		t.Helper()
		c.Sees("Deleted " + note)
		for slices.Contains(c.Texts("#notes button"), "Delete "+note) {
			time.Sleep(20 * time.Millisecond)
		}
	}

	// By XMLHttpRequest, with the keyboard alone; each deletion is proved.
	c.Toggle("Delete Buy milk")
	c.Sees("Confirm it’s you", "Delete a note")
	c.StartsOn("Confirm")
	c.Type(kb.Enter)
	passes()
	deleted("Buy milk")
	c.SeesNot("Confirm it’s you")

	for name, cancel := range map[string]func(){
		"Escape": func() { c.Type(kb.Escape) }, "Cancel": func() { c.Toggle("Cancel") },
	} {
		c.Toggle("Delete Call Bob")
		c.Sees("Delete a note")
		cancel()
		c.Sees("Not deleted: 401")
		if c.SeesNot("A separate window opens"); !strings.Contains(c.Text(), "Call Bob") {
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
	c.Sees("Change notes")
	c.Toggle("Cancel")
	c.Sees("Not added: 401")
	adds("Read")
	c.Sees("Change notes")
	c.Toggle("Confirm")
	passes()
	c.Sees("Added Read")
	adds("Write")
	c.Sees("Added Write")

	// By a message, in the window; the code goes there and nowhere else.
	add := func(kind string) {
		t.Helper()
		c.Go(c.site + "/.step-up/enroll")
		c.proves()
		c.Fill(kind, " ")
		c.Click("Continue")
	}
	var told int // messages that were read
	message := func() string {
		t.Helper()
		for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			sent, _ := os.ReadFile(filepath.Join(g.Dir, "sms.jsonl"))
			if all := regexp.MustCompile(`\b[0-9]{6}\b`).FindAllString(regexp.MustCompile(`"text":"[^"]*"`).FindString(lastLine(sent)), -1); len(all) == 1 && strings.Count(string(sent), "\n") > told {
				told = strings.Count(string(sent), "\n")
				return all[0]
			}
		}
		t.Fatal("no message was sent")
		return ""
	}
	add("Text message")
	c.Fill("Phone number", "+49 1511 7314159")
	c.Click("Send the code")
	c.Fill("Enter the code from the message", message())
	c.Sees("The verification method was added.", "Number that ends in")
	time.Sleep(10 * time.Second) // until another code may be sent
	c.Go(c.site + "/")
	c.Toggle("Delete Call Bob")
	c.Sees("Delete a note")
	c.Toggle("Confirm")
	w := c.Popup("/.step-up/challenge/")
	w.Click("Get a code by text message instead")
	w.Click("Send the code")
	w.Fill("Code from the text message", message())
	w.Sees("You can close this window")
	w.Close()
	deleted("Call Bob")

	// By a passkey, which is asked for first.
	add("Passkey")
	c.Device()
	c.Click("Create a passkey")
	c.Sees("The verification method was added.")
	c.Go(c.site + "/")
	c.Toggle("Delete Water the plants")
	c.Sees("Delete a note")
	c.StartsOn("Confirm")
	c.Type(kb.Enter)
	w = c.Popup("/.step-up/challenge/")
	w.DeviceOf(c.Window)
	w.StartsOn("Use your passkey")
	w.Enter()
	w.Sees("You can close this window")
	w.Close()
	deleted("Water the plants")
	c.SeesNot("Confirm it’s you")
	c.calm()
}

// lastLine is the last line of a text of lines.
func lastLine(text []byte) string {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}
