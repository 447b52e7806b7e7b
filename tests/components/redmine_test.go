//go:build components

package components

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/tests/apps"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// redmineSite asks a page of Redmine's: the first one, "/", knows sessions only, and
// the one about the account takes passwords and API keys as well. Redmine keeps the
// session itself in the cookie, so that there is no session_cookie. PAGE and
// CREDENTIALS are replaced.
const redmineSite = `{` + global + `}
http://:GW_PORT {
	bind 127.0.0.1
	step_up {
		tenant t
		identity whoami http://APPLICATIONPAGE {
			regexp ` + "`" + `<div id="loggedas">[^<]*<a class="user active" href="[^"]*">([^<]+)</a></div>` + "`" + `
		}
		CREDENTIALS
		protect CHANGE {
			unsafe
			except /login
			grant time_based 10m
		}
	}
	reverse_proxy GW_UPSTREAM
}
`

// redmineCredentials names the places that Redmine reads credentials from, beside
// those that are always looked for.
const redmineCredentials = `credentials {
			cookie autologin
			header X-Redmine-API-Key
			field key
			deny header X-Redmine-Switch-User
		}`

const urlencoded = "application/x-www-form-urlencoded"

// redmine is Redmine behind a gateway, with what changes something on record.
type redmine struct {
	addr string
	up   *tap
	g    *gateway.Gateway
	next int // the next issue that is there
}

func newRedmine(t *testing.T) *redmine {
	t.Helper()
	r := &redmine{addr: apps.Redmine(t), next: 1}
	r.up = newTap(t, r.addr)
	r.g = gateway.Start(t, r.site("/", ""), gateway.Options{Upstream: r.up.addr})
	return r
}

func (r *redmine) site(page, credentials string) string {
	return strings.NewReplacer("APPLICATION", r.addr, "PAGE", page, "CREDENTIALS", credentials).Replace(redmineSite)
}

var authenticityToken = regexp.MustCompile(`name="authenticity_token" value="([^"]+)"`)

// tokenOn is the token against forged requests of a page's first form.
func tokenOn(t *testing.T, p *gateway.Person, path string) string {
	t.Helper()
	page := visit(t, p, path)
	m := authenticityToken.FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("%s has no form: %.500s", path, page)
	}
	return m[1]
}

// signIn signs in by Redmine's form and lets Redmine remember it.
func (r *redmine) signIn(t *testing.T, name string) *gateway.Person {
	t.Helper()
	p := r.g.NewPerson(name)
	form := url.Values{"authenticity_token": {tokenOn(t, p, "/login")}, "username": {name}, "password": {"password of " + name}, "autologin": {"1"}}
	resp, body, err := p.Do("POST", "/login", map[string]string{"Content-Type": urlencoded, "Sec-Fetch-Site": "same-origin"}, strings.NewReader(form.Encode()))
	if err != nil || resp.StatusCode != http.StatusFound || strings.HasPrefix(resp.Header.Get("Location"), "/.step-up/") {
		t.Fatalf("signing in: %v %v %.500s", resp, err, body)
	}
	return p
}

// thereIs reports whether Redmine has an issue.
func (r *redmine) thereIs(t *testing.T, issue int) bool {
	t.Helper()
	resp, err := http.Get(fmt.Sprintf("http://%s/issues/%d.json?key=%s", r.addr, issue, apps.RedmineKey("alice")))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		return true
	case http.StatusNotFound:
		return false
	}
	t.Fatalf("issue %d: %s", issue, resp.Status)
	return false
}

// attempt is a way to have an issue deleted.
type attempt struct {
	name   string
	format string // of the address: json, xml or none
	query  string
	header map[string]string
	body   string
}

// send deletes an issue at an address, with these cookies, and returns the status.
func (a attempt) send(t *testing.T, base string, issue int, cookie string) int {
	t.Helper()
	req, err := http.NewRequest("DELETE", fmt.Sprintf("%s/issues/%d%s%s", base, issue, a.format, a.query), strings.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	if cookie != "" {
		req.Header.Set("Cookie", cookie)
	}
	for name, value := range a.header {
		req.Header.Set(name, value)
	}
	resp, err := new(http.Transport).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp.StatusCode
}

// TestS21RedmineSecondCredential: in its API formats Redmine goes by an API key or a
// password and not by the session. With the session and the grant of mallory nothing
// is done as alice, wherever her credential is; each attempt works without the gateway.
func TestS21RedmineSecondCredential(t *testing.T) {
	r := newRedmine(t)
	mallory := r.signIn(t, "mallory")
	mallory.Enroll(t, "")
	mallory.StepUp(t, "CHANGE")
	cookie := cookieHeader(r.g, mallory)
	if !strings.Contains(cookie, "autologin=") {
		t.Fatal("Redmine does not remember the sign-in")
	}
	key := apps.RedmineKey("alice")
	header := func(pairs ...string) map[string]string {
		h := make(map[string]string)
		for i := 0; i < len(pairs); i += 2 {
			h[pairs[i]] = pairs[i+1]
		}
		return h
	}
	refused := func(t *testing.T, attempts []attempt) {
		for _, a := range attempts {
			t.Run(a.name, func(t *testing.T) {
				if a.format == "" {
					a.format = ".json"
				}
				issue := r.next
				r.next++
				r.up.take()
				status := a.send(t, r.g.URL, issue, cookie)
				if came := r.up.take(); len(came) != 0 || !r.thereIs(t, issue) {
					t.Fatalf("answered with %d, and Redmine got %q", status, came)
				}
				if status != http.StatusBadRequest {
					t.Errorf("%d, want 400", status)
				}
				if status := a.send(t, "http://"+r.addr, issue, cookie); r.thereIs(t, issue) {
					t.Errorf("without the gateway it is answered with %d and nothing is deleted, so that this shows nothing", status)
				}
			})
		}
	}
	basic := func(user, password string) string {
		req := &http.Request{Header: make(http.Header)}
		req.SetBasicAuth(user, password)
		return req.Header.Get("Authorization")
	}
	password, mallorys := basic("alice", "password of alice"), apps.RedmineKey("mallory")
	always := []attempt{
		{name: "a password", header: header("Authorization", password)},
		{name: "a password, to XML", format: ".xml", header: header("Authorization", password)},
		{name: "a password, another spelling", header: header("Authorization", "bAsIc"+strings.TrimPrefix(password, "Basic"))},
		{name: "a key as a password", header: header("Authorization", basic(key, "x"))},
		{name: "a key in a header", header: header("X-Redmine-API-Key", key)},
		{name: "a key in the query", query: "?key=" + key},
		{name: "an escaped key", query: "?%6bey=%" + fmt.Sprintf("%x", key[0]) + key[1:]},
		{name: "a key behind others", query: "?key=&a=b&key=" + key},
		{name: "somebody else's name, beside a password", header: header("Authorization", basic("mallory", "password of mallory"), "X-Redmine-Switch-User", "alice")},
		{name: "somebody else's name, beside a key", query: "?key=" + mallorys, header: header("X-Redmine-Switch-User", "alice")},
	}
	t.Run("always", func(t *testing.T) { refused(t, always) })

	if err := r.g.Load(r.site("/my/account", redmineCredentials)); err != nil {
		t.Fatal(err)
	}
	t.Run("named", func(t *testing.T) {
		refused(t, always)
		refused(t, []attempt{
			{name: "a key in a form", body: "key=" + key, header: header("Content-Type", urlencoded)},
			{name: "an escaped key in a form", body: "a=b&%6bey=" + key, header: header("Content-Type", urlencoded)},
			{name: "a key in a form of parts", body: "--b\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\n" + key + "\r\n--b--\r\n", header: header("Content-Type", "multipart/form-data; boundary=b")},
			{name: "a key in JSON", body: `{"key": "` + key + `"}`, header: header("Content-Type", "application/json")},
			{name: "a key in XML", body: "<key>" + key + "</key>", header: header("Content-Type", "application/xml")},
			{name: "somebody else's name, beside mallory's key", header: header("X-Redmine-API-Key", mallorys, "X-Redmine-Switch-User", "alice")},
		})
		// Two sign-ins that Redmine remembers, and the session of one of them.
		alice := r.signIn(t, "alice")
		_, after, _ := strings.Cut(cookieHeader(r.g, alice), "autologin=")
		hers, _, _ := strings.Cut(after, ";")
		_, after, _ = strings.Cut(cookie, "autologin=")
		his, _, _ := strings.Cut(after, ";")
		mixed := strings.Replace(cookie, his, hers, 1)
		if status := (attempt{}).send(t, r.g.URL, r.next, mixed); status != http.StatusBadRequest || !r.thereIs(t, r.next) {
			t.Errorf("a remembered sign-in of another: %d, want 400", status)
		}
	})
	t.Run("honest", r.honest)
}

// honest does what people and programs do with one credential, or with several of
// their own, on the issues from the next one on.
func (r *redmine) honest(t *testing.T) {
	gone := func(issue int) bool { return !r.thereIs(t, issue) }
	at := func(n int) string { return fmt.Sprint("/issues/", r.next+n) }

	// A form, held until there is a proof: Rails accepts its own token afterwards.
	p := r.signIn(t, "alice")
	p.Enroll(t, "")
	form := url.Values{"authenticity_token": {tokenOn(t, p, at(0))}, "_method": {"delete"}}
	challenge, err := sendForm(p, at(0), form.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if gone(r.next) {
		t.Fatal("an issue is deleted without a proof")
	}
	if resp, body, err := p.Do("GET", prove(t, p, challenge), cameBack, nil); err != nil || resp.StatusCode != http.StatusFound || !gone(r.next) {
		t.Errorf("coming back: %v %v %.500s", resp, err, body)
	}
	p.StepUp(t, "CHANGE")
	form = url.Values{"authenticity_token": {tokenOn(t, p, at(1)+"/edit")}, "_method": {"patch"}, "issue[subject]": {"Täglich & neu"}, "issue[custom_field_values][1]": {"B 12"}}
	resp, body, err := p.Do("POST", at(1), map[string]string{"Content-Type": urlencoded, "Sec-Fetch-Site": "same-origin"}, strings.NewReader(form.Encode()))
	if err != nil || resp.StatusCode != http.StatusFound {
		t.Errorf("changing an issue: %v %v %.500s", resp, err, body)
	}
	if page := visit(t, p, at(1)); !strings.Contains(page, "Täglich &amp; neu") || !strings.Contains(page, "B 12") {
		t.Error("the issue is not changed")
	}
	// Signed in, and with an own key as well.
	if status := (attempt{format: ".json", header: map[string]string{"X-Redmine-API-Key": apps.RedmineKey("alice")}}).send(t, r.g.URL, r.next+2, cookieHeader(r.g, p)); status >= 300 || !gone(r.next+2) {
		t.Errorf("a session and a key of one person: %d", status)
	}

	// Programs, which have no session and get the challenge as JSON.
	for n, header := range []map[string]string{
		{"Authorization": "Basic " + "YWxpY2U6cGFzc3dvcmQgb2YgYWxpY2U="}, // alice:password of alice
		{"X-Redmine-API-Key": apps.RedmineKey("alice")},
	} {
		program := r.g.NewPerson("alice")
		program.App = p.App
		for name, value := range header {
			program.Client.Transport = withField{name, value, program.Client.Transport}
		}
		issue := r.next + 3 + n
		a := attempt{format: ".json", header: header}
		if status := a.send(t, r.g.URL, issue, ""); status != http.StatusUnauthorized || gone(issue) {
			t.Errorf("%v, without a proof: %d", header, status)
		}
		program.StepUp(t, "CHANGE")
		p.App = program.App // the codes that are used up
		if status := a.send(t, r.g.URL, issue, cookieHeader(r.g, program)); status >= 300 || !gone(issue) {
			t.Errorf("%v: %d", header, status)
		}
		resp, body, err := program.Do("POST", "/issues.json", map[string]string{"Content-Type": "application/json"}, strings.NewReader(`{"issue": {"project_id": 1, "subject": "by JSON", "custom_fields": [{"id": 1, "value": "x"}]}}`))
		if err != nil || resp.StatusCode != http.StatusCreated {
			t.Errorf("%v: creating an issue: %v %v %.300s", header, resp, err, body)
		}
	}
}

// withField adds a header field to every request.
type withField struct {
	name, value string
	http.RoundTripper
}

func (w withField) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set(w.name, w.value)
	return w.RoundTripper.RoundTrip(r)
}
