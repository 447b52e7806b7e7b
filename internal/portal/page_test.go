package portal

import (
	"context"
	"errors"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/invite"
	"github.com/stepup-gateway/caddy-stepup/totp"
)

func nobody(*http.Request) (ceremony.Principal, error) { return ceremony.Principal{}, ErrNobody }
func noReport(context.Context, error)                  {}

// secretOn reads the key from an enrollment page as a scanner would.
func secretOn(t *testing.T, body string) string {
	t.Helper()
	m := regexp.MustCompile(`href="(otpauth://totp/[^"]*)"`).FindStringSubmatch(body)
	if m == nil {
		t.Fatalf("no otpauth link in %s", strip(body))
	}
	u, err := url.Parse(html.UnescapeString(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("secret")
}

// link finds the one button that is a link.
func link(t *testing.T, body, words string) string {
	t.Helper()
	m := regexp.MustCompile(`href="([^"]*)"[^>]*>` + regexp.QuoteMeta(words) + `<`).FindStringSubmatch(body)
	if m == nil {
		t.Fatalf("no link %q in %s", words, strip(body))
	}
	return html.UnescapeString(m[1])
}

func TestPeopleEnrolOnTheWayToTheAction(t *testing.T) {
	s := newSite(t)
	c := s.browser("alice")
	id := c.begin(reports, "/reports/q?x=1&y=2")
	start := c.get(Prefix + "challenge/" + id).to(t)
	if start != "/.step-up/enroll?challenge="+id {
		t.Fatalf("sent to %s", start)
	}
	page := c.get(start).wantPage(t, 200, "Set up an authenticator app")
	if !strings.Contains(page.body, "Withdraw funds") {
		t.Error("the page does not say what for")
	}
	shown := c.post(Prefix+"enroll", url.Values{"label": {"Phone"}, "challenge": {id}}).to(t)
	page = c.get(shown).wantPage(t, 200, "Set up an authenticator app")
	secret := secretOn(t, page.body)
	if again := c.get(shown); secretOn(t, again.body) != secret {
		t.Error("loading the page again shows another secret")
	}
	confirm := strings.Split(shown, "?")[0] + "/confirm"
	c.post(confirm, url.Values{"code": {"000000"}, "challenge": {id}}).wantPage(t, 422, "Error: Set up an authenticator app")
	code, _ := totp.Code(keyOf(t, secret), s.clock.Now())
	done := c.post(confirm, url.Values{"code": {code}, "challenge": {id}}).wantPage(t, 200, "Your recovery codes")
	if got := link(t, done.body, "I have saved them, continue"); got != "/reports/q?x=1&y=2" {
		t.Errorf("the way on leads to %s", got)
	}
	if set := strings.Join(done.Header.Values("Set-Cookie"), "\n"); !strings.Contains(set, "sug_") || !strings.Contains(set, "SameSite=Lax") {
		t.Errorf("Set-Cookie: %s", set)
	}
	if n := len(regexp.MustCompile(`<li>[0-9a-z]{5}-[0-9a-z]{5}</li>`).FindAllString(done.body, -1)); n != 10 {
		t.Errorf("%d recovery codes", n)
	}
	c.get(shown).wantPage(t, 404, "Not found")
	if home := c.get(Prefix).wantPage(t, 200, "Your security settings"); !strings.Contains(home.body, "View reports") || !strings.Contains(home.body, "Phone") {
		t.Errorf("security page: %s", strip(home.body))
	}
}

func TestPeoplePassAChallenge(t *testing.T) {
	s := newSite(t)
	c := s.browser("alice")
	p := c.enroll()
	id := c.begin(withdraw, "/transfer")
	path := Prefix + "challenge/" + id
	page := c.get(path).wantPage(t, 200, "Confirm it’s you")
	for _, want := range []string{"Withdraw funds", "Works once, within 2\u00a0minutes.", `autocomplete="one-time-code"`, `inputmode="numeric"`, "Use a recovery code instead"} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	c.post(path, url.Values{"method": {"totp"}, "code": {"000000"}}).wantPage(t, 422, "Error: Confirm it’s you")
	c.post(path, url.Values{"method": {"totp"}, "code": {""}}).wantPage(t, 422, "Error: Confirm it’s you")
	c.post(path, url.Values{"method": {"sms"}, "code": {"123456"}}).wantPage(t, 422, "Something’s missing")
	if page := c.get(path+"?method=recovery_code").want(t, 200); strings.Contains(page.body, "one-time-code") {
		t.Error("the recovery code's field is a TOTP field")
	}
	won := c.post(path, url.Values{"method": {"totp"}, "code": {p.code(c)}})
	if won.onward(t) != "/transfer" {
		t.Errorf("sent to %s", won.onward(t))
	}
	if set := won.Header.Get("Set-Cookie"); !strings.HasPrefix(set, "__Host-step_up_") || !strings.Contains(set, "SameSite=Strict") {
		t.Errorf("Set-Cookie: %s", set)
	}
	c.get(path).wantPage(t, 404, "This has expired")
	c.post(path, url.Values{"method": {"totp"}, "code": {p.code(c)}}).wantPage(t, 404, "This has expired")

	id = c.begin(withdraw, "/transfer")
	c.get(Prefix + "challenge/" + id)
	c.post(Prefix+"challenge/"+id, url.Values{"method": {"recovery_code"}, "code": {p.codes[3]}}).onward(t)

	id = c.begin(withdraw, "/transfer")
	c.get(Prefix + "challenge/" + id)
	if to := c.post(Prefix+"challenge/"+id+"/cancel", nil).to(t); !strings.Contains(c.get(to).body, "Canceled.") {
		t.Error("nothing is said of the cancelling")
	}
	c.get(Prefix+"challenge/"+id).want(t, 404)

	id = c.begin(withdraw, "/transfer")
	s.clock.Add(6 * time.Minute)
	c.get(Prefix+"challenge/"+id).wantPage(t, 410, "Time ran out")
}

func TestPeopleWaitAfterWrongAnswers(t *testing.T) {
	s := newSite(t)
	c := s.browser("alice")
	p := c.enroll()
	path := Prefix + "challenge/" + c.begin(withdraw, "/transfer")
	c.get(path)
	for range 5 {
		c.post(path, url.Values{"method": {"totp"}, "code": {"000000"}}).want(t, 422)
	}
	code, _ := totp.Code(p.key, s.clock.Now().Add(totp.Period))
	got := c.post(path, url.Values{"method": {"totp"}, "code": {code}}).wantPage(t, 429, "Error: Confirm it’s you")
	if got.Header.Get("Retry-After") != "30" || !strings.Contains(strip(got.body), "30 seconds") {
		t.Errorf("Retry-After %q: %s", got.Header.Get("Retry-After"), strip(got.body))
	}
	for range 80 { // the budget of a browser that never succeeded is 60
		s.clock.Add(time.Hour)
		path = Prefix + "challenge/" + c.begin(withdraw, "/transfer")
		got = c.post(path, url.Values{"method": {"totp"}, "code": {"000000"}})
		if strings.Contains(got.body, "Ask the site’s administrator") {
			break
		}
	}
	got.wantPage(t, 429, "Ask the site’s administrator for help")
	c.get(path).wantPage(t, 429, "Ask the site’s administrator for help")
}

func TestS14PeopleProveBeforeTheyManage(t *testing.T) {
	s := newSite(t)
	c := s.browser("alice")
	p := c.enroll()
	s.clock.Add(48 * time.Hour)
	// through passes the challenge that guards a page and gives that page.
	through := func(path, what string) answer {
		t.Helper()
		challenge := c.get(Prefix + path).to(t)
		page := c.get(challenge).wantPage(t, 200, "Confirm it’s you")
		if !strings.Contains(page.body, what) {
			t.Errorf("%s: the challenge does not say %q: %s", path, what, strip(page.body))
		}
		back := c.post(challenge, url.Values{"method": {"totp"}, "code": {p.code(c)}}).to(t)
		if back != Prefix+path {
			t.Errorf("%s: sent back to %s", path, back)
		}
		return c.get(back)
	}
	own := "authenticators/" + p.id
	// Posting without the page before it proves nothing either.
	c.get(Prefix + "challenge/" + c.begin(withdraw, "/")) // a page with a token
	for path, form := range map[string]url.Values{
		own + "/remove": {}, own + "/rename": {"label": {"x"}}, "recovery-codes/renew": {}, "enroll": {"label": {"x"}},
	} {
		if to := c.post(Prefix+path, form).to(t); !strings.HasPrefix(to, Prefix+"challenge/") {
			t.Errorf("%s: sent to %s", path, to)
		}
	}

	through(own+"/rename", "Rename the verification method “Phone”").wantPage(t, 200, "Rename this verification method")
	c.post(Prefix+own+"/rename", url.Values{"label": {" "}}).wantPage(t, 422, "Error: Rename this verification method")
	c.post(Prefix+own+"/rename", url.Values{"label": {strings.Repeat("x", 65)}}).want(t, 422)
	if home := c.get(c.post(Prefix+own+"/rename", url.Values{"label": {"Old phone"}}).to(t)); !strings.Contains(home.body, "Old phone") {
		t.Error("not renamed")
	}

	through("recovery-codes/renew", "Generate new recovery codes").wantPage(t, 200, "Generate new recovery codes?")
	codes := c.post(Prefix+"recovery-codes/renew", nil).wantPage(t, 200, "Your recovery codes")
	if strings.Contains(codes.body, p.codes[0]) {
		t.Error("old codes shown")
	}

	through("enroll", "Add a verification method").wantPage(t, 200, "Set up an authenticator app")
	shown := c.post(Prefix+"enroll", url.Values{"label": {"Tablet"}}).to(t)
	second := &person{key: keyOf(t, secretOn(t, c.get(shown).body))}
	if to := c.post(shown+"/confirm", url.Values{"code": {second.code(c)}}).to(t); !strings.Contains(c.get(to).body, "The verification method was added.") {
		t.Error("nothing is said of the adding")
	}

	page := through(own+"/remove", "Remove the verification method “Old phone”").wantPage(t, 200, "Remove this verification method?")
	if strings.Contains(page.body, "last one") {
		t.Error("said to be the last")
	}
	c.post(Prefix+own+"/remove", nil).to(t)
	c.get(Prefix+own+"/remove").wantPage(t, 404, "Not found")
	s.clock.Add(48 * time.Hour)
	me := c.call("GET", "/me", nil)
	rest := me.json["authenticators"].([]any)[0].(map[string]any)["id"].(string)
	p = second
	if page := through("authenticators/"+rest+"/remove", "Tablet"); !strings.Contains(page.body, "It is your last one.") {
		t.Error("not said to be the last")
	}
	c.post(Prefix+"authenticators/"+rest+"/remove", nil).to(t)
	if page := c.get(Prefix+"enroll").want(t, 200); !strings.Contains(page.body, `name="invite"`) {
		t.Error("no invite is asked for after the last removal")
	}
	c.post(Prefix+"enroll", url.Values{"label": {""}}).wantPage(t, 403, "Error: Set up an authenticator app")
	c.post(Prefix+"enroll", url.Values{"invite": {"sui_x"}}).wantPage(t, 403, "Error: Set up an authenticator app")
}

func TestRevokingNeedsNoProof(t *testing.T) {
	s := newSite(t)
	c := s.browser("alice")
	p := c.enroll()
	c.prove(p, c.begin(reports, "/")).want(t, 200)
	home := c.get(Prefix).want(t, 200)
	m := regexp.MustCompile(`action="([^"]*/revoke)"`).FindStringSubmatch(home.body)
	if m == nil {
		t.Fatal("no grant to end")
	}
	if after := c.get(c.post(m[1], nil).to(t)); strings.Contains(after.body, "/revoke") || !strings.Contains(after.body, "Locked again.") {
		t.Errorf("after revoking: %s", strip(after.body))
	}
	if crafted := c.get(Prefix+"?done=removed", "Sec-Fetch-Site", "cross-site"); strings.Contains(crafted.body, "is removed") {
		t.Error("a link from elsewhere makes us say that something was done")
	}
}

func TestS09ReturnTargetsAreOurOwnAndOnTheSite(t *testing.T) {
	s := newSite(t)
	c := s.browser("alice")
	p := c.enroll()
	for to, want := range map[string]string{
		"/a//b?next=https://evil.example": "/a//b?next=https://evil.example",
		"//evil.example/x":                "/.//evil.example/x",
		`/\evil.example`:                  `/./\evil.example`,
		"https://evil.example/":           Prefix,
	} {
		path := Prefix + "challenge/" + c.begin(withdraw, to)
		c.get(path)
		got := c.post(path+"?return_to=//evil.example&resume_url=//evil.example", url.Values{
			"method": {"totp"}, "code": {p.code(c)}, "return_to": {"//evil.example"}, "next": {"//evil.example"},
		}).onward(t)
		if got != want {
			t.Errorf("%q leads to %q, want %q", to, got, want)
		}
	}
	// A challenge that a script began leads nowhere: its window may be closed.
	alone := Prefix + "challenge/" + c.begin(withdraw, "")
	c.get(alone)
	done := c.post(alone+"?return_to=//evil.example", url.Values{"method": {"totp"}, "code": {p.code(c)}})
	done.wantPage(t, http.StatusOK, "Confirmed")
	if !strings.Contains(done.body, "You can close this window") {
		t.Error("the page does not say that its window may be closed")
	}
	if to := done.Header.Get("Refresh") + done.Header.Get("Location"); to != "" {
		t.Errorf("a challenge without a target leads to %q", to)
	}
	// A challenge of another site of the same tenant is not passed here.
	where := s.origin
	s.origin = "https://other.example"
	id := c.begin(withdraw, "/x")
	s.origin = where
	c.get(Prefix+"challenge/"+id).want(t, 404)
	c.post(Prefix+"challenge/"+id, url.Values{"method": {"totp"}, "code": {p.code(c)}}).want(t, 404)
	c.prove(p, id).wantCode(t, 404, "not_found")
}

func TestS10FormsComeFromTheSameBrowserAndSite(t *testing.T) {
	s := newSite(t)
	c, other := s.browser("alice"), s.browser("alice")
	c.get(Prefix + "enroll")
	other.get(Prefix + "enroll")
	mallory := s.browser("mallory")
	mallory.get(Prefix + "enroll")
	form := func(token string) url.Values { return url.Values{"label": {"x"}, "csrf_token": {token}} }
	for name, token := range map[string]string{
		"no token": "", "another browser's": other.csrf, "another person's": mallory.csrf, "cut short": c.csrf[:len(c.csrf)-1], "of zeros": strings.Repeat("A", 43),
	} {
		c.post(Prefix+"enroll", form(token)).wantPage(t, 403, "This form is out of date")
		_ = name
	}
	for _, h := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"},
		{"Sec-Fetch-Site", "", "Origin", "https://evil.example"}, {"Sec-Fetch-Site", "", "Origin", "null"},
	} {
		c.post(Prefix+"enroll", form(c.csrf), h...).wantPage(t, 403, "Sent from another site")
	}
	// Without its cookie a browser is another one.
	bare := s.browser("alice")
	bare.csrf = c.csrf
	bare.post(Prefix+"enroll", form(c.csrf)).wantPage(t, 403, "Cookies are needed")
	bare.post(Prefix+"enroll", form(c.csrf)).wantPage(t, 403, "This form is out of date")
	s.browser("alice").get(Prefix+"challenge/"+c.begin(withdraw, "/")).wantPage(t, 404, "Cookies are needed")
	// Only what a form of ours sends is read.
	c.send("POST", Prefix+"enroll", "text/plain", form(c.csrf).Encode()).want(t, 415)
	c.send("POST", Prefix+"enroll", "application/x-www-form-urlencoded; charset=utf-16", form(c.csrf).Encode()).want(t, 415)
	c.send("POST", Prefix+"enroll?csrf_token="+c.csrf, "application/x-www-form-urlencoded", "label=x").want(t, 403)
	c.send("POST", Prefix+"enroll", "application/x-www-form-urlencoded", form(c.csrf).Encode()+"&label=y").want(t, 422)
	// The same form over plain HTTP semantics, where only Origin tells.
	c.post(Prefix+"enroll", form(c.csrf), "Sec-Fetch-Site", "", "Sec-Fetch-Dest", "").to(t)
}

func TestS11PagesAreServedAsDocumentsOnly(t *testing.T) {
	s := newSite(t)
	c := s.browser(`<script>alert(1)</script>`)
	for _, path := range []string{"", "enroll"} {
		for _, dest := range []string{"iframe", "frame", "image", "script", "empty", "object", "embed", "style", "x"} {
			got := c.get(Prefix+path, "Sec-Fetch-Dest", dest).wantPage(t, 403, "Open this page in a window of its own")
			if strings.Contains(got.body, "alert(1)") {
				t.Error("the refusal says who is signed in")
			}
		}
		for _, dest := range []string{"document", ""} {
			got := c.get(Prefix+path, "Sec-Fetch-Dest", dest).want(t, 200)
			if strings.Contains(got.body, "<script>") || !strings.Contains(got.body, "&lt;script&gt;") {
				t.Error("the user is not escaped")
			}
			for name, want := range map[string]string{
				"Content-Security-Policy": "default-src 'none'; style-src 'nonce-", "X-Content-Type-Options": "nosniff",
				"Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin", "Cache-Control": "no-store",
			} {
				if !strings.HasPrefix(got.Header.Get(name), want) {
					t.Errorf("%s: %q", name, got.Header.Get(name))
				}
			}
			if csp := got.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") || !strings.Contains(csp, "form-action 'self'") {
				t.Errorf("CSP: %s", csp)
			}
		}
	}
}

// TestS11AnswersThatAreNoPagesAllowNothing: a redirect, an answer of the API
// and a problem are under a policy of their own, so that none of them is framed, or
// opened as a document that loads something.
func TestS11AnswersThatAreNoPagesAllowNothing(t *testing.T) {
	s := newSite(t)
	c := s.browser("alice")
	c.get(Prefix).want(t, 200)
	for name, got := range map[string]http.Header{
		"a redirect":      c.post(Prefix+"language", url.Values{"lang": {"en"}, "path": {""}}).want(t, 303).Header,
		"an answer":       c.call("GET", "/me", nil).want(t, 200).Header,
		"a problem":       c.call("GET", "/nothing", nil).want(t, 404).Header,
		"nobody's answer": s.browser("").call("GET", "/me", nil).want(t, 401).Header,
	} {
		csp := got.Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'none'; ") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "nonce-") {
			t.Errorf("%s: CSP %q", name, csp)
		}
		if nosniff := got.Get("X-Content-Type-Options"); nosniff != "nosniff" {
			t.Errorf("%s: X-Content-Type-Options %q", name, nosniff)
		}
	}
}

func TestS01NobodyIsServedUnidentified(t *testing.T) {
	s := newSite(t)
	c := s.browser("")
	c.get(Prefix).wantPage(t, 401, "Sign in first")
	c.call("GET", "/me", nil).wantCode(t, 401, "unauthenticated")
	c.call("POST", "/totp", obj{}).wantCode(t, 401, "unauthenticated")
	known := s.browser("alice")
	*s.failing = ErrAmbiguous
	known.get(Prefix).wantPage(t, 400, "This address is not clear")
	known.call("GET", "/me", nil).wantCode(t, 400, "ambiguous_request")
	*s.failing = errors.New("directory does not answer")
	known.get(Prefix).wantPage(t, 503, "This does not work right now")
	got := known.call("GET", "/me", nil).wantCode(t, 503, "unavailable")
	if strings.Contains(got.body, "directory") || len(s.failed) != 2 {
		t.Errorf("%s, %d failures told", got.body, len(s.failed))
	}
}

func TestS01NothingIsServedWithoutTheStore(t *testing.T) {
	s := newSite(t)
	c := s.browser("alice")
	c.get(Prefix+"enroll").want(t, 200)
	s.store.Close()
	c.get(Prefix).wantPage(t, 503, "This does not work right now")
	c.post(Prefix+"enroll", url.Values{"label": {"x"}}).want(t, 503)
	c.call("GET", "/me", nil).wantCode(t, 503, "unavailable")
	c.call("POST", "/totp", obj{}).wantCode(t, 503, "unavailable")
	c.call("GET", "/challenges/AAAAAAAAAAAAAAAAAAAAAA", nil).wantCode(t, 503, "unavailable")
	c.call("DELETE", "/grants/"+strings.Repeat("A", 43), nil).wantCode(t, 503, "unavailable")
	if len(s.failed) != 6 {
		t.Errorf("%d failures told", len(s.failed))
	}
}

func TestS12PlainHTTPOnlyByOption(t *testing.T) {
	plain := func(_ *ceremony.Settings, _ *Options, where *cameIn) { where.secure = false }
	s := newSite(t, plain)
	c := s.browser("alice")
	if got := c.get(Prefix).wantPage(t, 403, "A secure connection is needed"); got.Header.Get("Set-Cookie") != "" {
		t.Error("a cookie is set")
	}
	c.call("GET", "/me", nil).wantCode(t, 403, "https_required")
	s = newSite(t, plain, func(_ *ceremony.Settings, o *Options, _ *cameIn) { o.PlainHTTP = true })
	if got := s.browser("alice").get(Prefix).want(t, 200); strings.Contains(got.Header.Get("Set-Cookie"), "__Host-") {
		t.Error("a __Host- cookie on plain HTTP")
	}
}

// allOf sees every answer and gives what is in their heads and, of problems, in
// their bodies.
type allOf struct {
	inner http.RoundTripper
	seen  strings.Builder
}

func (a *allOf) RoundTrip(r *http.Request) (*http.Response, error) {
	a.seen.WriteString(r.URL.String() + "\n")
	res, err := a.inner.RoundTrip(r)
	if err == nil {
		for name, values := range res.Header {
			if name != "Set-Cookie" { // where grants belong
				a.seen.WriteString(name + ": " + strings.Join(values, ",") + "\n")
			}
		}
	}
	return res, err
}

func TestS13NoSecretsInAddressesErrorsOrHeaders(t *testing.T) {
	s := newSite(t)
	c := s.browser("alice")
	seen := &allOf{inner: c.http.Transport}
	c.http.Transport = seen
	id := c.begin(reports, "/reports")
	c.get(Prefix + "enroll")
	shown := c.post(Prefix+"enroll", url.Values{"label": {"Phone"}, "challenge": {id}}).to(t)
	secret := secretOn(t, c.get(shown).body)
	p := &person{key: keyOf(t, secret)}
	secrets := []string{secret, c.csrf}
	wrong := c.post(strings.Split(shown, "?")[0]+"/confirm", url.Values{"code": {"123457"}})
	code := p.code(c)
	done := c.post(strings.Split(shown, "?")[0]+"/confirm", url.Values{"code": {code}})
	secrets = append(secrets, "123457", code)
	secrets = append(secrets, regexp.MustCompile(`[0-9a-z]{5}-[0-9a-z]{5}`).FindAllString(done.body, -1)...)
	id = c.begin(withdraw, "/transfer")
	c.get(Prefix + "challenge/" + id)
	bad := c.call("POST", "/challenges/"+id+"/verify", obj{"method": "totp", "code": "765432"})
	code = p.code(c)
	won := c.post(Prefix+"challenge/"+id, url.Values{"method": {"totp"}, "code": {code}})
	token := regexp.MustCompile(`sug_[A-Za-z0-9_-]+`).FindString(won.Header.Get("Set-Cookie"))
	secrets = append(secrets, "765432", code, token)
	everything := seen.seen.String() + bad.body + strip(wrong.body)
	for _, secret := range secrets {
		if secret == "" || strings.Contains(everything, secret) {
			t.Errorf("%q is told", secret)
		}
	}
	if won := c.prove(p, c.begin(withdraw, "/x")).want(t, 200); won.str("grant") != "" || strings.Contains(won.body, "sug_") {
		t.Error("a browser's script is told the grant")
	}
}

func TestS18OthersAreToldNothing(t *testing.T) {
	s := newSite(t)
	c := s.browser("alice")
	p := c.enroll()
	pending := s.browser("carol").call("POST", "/totp", obj{}).want(t, 201).str("id")
	c.prove(p, c.begin(reports, "/")).want(t, 200)
	challenge := c.begin(withdraw, "/transfer")
	grant := c.call("GET", "/me", nil).json["grants"].([]any)[0].(map[string]any)["id"].(string)
	const unknown = "AAAAAAAAAAAAAAAAAAAAAA"
	// What is somebody else's, or the same person's in another browser, looks
	// like what does not exist.
	for _, who := range []*client{s.browser("mallory"), s.browser("alice")} {
		who.get(Prefix)
		same := func(method, path, real, none string, in any) {
			t.Helper()
			a, b := who.call(method, strings.Replace(path, "*", real, 1), in), who.call(method, strings.Replace(path, "*", none, 1), in)
			if a.StatusCode != b.StatusCode || a.body != b.body || a.StatusCode != 404 {
				t.Errorf("%s as %s: %d %s and %d %s", path, who.user, a.StatusCode, a.body, b.StatusCode, b.body)
			}
		}
		same("GET", "/challenges/*", challenge, unknown, nil)
		same("POST", "/challenges/*/verify", challenge, unknown, obj{"method": "totp", "code": "123456"})
		same("POST", "/totp/*/confirm", pending, unknown, obj{"code": "123456"})
		if who.user != "alice" {
			same("PATCH", "/authenticators/*", p.id, "AAAAAAAAAAAAAAAA", obj{"label": "x"})
			same("DELETE", "/authenticators/*", p.id, "AAAAAAAAAAAAAAAA", nil)
			same("DELETE", "/grants/*", grant, strings.Repeat("A", 43), nil)
		}
		for _, path := range []string{"challenge/*", "enroll/*"} {
			real := challenge
			if path == "enroll/*" {
				real = pending
			}
			a, b := who.get(Prefix+strings.Replace(path, "*", real, 1)), who.get(Prefix+strings.Replace(path, "*", unknown, 1))
			if a.StatusCode != 404 || b.StatusCode != 404 || strip(a.body) != strip(b.body) {
				t.Errorf("%s as %s differs", path, who.user)
			}
		}
	}
	// To who is not signed in, everybody is alike.
	for _, path := range []string{"/challenges/" + challenge, "/challenges/" + unknown, "/me"} {
		s.browser("").call("GET", path, nil).wantCode(t, 401, "unauthenticated")
	}
}

func TestS19FormsAreLimited(t *testing.T) {
	s := newSite(t)
	c := s.browser("alice")
	c.get(Prefix + "enroll")
	c.post(Prefix+"enroll", url.Values{"label": {strings.Repeat("x", maxBody)}}).wantPage(t, 413, "That’s too large")
	c.post(Prefix+"enroll", url.Values{"label": {strings.Repeat("x", 65)}}).wantPage(t, 422, "Error: Set up")
	c.post(Prefix+"enroll", url.Values{"label": {"a\x00b"}}).wantPage(t, 422, "Error: Set up")
	c.post(Prefix+"enroll", url.Values{"label": {"a\xff"}}).want(t, 422)
	p := c.enroll()
	path := Prefix + "challenge/" + c.begin(withdraw, "/")
	c.post(path, url.Values{"method": {"totp"}, "code": {strings.Repeat("1", 129)}}).want(t, 422)
	c.post(path, url.Values{"method": {"totp"}, "code": {p.code(c)}}).onward(t)
}

// A redirect that answers a form is held against the form's policy by browsers,
// with every redirect of the application that follows.
func TestBrowsersLeaveThePolicyOfOurFormBehind(t *testing.T) {
	s := newSite(t)
	p := s.browser("alice").enroll()
	for browser, want := range map[bool]int{true: http.StatusOK, false: http.StatusSeeOther} {
		c := s.client("alice", browser)
		path := Prefix + "challenge/" + c.begin(withdraw, "/transfer")
		c.get(path)
		won := c.post(path, url.Values{"method": {"totp"}, "code": {p.code(c)}}).want(t, want)
		if won.onward(t) != "/transfer" {
			t.Errorf("sent to %s", won.onward(t))
		}
	}
}

func TestEnrolmentByInviteAndDenied(t *testing.T) {
	s := newSite(t, func(set *ceremony.Settings, _ *Options, _ *cameIn) { set.Enrollment = ceremony.ByInvite })
	c := s.browser("alice")
	if page := c.get(Prefix+"enroll").want(t, 200); !strings.Contains(page.body, `name="invite"`) {
		t.Fatal("no field for the invite")
	}
	invite, hash := invite.New()
	if err := s.service.Invite(t.Context(), grants.Subject{Tenant: "staff", User: "alice"}, hash, s.clock.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	shown := c.post(Prefix+"enroll", url.Values{"invite": {invite}}).to(t)
	p := &person{key: keyOf(t, secretOn(t, c.get(shown).body))}
	c.post(shown+"/confirm", url.Values{"code": {p.code(c)}}).wantPage(t, 200, "Your recovery codes")

	s = newSite(t, func(set *ceremony.Settings, _ *Options, _ *cameIn) { set.Enrollment = ceremony.Deny })
	s.browser("alice").get(Prefix+"enroll").wantPage(t, 403, "You cannot set this up yourself")
}

func TestLinksKeepThePrefixOfAnOuterHandlePath(t *testing.T) {
	s := newSite(t, func(_ *ceremony.Settings, _ *Options, where *cameIn) { where.base = "/app" })
	c := s.browser("alice")
	c.enroll()
	home := c.get(Prefix).want(t, 200)
	for _, m := range regexp.MustCompile(`(?:href|action)="([^"]*)"`).FindAllStringSubmatch(home.body, -1) {
		if !strings.HasPrefix(m[1], "/app/") {
			t.Errorf("link to %s", m[1])
		}
	}
	if to := c.get(Prefix + "recovery-codes/renew").to(t); !strings.HasPrefix(to, "/app/.step-up/challenge/") {
		t.Errorf("sent to %s", to)
	}
	if to := c.get(strings.TrimSuffix(Prefix, "/")).body; !strings.HasPrefix(to, "application") {
		t.Errorf("got %s", to)
	}
}
