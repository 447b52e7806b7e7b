//go:build components

package components

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/freeport"
	"github.com/stepup-gateway/caddy-stepup/tests/browser"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// secrets are what must be found nowhere, with their names.
type secrets struct {
	names map[string]string // by secret
	codes map[string]bool   // the secrets that are a few digits
}

// add notes a secret, and gives it.
func (s *secrets) add(name, secret string) string {
	if s.names == nil {
		s.names, s.codes = make(map[string]string), make(map[string]bool)
	}
	if secret == "" {
		panic("no " + name)
	}
	s.names[secret] = name
	return secret
}

// code notes a code of a few digits, and gives it.
func (s *secrets) code(code string) string {
	s.add("code", code)
	s.codes[code] = true
	return code
}

// phone notes a phone number as all the world writes it.
func (s *secrets) phone(number string) {
	digits := strings.TrimPrefix(number, "+")
	for _, form := range []string{number, digits, "00" + digits, "0" + digits[2:], digits[len(digits)-7:]} {
		s.add("phone number", form)
	}
}

// recovery notes a recovery code.
func (s *secrets) recovery(code string) string {
	s.add("recovery code", strings.ReplaceAll(code, "-", ""))
	return s.add("recovery code", code)
}

// app notes the secret of an authenticator app.
func (s *secrets) app(a *gateway.App) {
	s.add("secret", a.Key.Base32())
	s.add("secret", string(a.Key.Secret))
}

// writings are the ways in which something may be written. Base64 has three,
// by where in the text the secret begins; what it shares with its neighbours is
// left out.
func writings(secret string) []string {
	inHex := hex.EncodeToString([]byte(secret))
	all := []string{secret, url.QueryEscape(secret), url.PathEscape(secret), inHex, strings.ToUpper(inHex)}
	for _, quoted := range []string{fmt.Sprintf("%q", secret), jsonText(secret)} {
		all = append(all, strings.Trim(quoted, `"`))
	}
	for before := range 3 {
		text := strings.Repeat("\x00", before) + secret
		first, end := (8*before+5)/6, len(text)*8/6
		all = append(all, base64.RawStdEncoding.EncodeToString([]byte(text))[first:end], base64.RawURLEncoding.EncodeToString([]byte(text))[first:end])
	}
	return all
}

func jsonText(s string) string {
	text, _ := json.Marshal(s) // strings always can be
	return string(text)
}

// numeric are the fields of log lines that are numbers and no code, though one may
// look like it by chance.
var numeric = regexp.MustCompile(`"(?:ts|duration|latency|size|bytes_read|decided_at|remote_port|[a-z_]*_(?:seconds|bytes))":"?[0-9.e:TZ+-]+|"(?:User-Agent|Date|Last-Modified|Etag)":\[[^\]]*\]|(?m)^(?:go|process|promhttp|caddy)_[^\n]*$`)

// found lists the secrets that stand in a text.
func (s *secrets) found(text string) (found []string) {
	plain := numeric.ReplaceAllString(text, "")
	for secret, name := range s.names {
		for _, as := range writings(secret) {
			where := strings.Index(text, as)
			if s.codes[secret] && as == secret {
				// Digits alone: in a longer number they are no code.
				where = -1
				if at := regexp.MustCompile(`(?:^|[^0-9.]|%[0-9A-F]{2})` + as + `(?:[^0-9]|$)`).FindStringIndex(plain); at != nil {
					where = strings.Index(text, plain[at[0]:at[1]])
				}
			}
			if where >= 0 {
				found = append(found, fmt.Sprintf("%s %q, in …%q…", name, as, text[max(0, where-120):min(len(text), where+len(as)+40)]))
				break
			}
		}
	}
	return found
}

// search ends the test badly where a secret is found in one of the texts.
func (s *secrets) search(t *testing.T, texts map[string]string) {
	t.Helper()
	if len(s.names) < 10 {
		t.Errorf("there are no more than %d secrets to be looked for", len(s.names))
	}
	for where, text := range texts {
		for _, found := range s.found(text) {
			t.Errorf("%s holds: %s", where, found)
		}
	}
}

// gather reads what a gateway wrote and what it shows to operators: its output, its
// files but for key and database, its metrics and its configuration.
func gather(t *testing.T, g *gateway.Gateway) map[string]string {
	t.Helper()
	all := map[string]string{"the output": g.Log(), "the metrics": scrape(t, g, "/metrics"), "the configuration": scrape(t, g, "/config/")}
	err := filepath.WalkDir(g.Dir, func(path string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel(g.Dir, path)
		if err != nil || name == "data" && d.IsDir() {
			return fs.SkipDir
		}
		if d.IsDir() || name == "key" {
			return nil
		}
		text, err := os.ReadFile(path)
		all["the file "+name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// The search finds what is there, however it is written and wherever it begins.
func TestSecretsAreFound(t *testing.T) {
	for _, secret := range []string{"sug_c2VjcmV0LXRva2Vu", "+4915117314159", "481632", "raw\x00\xff\n\"secret\""} {
		var s secrets
		if s.add("secret", secret); len(secret) == 6 {
			s.code(secret)
		}
		for before := range 4 {
			text := strings.Repeat("x", before) + " " + secret + " and more"
			for name, written := range map[string]string{
				"as it is": text, "in a URL": url.QueryEscape(text), "in a path": url.PathEscape(text), "in JSON": `{"a":` + jsonText(text) + `}`,
				"in hex": hex.EncodeToString([]byte(text)), "in capital hex": strings.ToUpper(hex.EncodeToString([]byte(text))), "quoted": fmt.Sprintf("%q", text),
				"in base64": base64.StdEncoding.EncodeToString([]byte(text)), "in base64url": base64.RawURLEncoding.EncodeToString([]byte(text)),
			} {
				if len(s.found(written)) == 0 {
					t.Errorf("%q is not found %s after %d bytes", secret, name, before)
				}
			}
		}
		if found := s.found(`{"ts":1763834691.481632,"duration":0.481632,"port":4816321,"what":"nothing"}`); found != nil {
			t.Errorf("found where it is not: %q", found)
		}
	}
}

// journeyGlobal logs everything, to two places, and keeps the configuration.
const journeyGlobal = `
	debug
	metrics
	log {
		output stderr
		format console
		level DEBUG
	}
	log second {
		output file GW_DIR/caddy.log
		format json
		level DEBUG
	}
`

// TestS13Journey goes all ways that there are, right and wrong, with logs at DEBUG
// and access logs, and looks for everything secret wherever an operator, or who
// reads an operator's logs, could see it.
func TestS13Journey(t *testing.T) {
	carrier, sender := newReceiver(t)
	apiPort := freeport.Find(t)
	site := strings.Replace(bank("protect SESSION /session {\ngrant time_based 10m\naccept api\n}"), "\t\tallow_plain_http\n",
		"\t\tallow_plain_http\n\t\tsms {\ncountry DE\nlimits {\nresend_after 10s\n}\nsender "+sender+"\n}\n", 1)
	site = strings.Replace(site, "\tpersist_config off\n", journeyGlobal, 1)
	global, people, _ := strings.Cut(site, "http://:GW_PORT {")
	people = "\tlog {\n\t\toutput file GW_DIR/access.log\n\t\tformat json\n\t}\n" + people
	site = global + "http://:GW_PORT {\n" + people + "\nhttp://*.localhost:GW_PORT {\n" +
		strings.Replace(people, "{http.request.header.X-Test-User}", "{http.request.host.labels.1}", 1) +
		"\nhttp://127.0.0.1:" + apiPort + ` {
	bind 127.0.0.1
	log
	vars user {http.request.header.X-Test-User}
	step_up_api {
		tenant t
		identity placeholder {http.vars.user}
	}
}
`
	g := gateway.Start(t, site, gateway.Options{Upstream: newCounter(t).addr})
	j := &journey{t: t, g: g, carrier: carrier, api: &backend{t: t, url: "http://127.0.0.1:" + apiPort}}
	j.add("secret of the webhook", carrierSecret)
	key, err := os.ReadFile(filepath.Join(g.Dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range strings.Fields(string(key)) {
		if len(word) > 20 {
			j.add("key of the database", word)
		}
	}
	for name, part := range map[string]func(){
		"in a program": j.program, "by phone": j.phone, "in a browser": j.browser, "of an operator": j.operator,
		"quickstart": j.quickstart, "tenants and secrets": j.others, "servers": j.servers,
	} {
		t.Run(name, func(t *testing.T) {
			j.t, j.api.t = t, t
			part()
		})
	}
	j.t = t

	// The logs are what they are thought to be.
	time.Sleep(100 * time.Millisecond)
	texts := gather(t, g)
	for where, wanted := range map[string][]string{
		"the output":          {"DEBUG", "step_up.audit", "handled request", "admin.api", `"uri": "/step_up/`},
		"the file caddy.log":  {`"level":"debug"`, `"confirm done"`, `"sms sent"`, `"sms refused"`, "a code could not be sent", "a QR code was asked for"},
		"the file access.log": {"/.step-up/api/totp", "/verify", "/wire/", "/.step-up/enroll"},
		"the metrics":         {`event="sms",outcome="sent"`, `step_up_requests_total`},
		"the configuration":   {`"step_up"`, "{env.TEST_SMS_SECRET}"},
		filepath.Join("the file xdg-config", "caddy", "autosave.json"): {`"step_up"`},
	} {
		for _, want := range wanted {
			if !strings.Contains(texts[where], want) {
				t.Errorf("%s is not what it should be: there is no %s in it", where, want)
			}
		}
	}
	if len(j.names) < 80 {
		t.Errorf("the journey is short: %d secrets", len(j.names))
	}
	j.search(t, texts)
}

// journey is all that people, servers and operators do.
type journey struct {
	secrets
	t       *testing.T
	g       *gateway.Gateway
	carrier *carrier
	api     *backend
}

func (j *journey) check(doing string, err error) {
	j.t.Helper()
	if err != nil {
		j.t.Fatalf("%s: %v", doing, err)
	}
}

// cookies notes what the person's cookies hold.
func (j *journey) cookies(p *gateway.Person) {
	j.t.Helper()
	at, _ := url.Parse(j.g.URL)
	all := p.Client.Jar.Cookies(at)
	if len(all) == 0 {
		j.t.Error("there are no cookies")
	}
	for _, c := range all {
		if len(c.Value) > 15 {
			j.add("cookie "+c.Name, c.Value)
		}
	}
}

// enroll sets an authenticator app up, after a wrong code.
func (j *journey) enroll(p *gateway.Person, invite string) {
	j.t.Helper()
	in := map[string]string{"label": "Pixel"}
	if invite != "" {
		in["invite"] = invite
	}
	var begun struct {
		ID, Secret string
		URI        string `json:"otpauth_uri"`
	}
	_, err := p.API("POST", "/totp", in, &begun)
	j.check("enrolling", err)
	p.App, err = gateway.NewApp(begun.Secret)
	j.check("reading the secret", err)
	j.app(&p.App)
	j.add("otpauth URI", begun.URI)
	_, _ = p.API("POST", "/totp/"+begun.ID+"/confirm", map[string]string{"code": j.code(p.WrongCode())}, nil)
	var done struct {
		RecoveryCodes []string `json:"recovery_codes"`
	}
	_, err = p.API("POST", "/totp/"+begun.ID+"/confirm", map[string]string{"code": j.code(p.Code(j.t))}, &done)
	j.check("confirming", err)
	if len(done.RecoveryCodes) > 0 {
		p.RecoveryCodes = done.RecoveryCodes
		for _, code := range done.RecoveryCodes {
			j.recovery(code)
		}
	}
}

// proves answers a challenge for the action type, and notes grant and cookies.
func (j *journey) proves(p *gateway.Person, action, method, code string) {
	j.t.Helper()
	id, err := p.Begin(action)
	j.check("beginning "+action, err)
	var won struct{ Grant string }
	_, err = p.API("POST", "/challenges/"+id+"/verify", map[string]string{"method": method, "code": code}, &won)
	j.check("proving "+action, err)
	j.add("grant", won.Grant)
	j.cookies(p)
}

// program uses the JSON API.
func (j *journey) program() {
	p := j.g.NewPerson("ann")
	j.enroll(p, "")
	j.proves(p, "VIEW", "totp", j.code(p.Code(j.t)))
	j.proves(p, "WIRE", "recovery_code", p.RecoveryCodes[0])
	for range 2 { // the grant, and a second time none
		_, _, err := p.Do("POST", "/wire/1", map[string]string{"Content-Type": "application/json"}, strings.NewReader("{}"))
		j.check("using the grant", err)
	}
	// What is wrong: a used code, another's, codes where they do not belong.
	id, err := p.Begin("VIEW")
	j.check("beginning", err)
	used := p.RecoveryCodes[0]
	for _, in := range []any{
		map[string]string{"method": "recovery_code", "code": used}, map[string]string{"method": "totp", "code": j.code(p.WrongCode())},
		map[string]string{"method": j.code(p.Code(j.t)), "code": "x"}, map[string]string{p.RecoveryCodes[1]: "x"}, []string{p.RecoveryCodes[2]},
	} {
		_, _ = p.API("POST", "/challenges/"+id+"/verify", in, nil)
	}
	// A browser without scripts: the form is held, and goes on.
	resp, _, err := p.Do("POST", "/wire/2", map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "document", "Accept": "text/html"},
		strings.NewReader("amount=1"))
	j.check("sending the form", err)
	to := resp.Header.Get("Location")
	_, page, err := p.Do("GET", to, map[string]string{"Accept": "text/html"}, nil)
	j.check("seeing the challenge", err)
	token := regexp.MustCompile(`name="csrf_token" value="([^"]+)"`).FindSubmatch(page)
	if token == nil {
		j.t.Fatalf("there is no form at %s", to)
	}
	form := url.Values{"csrf_token": {j.add("form's token", string(token[1]))}, "method": {"totp"}, "code": {j.code(p.Code(j.t))}}
	resp, _, err = p.Do("POST", to, map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}, strings.NewReader(form.Encode()))
	j.check("answering the challenge", err)
	resume := regexp.MustCompile(`/wire/2\?step_up_resume=[A-Za-z0-9_-]+`).FindString(resp.Header.Get("Refresh"))
	if resume == "" {
		j.t.Fatalf("after the answer: %s %v", resp.Status, resp.Header)
	}
	j.cookies(p)
	resp, page, err = p.Do("GET", resume, map[string]string{"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "document", "Accept": "text/html"}, nil)
	if err != nil || resp.StatusCode != 200 || !strings.Contains(string(page), "application: /wire/2") {
		j.t.Fatalf("going on: %v %v %s", err, resp.Status, page)
	}
	// The account is looked after, for a grant each.
	manage := func(method, path string, in any) {
		var refused struct {
			Challenge string `json:"challenge_id"`
		}
		resp, content, err := p.Do(method, "/.step-up/api"+path, map[string]string{"Content-Type": "application/json"}, strings.NewReader(jsonOf(in)))
		j.check(path, err)
		if err := json.Unmarshal(content, &refused); err != nil || refused.Challenge == "" {
			j.t.Fatalf("%s: %s %s", path, resp.Status, content)
		}
		_, err = p.API("POST", "/challenges/"+refused.Challenge+"/verify", map[string]string{"method": "totp", "code": j.code(p.Code(j.t))}, nil)
		j.check("proving for "+path, err)
		j.cookies(p)
	}
	manage("POST", "/recovery-codes", struct{}{})
	var renewed struct {
		Codes []string `json:"recovery_codes"`
	}
	_, err = p.API("POST", "/recovery-codes", nil, &renewed)
	j.check("renewing", err)
	for _, code := range renewed.Codes {
		j.recovery(code)
	}
	manage("POST", "/totp", map[string]string{"label": "tablet"})
	j.enroll(p, "")
	for _, path := range []string{"/me", "/activity"} {
		_, err = p.API("GET", path, nil, nil)
		j.check(path, err)
	}
}

func jsonOf(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// phone sets a phone up, while the network is down and after, and steps up by it.
func (j *journey) phone() {
	o := &owner{Person: j.g.NewPerson("bob"), t: j.t, carrier: j.carrier, number: "+4915117271828"}
	j.secrets.phone(o.number)
	j.secrets.phone("+33612345678")
	o.wants(422, "POST", "/phones", map[string]string{"phone_number": "+33612345678"}, "code")
	o.wants(422, "POST", "/phones", map[string]string{"phone_number": o.number + "0000000"}, "code")
	j.carrier.suffer(j.t, fails)
	id := o.wants(503, "POST", "/phones", map[string]string{"phone_number": "0" + o.number[3:]}, "id")
	j.carrier.suffer(j.t, noFault)
	o.wants(200, "POST", "/phones/"+id+"/send", map[string]string{}, "resend_at")
	_, _ = o.API("POST", "/phones/"+id+"/confirm", map[string]string{"code": "000000"}, nil)
	var done struct {
		RecoveryCodes []string `json:"recovery_codes"`
	}
	_, err := o.API("POST", "/phones/"+id+"/confirm", map[string]string{"code": j.code(j.carrier.code(j.t, o.number))}, &done)
	j.check("confirming", err)
	for _, code := range done.RecoveryCodes {
		j.recovery(code)
	}
	time.Sleep(10 * time.Second)
	challenge := o.wants(201, "POST", "/challenges", map[string]string{"action_type": "VIEW"}, "challenge_id")
	o.wants(200, "POST", "/challenges/"+challenge+"/send", map[string]string{}, "resend_at")
	o.wants(429, "POST", "/challenges/"+challenge+"/send", map[string]string{}, "code")
	j.add("grant", o.wants(200, "POST", "/challenges/"+challenge+"/verify", map[string]string{"method": "sms", "code": j.code(j.carrier.code(j.t, o.number))}, "grant"))
	j.cookies(o.Person)
}

// browser uses the pages, with scripts.
func (j *journey) browser() {
	c := newCustomer(j.t, browser.Start(j.t), "http://cleo.localhost"+j.g.Host[strings.LastIndex(j.g.Host, ":"):], browser.Options{})
	defer c.calm()
	c.Go(c.site + "/view/1")
	c.Sees("Set up a verification method")
	c.Fill("Authenticator app", " ")
	c.Click("Continue")
	c.Sees("Scan this QR code with your app")
	c.Toggle("Cannot scan it?")
	c.app = c.readApp()
	j.app(c.app)
	c.Fill("Enter the code", j.code(c.app.Code(j.t)))
	c.saveCodes()
	for _, code := range c.codes {
		j.recovery(code)
	}
	c.keeps()
	c.Click("I have saved them, continue")
	c.Sees("application: /view/1 for cleo")
	c.Go(c.site + "/wire/1")
	c.Sees("Confirm it’s you")
	c.Fill("Code from your authenticator app", j.code(c.app.WrongCode()))
	c.Sees("That code didn’t work.")
	c.Click("Use a recovery code instead")
	c.Fill("Recovery code", c.codes[3])
	c.Click("Confirm")
	c.Sees("application: /wire/1 for cleo")

	c.Device()
	c.Go(c.site + "/.step-up/")
	c.Click("Add a verification method")
	c.Fill("Code from your authenticator app", j.code(c.app.Code(j.t)))
	c.Fill("Passkey", " ")
	c.Click("Continue")
	c.Click("Create a passkey")
	c.Sees("The verification method was added.")
	c.Go(c.site + "/wire/2")
	c.Click("Use your passkey")
	c.Sees("application: /wire/2 for cleo")
	for _, cookie := range c.Cookies() {
		if len(cookie.Value) > 15 {
			j.add("cookie "+cookie.Name, cookie.Value)
		}
	}
}

// operator invites, resets, unlocks and revokes, and makes and revokes keys.
func (j *journey) operator() {
	p := j.g.NewPerson("dora")
	j.enroll(p, "")
	for range 6 {
		id, err := p.Begin("VIEW")
		if err != nil {
			break
		}
		_, _ = p.Verify(id, "totp", j.code(p.WrongCode()))
	}
	run := func(args ...string) string {
		j.t.Helper()
		out, err := j.g.StepUp(args...)
		j.check(strings.Join(args, " ")+": "+out, err)
		return out
	}
	run("unlock", "dora")
	j.proves(p, "VIEW", "totp", j.code(p.Code(j.t)))
	run("revoke", "dora")
	run("reset", "dora")
	invite := regexp.MustCompile(`([0-9A-Z]{4}-){5}[0-9A-Z]{4}`).FindString(run("invite", "dora", "--json"))
	j.add("invite", invite)
	_, _ = p.API("POST", "/totp", map[string]string{"invite": j.add("invite", "sui_bm90LWFuLWludml0ZS1vZi1vdXJz")}, nil)
	j.enroll(p, invite)
	run("users", "dora")
	run("explain", "GET", j.g.URL+"/view/1")

	var made struct{ ID, Key string }
	out := run("keys", "create", "--tenant", "t", "--scope", "read", "--json")
	j.check(out, json.Unmarshal([]byte(out[strings.Index(out, "{"):]), &made))
	b := &backend{t: j.t, url: j.api.url, key: j.add("API key", made.Key)}
	const path = "/api/backend/v1/user/dora/mfa"
	b.must("GET", path, nil, "")
	run("keys", "list")
	run("keys", "revoke", made.ID)
	if status, _, out := b.call("GET", path, nil); status != http.StatusUnauthorized {
		j.t.Errorf("with a revoked key: %d %v", status, out)
	}
	_ = scrape(j.t, j.g, "/metrics")
	_ = scrape(j.t, j.g, "/config/")
}

// newServer is a server with a key of its own, for what one key may.
func (j *journey) newServer() *backend {
	j.t.Helper()
	key := newKey(j.t, j.g, []string{"enroll", "verify", "grants", "read", "reset"}, "WIRE", "VIEW", "SESSION")
	j.add("API key", key)
	return &backend{t: j.t, url: j.api.url, key: key}
}

// quickstart enrolls by an image that is asked for without a key, and gets session
// tokens.
func (j *journey) quickstart() {
	b := j.newServer()
	_, _, begun := b.call("POST", "/v1/mfa/enroll", map[string]string{"user_id": "eve", "method": "totp"})
	id := j.add("id that shows a secret", fmt.Sprint(begun["enrollment_id"]))
	j.add("id that shows a secret", strings.TrimPrefix(id, "enr_"))
	app := j.appOf(fmt.Sprint(begun["totp_uri"]))
	image := fmt.Sprint(begun["qr_code_url"])
	resp, err := http.Get(image)
	j.check("asking for the image", err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "image/png" {
		j.t.Fatalf("the image: %s", resp.Status)
	}
	verify := func(code string) (int, map[string]any) {
		status, _, out := b.call("POST", "/v1/mfa/verify", map[string]string{"enrollment_id": id, "totp_code": j.code(code)})
		return status, out
	}
	if status, out := verify(app.WrongCode()); status != 401 {
		j.t.Errorf("a wrong code: %d %v", status, out)
	}
	for range 2 {
		status, out := verify(app.Code(j.t))
		if status != 200 {
			j.t.Fatalf("verifying: %d %v", status, out)
		}
		j.add("session token", fmt.Sprint(out["session_token"]))
	}
	_, _, out := b.call("POST", "/v1/mfa/backup", map[string]string{"user_id": "eve"})
	codes, _ := out["backup_codes"].([]any)
	if len(codes) == 0 {
		j.t.Fatalf("backup codes: %v", out)
	}
	for _, code := range codes {
		j.recovery(code.(string))
	}
	resp, err = http.Get(image)
	j.check("asking for the image again", err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		j.t.Errorf("the image after the confirmation: %s", resp.Status)
	}
}

// appOf is the app that scanned a URI.
func (j *journey) appOf(uri string) *gateway.App {
	j.t.Helper()
	j.add("otpauth URI", uri)
	read, err := url.Parse(uri)
	j.check("reading "+uri, err)
	app, err := gateway.NewApp(read.Query().Get("secret"))
	j.check("reading the secret", err)
	j.app(&app)
	return &app
}

// others are the two dialects in which people's own tokens are taken too.
func (j *journey) others() {
	b := j.newServer()
	j.appOf(b.must("POST", "/v1/users/me/mfa/totp", struct{}{}, "qr_uri", "X-Tenant-ID", "t", "X-Test-User", "fay"))

	status, _, made := b.call("POST", "/users/gus/secrets", map[string]string{"type": "mfa"}, "Authorization", "jwt "+b.key)
	secret, _ := made["secret"].(map[string]any)
	if status != 200 || secret == nil {
		j.t.Fatalf("making a secret: %d %v", status, made)
	}
	app := j.appOf(fmt.Sprint(secret["otpauth_url"]))
	at := fmt.Sprintf("/users/gus/secrets/%s/enroll", made["id"])
	if status, _, out := b.call("PUT", at, map[string]string{"token": j.code(app.WrongCode())}); status != 400 {
		j.t.Errorf("a wrong code: %d %v", status, out)
	}
	status, _, active := b.call("PUT", at, map[string]string{"token": j.code(app.Code(j.t))})
	codes, _ := active["codes"].([]any)
	if status != 200 || len(codes) == 0 {
		j.t.Fatalf("activating: %d %v", status, active)
	}
	for _, code := range codes {
		j.recovery(code.(string))
	}
}

// servers prove and spend grants for people who enrolled in the browser, by apps
// and by phones.
func (j *journey) servers() {
	b := j.newServer()
	const stepUp = "/api/backend/v1/mfa/step-up"
	p := j.g.NewPerson("hal")
	j.enroll(p, "")
	proof := func(code string) map[string]any {
		return map[string]any{"action_type": "WIRE", "user_id": "hal", "code": j.code(code), "grant_type": "ONE_TIME_USE", "valid_for_seconds": 60}
	}
	b.must("GET", "/api/v1/token_verification_metadata", nil, "")
	b.must("GET", "/api/backend/v1/user/hal/mfa", nil, "")
	b.call("POST", stepUp+"/verify-totp", proof(p.WrongCode()))
	grant := j.add("grant", b.must("POST", stepUp+"/verify-totp", proof(p.Code(j.t)), "step_up_grant"))
	for range 2 {
		b.call("POST", stepUp+"/verify-grant", map[string]any{"action_type": "WIRE", "user_id": "hal", "grant": grant})
	}
	stranger := &backend{t: j.t, url: b.url, key: j.add("API key", "suk_bm90LWEta2V5LW9mLW91cnMtYXQtYWxs")}
	if status, _, _ := stranger.call("POST", stepUp+"/verify-grant", map[string]any{"grant": grant}); status != 401 {
		j.t.Errorf("with a key that is none: %d", status)
	}

	o := &owner{Person: j.g.NewPerson("ida"), t: j.t, carrier: j.carrier, number: "+4915117161803"}
	j.secrets.phone(o.number)
	o.enrolls()
	j.code(j.carrier.code(j.t, o.number))
	_, _, me := b.call("GET", "/api/backend/v1/user/ida/mfa", nil)
	phone := regexp.MustCompile(`mfa_phone_id:([0-9a-f-]{36})`).FindStringSubmatch(fmt.Sprint(me))
	if phone == nil {
		j.t.Fatalf("the API tells of the phone %v", me)
	}
	time.Sleep(10 * time.Second)
	sent := b.must("POST", stepUp+"/phone/send", map[string]any{"action_type": "VIEW", "user_id": "ida", "mfa_phone_id": phone[1], "grant_type": "TIME_BASED", "valid_for_seconds": 300}, "challenge_id")
	answer := map[string]any{"challenge_id": sent, "user_id": "ida", "code": j.code(j.carrier.code(j.t, o.number))}
	j.add("grant", b.must("POST", stepUp+"/phone/verify", answer, "step_up_grant"))
	b.must("POST", "/api/backend/v1/user/hal/disable_2fa", struct{}{}, "")
}
