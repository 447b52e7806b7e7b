//go:build components

package components

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/freeport"
	"github.com/stepup-gateway/caddy-stepup/tests/browser"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// smsSite is the bank with codes by SMS, at DEBUG and with access logs; the user
// NAME is at home at NAME.localhost too, where browsers go, and the API for
// servers at the port. LIMITS is replaced by limits.
func smsSite(sender, apiPort string) string {
	text := strings.Replace(bank(""), "\t\tallow_plain_http\n", "\t\tallow_plain_http\n\t\tsms {\ncountry DE\nlimits {\nLIMITS\n}\nsender "+sender+"\n}\n", 1)
	text = strings.Replace(text, "\tadmin GW_ADMIN\n", "\tadmin GW_ADMIN\n\tdebug\n", 1)
	global, site, _ := strings.Cut(text, "http://:GW_PORT {")
	site = "\tlog\n" + site
	return global + "http://:GW_PORT {\n" + site + "\nhttp://*.localhost:GW_PORT {\n" +
		strings.Replace(site, "{http.request.header.X-Test-User}", "{http.request.host.labels.1}", 1) +
		"\nhttp://127.0.0.1:" + apiPort + " {\n\tlog\n\tbind 127.0.0.1\n\tstep_up_api\n}\n"
}

// owner is somebody with a phone of their own.
type owner struct {
	*gateway.Person
	t       *testing.T
	carrier *carrier
	number  string
}

// ask calls the JSON API of the pages, and gives the header too.
func (o *owner) ask(method, path string, in any) (int, http.Header, map[string]any) {
	o.t.Helper()
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			o.t.Fatal(err)
		}
		body = bytes.NewReader(text)
	}
	resp, content, err := o.Do(method, "/.step-up/api"+path, map[string]string{"Content-Type": "application/json"}, body)
	if err != nil {
		o.t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(content, &out); err != nil {
		o.t.Fatalf("%s %s: %v in %q", method, path, err, content)
	}
	return resp.StatusCode, resp.Header, out
}

// wants is ask for an answer with the status, of which it gives a field.
func (o *owner) wants(status int, method, path string, in any, field string) string {
	o.t.Helper()
	got, _, out := o.ask(method, path, in)
	value, found := out[field]
	if got != status || field != "" && !found {
		o.t.Fatalf("%s %s: %d %v, want %d and %s", method, path, got, out, status, field)
	}
	return fmt.Sprint(value)
}

// enrolls sets the phone up.
func (o *owner) enrolls() {
	o.t.Helper()
	id := o.wants(201, "POST", "/phones", map[string]string{"phone_number": o.number, "label": "Phone"}, "id")
	o.wants(200, "POST", "/phones/"+id+"/confirm", map[string]string{"code": o.carrier.code(o.t, o.number)}, "recovery_codes")
}

// waits is how long an answer that refuses to send tells to wait.
func waits(t *testing.T, status int, header http.Header, out map[string]any, code string) time.Duration {
	t.Helper()
	seconds, err := strconv.Atoi(header.Get("Retry-After"))
	if got := out["code"]; status != http.StatusTooManyRequests || err != nil || seconds < 1 || got != code && out["error_code"] != code {
		t.Fatalf("%d %v, Retry-After %q, want 429 %s", status, out, header.Get("Retry-After"), code)
	}
	return time.Duration(seconds) * time.Second
}

// TestSMSByWebhook sends codes by signed POSTs to a receiver. The browser runs no
// scripts.
func TestSMSByWebhook(t *testing.T) {
	c, sender := newReceiver(t)
	testSMS(t, c, sender, 10*time.Second, browser.Options{NoScripts: true})
}

// TestSMSByMail sends codes by mails over STARTTLS, with scripts, and the default
// pause between two codes.
func TestSMSByMail(t *testing.T) {
	c, sender := newPostOffice(t)
	testSMS(t, c, sender, 30*time.Second, browser.Options{})
}

// testSMS has one person use the JSON API, one a browser, and one that a server
// asks, while all is well and while the carrier is down.
func testSMS(t *testing.T, c *carrier, sender string, pause time.Duration, o browser.Options) {
	limits := "per_destination 8"
	if pause != 30*time.Second {
		limits += "\nresend_after " + pause.String()
	}
	apiPort := freeport.Find(t)
	site := strings.Replace(smsSite(sender, apiPort), "LIMITS", limits, 1)
	g := gateway.Start(t, site, gateway.Options{Upstream: newCounter(t).addr})
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the gateway's log:\n%s", g.Log())
		}
	})
	var told secrets
	numbers := 0
	person := func(name string) *owner {
		numbers++
		number := fmt.Sprintf("+4915117%06d", 314159+numbers)
		told.phone(number)
		return &owner{Person: g.NewPerson(name), t: t, carrier: c, number: number}
	}
	server := &backend{t: t, url: "http://127.0.0.1:" + apiPort, key: newKey(t, g, []string{"verify", "grants", "read"}, "VIEW")}
	told.add("API key", server.key)

	// Set up, the third one while the carrier is down.
	ann, bob, cy := person("ann"), person("bob"), person("cy")
	ann.enrolls()
	c.suffer(t, fails)
	pending := cy.wants(503, "POST", "/phones", map[string]string{"phone_number": cy.number}, "id")
	c.suffer(t, noFault)
	cy.wants(200, "POST", "/phones/"+pending+"/send", map[string]string{}, "resend_at")
	cy.wants(200, "POST", "/phones/"+pending+"/confirm", map[string]string{"code": c.code(t, cy.number)}, "recovery_codes")
	failures := 1

	port := g.Host[strings.LastIndex(g.Host, ":"):]
	page := newCustomer(t, browser.Start(t), "http://bob.localhost"+port, o)
	defer page.calm()
	page.Go(page.site + "/view/1")
	page.Sees("Set up a verification method")
	page.Fill("Text message", " ")
	page.Click("Continue")
	page.Fill("Phone number", "+33 6 12 34 56 78")
	page.Click("Send the code")
	page.Sees("This site does not send messages to that number.")
	page.Fill("Phone number", "0"+bob.number[3:]) // as people of the country write it
	page.Click("Send the code")
	page.Sees("Enter the code from the message", "ends in "+bob.number[len(bob.number)-4:])
	page.enters("Enter the code from the message", c.code(t, bob.number), "Finish")
	page.saveCodes()
	page.keeps()
	page.Click("I have saved them, continue")
	page.Sees("application: /view/1 for bob")

	// No other code is sent before the pause is over: each is told when.
	challenge := ann.wants(201, "POST", "/challenges", map[string]string{"action_type": "VIEW"}, "challenge_id")
	left := ann.wants(200, "GET", "/challenges/"+challenge, nil, "attempts_left")
	_, _, me := server.call("GET", "/api/backend/v1/user/cy/mfa", nil)
	phone := regexp.MustCompile(`mfa_phone_id:([0-9a-f-]{36})`).FindStringSubmatch(fmt.Sprint(me))
	if phone == nil || strings.Contains(fmt.Sprint(me), cy.number[3:]) {
		t.Fatalf("the API tells of the phone %v", me)
	}
	ask := map[string]any{"action_type": "VIEW", "user_id": "cy", "mfa_phone_id": phone[1], "grant_type": "TIME_BASED", "valid_for_seconds": 300}
	const stepUp = "/api/backend/v1/mfa/step-up"
	began := time.Now()
	page.Go(page.site + "/wire/1")
	page.Sees("Confirm it’s you", "You can request a code in")
	page.SeesNot("Send the code")
	status, header, out := ann.ask("POST", "/challenges/"+challenge+"/send", map[string]string{})
	if wait := waits(t, status, header, out, "too_many_sends"); wait > pause {
		t.Errorf("another code may be sent after %s, want at most %s", wait, pause)
	}
	status, header, out = server.call("POST", stepUp+"/phone/send", ask)
	if wait := waits(t, status, header, out, "too_many_sends"); wait > pause {
		t.Errorf("the API may send another code after %s, want at most %s", wait, pause)
	}
	time.Sleep(time.Until(began.Add(pause + time.Second)))
	if o.NoScripts {
		page.Reload()
	}
	page.Sees("Send the code")

	// The carrier is down: everybody is told, and nothing is used up.
	for _, f := range []fault{refuses, fails, hangs} {
		c.suffer(t, f)
		if code := ann.wants(503, "POST", "/challenges/"+challenge+"/send", map[string]string{}, "code"); code != "not_sent" {
			t.Errorf("where the carrier %s: %s", f, code)
		}
		page.Click("Send the code")
		page.Sees("The message could not be sent just now. This did not count as an attempt", "Send the code")
		if status := page.Status(); status != http.StatusServiceUnavailable {
			t.Errorf("where the carrier %s the page comes with %d", f, status)
		}
		if status, _, out := server.call("POST", stepUp+"/phone/send", ask); status != http.StatusBadGateway || out["error_code"] != "sms_not_sent" {
			t.Errorf("where the carrier %s: %d %v", f, status, out)
		}
		failures += 3
		if now := ann.wants(200, "GET", "/challenges/"+challenge, nil, "attempts_left"); now != left {
			t.Errorf("where the carrier %s there are %s attempts left of %s", f, now, left)
		}
	}
	if got := metric(t, g, `step_up_decisions_total{action_type="(?:VIEW|WIRE|)",cause="not_sent",event="sms",outcome="refused"}`); got != failures {
		t.Errorf("%d failures are counted, there were %d", got, failures)
	}

	// It is back: the next code is sent at once, and is good.
	c.suffer(t, noFault)
	ann.wants(200, "POST", "/challenges/"+challenge+"/send", map[string]string{}, "resend_at")
	ann.wants(422, "POST", "/challenges/"+challenge+"/verify", map[string]string{"method": "sms", "code": c.code(t, bob.number)}, "attempts_left")
	ann.wants(200, "POST", "/challenges/"+challenge+"/verify", map[string]string{"method": "sms", "code": c.code(t, ann.number)}, "expires_at")
	if status, body := get(t, ann.Person, "/view/1"); status != 200 || body != "application: /view/1 for ann" {
		t.Errorf("with a grant by SMS: %d %s", status, body)
	}
	page.Click("Send the code")
	page.Sees("Code from the text message", "You can request another code in")
	page.enters("Code from the text message", c.code(t, bob.number), "Confirm")
	page.Sees("application: /wire/1 for bob")
	sent := server.must("POST", stepUp+"/phone/send", ask, "challenge_id")
	answer := map[string]any{"challenge_id": sent, "user_id": "cy", "code": c.code(t, cy.number)}
	grant := told.add("grant", server.must("POST", stepUp+"/phone/verify", answer, "step_up_grant"))
	if status, _, out := server.call("POST", stepUp+"/phone/verify", answer); status != http.StatusBadRequest {
		t.Errorf("the code a second time: %d %v", status, out)
	}
	server.must("POST", stepUp+"/verify-grant", map[string]any{"action_type": "VIEW", "user_id": "cy", "grant": grant}, "")

	testCaps(t, c, ann, person, g, strings.Replace(site, limits, limits+"\ntotal 3", 1))

	for _, text := range c.texts {
		for _, one := range text {
			told.code(sixDigits.FindString(one))
		}
	}
	told.search(t, gather(t, g))
}

// testCaps asks for more than may be sent: by ann, who was sent two codes recently,
// to one number, to numbers that are not served, and in all. The Caddyfile of which
// nobody may be sent any more is fewer.
func testCaps(t *testing.T, c *carrier, ann *owner, person func(string) *owner, g *gateway.Gateway, fewer string) {
	t.Helper()
	// A third code in 10 min, and no fourth.
	challenge := ann.wants(201, "POST", "/challenges", map[string]string{"action_type": "WIRE"}, "challenge_id")
	status, header, out := ann.ask("POST", "/challenges/"+challenge+"/send", map[string]string{})
	time.Sleep(waits(t, status, header, out, "too_many_sends"))
	ann.wants(200, "POST", "/challenges/"+challenge+"/send", map[string]string{}, "resend_at")
	before := c.got(ann.number)
	status, header, out = ann.ask("POST", "/challenges/"+challenge+"/send", map[string]string{})
	if wait := waits(t, status, header, out, "too_many_sends"); wait < 4*time.Minute || wait > 10*time.Minute {
		t.Errorf("a fourth code may be sent after %s", wait)
	}
	if c.got(ann.number) != before {
		t.Error("a fourth code was sent")
	}

	// One number that nobody confirmed, whoever claims it: half of the eight.
	crowd := person("first")
	for n := range 5 {
		crowd.Person = g.NewPerson(fmt.Sprintf("crowd%d", n))
		status, header, out := crowd.ask("POST", "/phones", map[string]string{"phone_number": crowd.number})
		if n < 4 && status != http.StatusCreated {
			t.Fatalf("text %d to one number: %d %v", n+1, status, out)
		}
		if n == 4 {
			if wait := waits(t, status, header, out, "too_many_sends"); wait < 23*time.Hour {
				t.Errorf("a fifth text to one number after %s", wait)
			}
		}
	}
	if got := c.got(crowd.number); got != 4 {
		t.Errorf("one number was sent %d texts", got)
	}

	// Numbers to which nothing is sent.
	for name, number := range map[string]string{"another country": "+33612345678", "premium": "+499001234567", "toll-free": "+498001234567", "none": "12", "words": "call me"} {
		_, _, out := person("lost").ask("POST", "/phones", map[string]string{"phone_number": number})
		if out["code"] != "invalid_request" || c.got(number) != 0 {
			t.Errorf("%s: %v", name, out)
		}
	}

	// All together, within the hour.
	if err := g.Load(fewer); err != nil {
		t.Fatal(err)
	}
	status, header, out = person("late").ask("POST", "/phones", map[string]string{"phone_number": "+4915117000000"})
	if wait := waits(t, status, header, out, "too_many_sends"); wait > time.Hour || c.got("+4915117000000") != 0 {
		t.Errorf("beyond the total: after %s", wait)
	}
}

// metric sums the series that a pattern matches, as Prometheus scrapes them.
func metric(t *testing.T, g *gateway.Gateway, pattern string) int {
	t.Helper()
	sum := 0
	pattern = strings.NewReplacer("{", `\{`, "}", `\}`).Replace(pattern)
	for _, found := range regexp.MustCompile(`(?m)^`+pattern+` ([0-9]+)$`).FindAllStringSubmatch(scrape(t, g, "/metrics"), -1) {
		n, _ := strconv.Atoi(found[1])
		sum += n
	}
	return sum
}

// scrape reads from the admin endpoint.
func scrape(t *testing.T, g *gateway.Gateway, path string) string {
	t.Helper()
	resp, err := http.Get("http://" + g.Admin + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v %s", path, err, resp.Status)
	}
	return string(body)
}
