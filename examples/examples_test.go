// Package examples_test serves each example's Caddyfile as it stands, but for
// addresses and directories, and does in it what its README says. The examples
// that need programs of their own are run by the component tests.
package examples_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/pquerna/otp/totp"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/caddytestbed"
	"github.com/stepup-gateway/caddy-stepup/examples/bank"
	"github.com/stepup-gateway/caddy-stepup/examples/sms"
)

func TestMain(m *testing.M) { os.Exit(caddytestbed.Main(m)) }

// bed is a Caddy with one of the examples.
type bed struct {
	*caddytestbed.Bed
	t *testing.T
}

// load serves an example; replace names other words to be replaced, and by what.
func load(t *testing.T, name string, replace ...string) bed {
	t.Helper()
	text, err := os.ReadFile(name + "/Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	b := bed{caddytestbed.New(t), t}
	for i := 0; i < len(replace); i += 2 {
		if !bytes.Contains(text, []byte(replace[i])) {
			t.Fatalf("%s is not in %s/Caddyfile", replace[i], name)
		}
	}
	replace = append(replace, "localhost:8080", "localhost:{{port}}", "{$STEP_UP_DEMO:/var/tmp/step-up-demo}", "{{dir}}")
	b.Load(strings.NewReplacer(replace...).Replace(string(text)))
	return b
}

// echo is an application that says what reached it.
func echo(t *testing.T) (addr string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s of %q", r.Method, r.URL.Path, r.Header.Get("Step-Up-User"))
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// person is a client with cookies; sign signs its requests in.
type person struct {
	bed
	sign   func(*http.Request)
	jar    http.CookieJar
	secret string
	used   time.Time // of the last code
}

func (b bed) person(sign func(*http.Request)) *person {
	b.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return &person{bed: b, sign: sign, jar: jar}
}

// answer is a response and what it says.
type answer struct {
	status int
	header http.Header
	text   string
	json   map[string]any
}

func (p *person) send(method, path, contentType, body string) answer {
	p.t.Helper()
	r, err := http.NewRequest(method, p.URL+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	p.sign(r)
	client := *p.Client
	client.Jar = p.jar
	resp, err := client.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, text: string(text)}
	if strings.Contains(resp.Header.Get("Content-Type"), "json") {
		if err := json.Unmarshal(text, &a.json); err != nil {
			p.t.Fatalf("%v in %s", err, text)
		}
	}
	return a
}

func (p *person) get(path string) answer { p.t.Helper(); return p.send("GET", path, "", "") }

// api calls the gateway's JSON API and ends the test where it is refused.
func (p *person) api(path, body string) map[string]any {
	p.t.Helper()
	a := p.send("POST", "/.step-up/api"+path, "application/json", body)
	if a.status >= 300 {
		p.t.Fatalf("%s: %d %s", path, a.status, a.text)
	}
	return a.json
}

// enroll gives the person an authenticator app.
func (p *person) enroll() {
	p.t.Helper()
	begun := p.api("/totp", "{}")
	p.secret = begun["secret"].(string)
	p.api("/totp/"+begun["id"].(string)+"/confirm", `{"code":"`+p.code()+`"}`)
}

// code is a code that was not used yet: the skew takes the one of
// the step before and the one after.
func (p *person) code() string {
	p.t.Helper()
	next := time.Now().Truncate(30 * time.Second).Add(-30 * time.Second)
	if !p.used.IsZero() && !next.After(p.used) {
		next = p.used.Add(30 * time.Second)
	}
	p.used = next
	code, err := totp.GenerateCode(p.secret, next)
	if err != nil {
		p.t.Fatal(err)
	}
	return code
}

// stepsUp sends a request that is to be challenged for an action, passes the
// challenge, and gives the answer to the same request sent again.
func (p *person) stepsUp(action, method, path, contentType, body string) answer {
	p.t.Helper()
	a := p.send(method, path, contentType, body)
	if a.status != http.StatusUnauthorized || a.json["action_type"] != action {
		p.t.Fatalf("%s %s: %d %s, want a challenge for %s", method, path, a.status, a.text, action)
	}
	p.api("/challenges/"+a.json["challenge_id"].(string)+"/verify", `{"method":"totp","code":"`+p.code()+`"}`)
	return p.send(method, path, contentType, body)
}

// exercise does what the three examples with the same rules have in common:
// alice reads, steps up and reads reports, and bob does not on her proof.
func exercise(t *testing.T, alice, bob, nobody *person) {
	t.Helper()
	alice.enroll()
	if a := alice.get("/"); a.status != http.StatusOK || a.text != `GET / of ""` {
		t.Errorf("without a rule: %d %s", a.status, a.text)
	}
	if a := alice.stepsUp("VIEW_REPORTS", "GET", "/reports/1", "", ""); a.status != http.StatusOK || a.text != `GET /reports/1 of "alice"` {
		t.Errorf("reports: %d %s", a.status, a.text)
	}
	if a := alice.send("POST", "/anything", "text/plain", "x"); a.status != http.StatusUnauthorized || a.json["action_type"] != "CHANGE_ANYTHING" {
		t.Errorf("a change on a grant for reports: %d %s", a.status, a.text)
	}
	bob.jar = alice.jar
	if a := bob.get("/reports/1"); a.status != http.StatusUnauthorized {
		t.Errorf("bob with the cookies of alice: %d %s", a.status, a.text)
	}
	nobody.jar = alice.jar
	for _, path := range []string{"/reports/1", "//reports/1", "/.step-up/api/me"} {
		if a := nobody.get(path); a.status == http.StatusOK || strings.Contains(a.text, "reports/1 of") {
			t.Errorf("nobody at %s: %d %s", path, a.status, a.text)
		}
	}
}

func TestBasicAuth(t *testing.T) {
	b := load(t, "basic_auth", "localhost:9000", echo(t))
	as := func(user, password string) *person {
		return b.person(func(r *http.Request) { r.SetBasicAuth(user, password) })
	}
	exercise(t, as("alice", "wonderland"), as("bob", "builder"), as("alice", "builder"))
}

// TestSMS enrolls a telephone by the code that reaches the receiver, beside what the
// example does without one.
func TestSMS(t *testing.T) {
	secret := strings.Repeat("s", 32)
	texts := make(chan string, 10)
	receiver := httptest.NewServer(&sms.Receiver{
		Secret: []byte(secret), Now: time.Now,
		Deliver: func(to, text string) error { texts <- to + " " + text; return nil },
	})
	defer receiver.Close()
	t.Setenv("SMS_SECRET", secret)
	b := load(t, "sms", "localhost:9000", echo(t), "http://localhost:9010", receiver.URL)
	as := func(user, password string) *person {
		return b.person(func(r *http.Request) { r.SetBasicAuth(user, password) })
	}
	exercise(t, as("alice", "wonderland"), as("bob", "builder"), as("alice", "builder"))

	bob := as("bob", "builder")
	if a := bob.send("POST", "/.step-up/api/phones", "application/json", `{"phone_number":"+44 7400 123456"}`); a.status < 400 {
		t.Errorf("a number of a country that is not listed: %d %s", a.status, a.text)
	}
	begun := bob.api("/phones", `{"phone_number":"0151 12345678"}`)
	if len(texts) != 1 {
		t.Fatalf("%d texts", len(texts))
	}
	text := <-texts
	code := regexp.MustCompile(`\b\d{6}\b`).FindString(text)
	if !strings.HasPrefix(text, "+4915112345678 ") || code == "" {
		t.Fatalf("%q", text)
	}
	bob.api("/phones/"+begun["id"].(string)+"/confirm", `{"code":"`+code+`"}`)
	log := b.Log()
	for _, private := range []string{"15112345678", code, secret} {
		if strings.Contains(log, private) {
			t.Errorf("the log has %q in it (S13)", private)
		}
	}
}

// TestBrand looks at the pages as they are served; what stands on them is tested
// where they are drawn.
func TestBrand(t *testing.T) {
	b := load(t, "brand", "localhost:9000", echo(t), "examples/brand/logo.svg", "brand/logo.svg")
	alice := b.person(func(r *http.Request) { r.SetBasicAuth("alice", "wonderland") })
	alice.enroll()
	logo, err := os.ReadFile("brand/logo.svg")
	if err != nil {
		t.Fatal(err)
	}
	page := alice.get("/.step-up/")
	for _, want := range []string{
		"<bdi>Acme</bdi>", `src="data:image/svg+xml;base64,` + base64.StdEncoding.EncodeToString(logo) + `"`,
		"--accent:#9c1f5b", `<a href="https://help.example.com/step-up"><bdi>Help with this</bdi></a>`, `<a href="/imprint">`,
	} {
		if !strings.Contains(html.UnescapeString(page.text), want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if csp := page.header.Get("Content-Security-Policy"); !strings.Contains(csp, "img-src data:;") {
		t.Errorf("the logo is not allowed: %s", csp)
	}
	if a := alice.stepsUp("VIEW_REPORTS", "GET", "/reports/1", "", ""); a.status != http.StatusOK {
		t.Errorf("reports: %d %s", a.status, a.text)
	}
	// The gate's own pages look the same.
	framed := b.person(func(r *http.Request) {
		r.SetBasicAuth("alice", "wonderland")
		r.Header.Set("Sec-Fetch-Mode", "navigate")
		r.Header.Set("Sec-Fetch-Dest", "iframe")
	}).get("/reports/1")
	if !strings.Contains(framed.text, "--accent:#9c1f5b") {
		t.Errorf("inside a frame: %d %.200s", framed.status, framed.text)
	}
}

func TestJWT(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := jwk.Import(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	set := jwk.NewSet()
	for name, value := range map[string]any{jwk.KeyIDKey: "k1", jwk.AlgorithmKey: "ES256", jwk.KeyUsageKey: "sig"} {
		if err := public.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := set.AddKey(public); err != nil {
		t.Fatal(err)
	}
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/jwk-set+json")
		json.NewEncoder(w).Encode(set)
	}))
	defer provider.Close()
	token := func(user, audience string, lives time.Duration) string {
		t.Helper()
		token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
			"iss": "https://id.example.com/", "aud": audience, "sub": "id of " + user, "preferred_username": user, "sid": "session of " + user,
			"iat": time.Now().Add(-time.Hour).Unix(), "exp": time.Now().Add(lives).Unix(),
		})
		token.Header["kid"] = "k1"
		signed, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	b := load(t, "jwt", "localhost:9000", echo(t), "https://id.example.com/.well-known/jwks.json", provider.URL)
	bearer := func(token string) *person {
		return b.person(func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) })
	}
	cookie := func(token string) *person {
		return b.person(func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "access_token", Value: token}) })
	}
	alice := token("alice", "intranet", time.Minute)
	exercise(t, cookie(alice), bearer(token("bob", "intranet", time.Minute)), bearer(token("alice", "intranet", -time.Minute)))
	for name, p := range map[string]*person{
		"for another application": bearer(token("alice", "other", time.Minute)),
		"with another signature":  bearer(alice[:len(alice)-8] + "AAAAAAAA"),
	} {
		if a := p.get("/reports/1"); a.status == http.StatusOK || a.json["challenge_id"] != nil {
			t.Errorf("a token %s: %d %s", name, a.status, a.text)
		}
	}
	both := bearer(token("bob", "intranet", time.Minute))
	both.jar.SetCookies(&url.URL{Scheme: "http", Host: "localhost"}, []*http.Cookie{{Name: "access_token", Value: alice, Path: "/"}})
	if a := both.get("/reports/1"); a.status != http.StatusBadRequest {
		t.Errorf("two tokens: %d %s", a.status, a.text)
	}
}

func TestForwardAuth(t *testing.T) {
	var mu sync.Mutex
	var asked []http.Header
	sso := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.Header)
		c, err := r.Cookie("sso_session")
		if r.URL.Path != "/api/authz/forward-auth" || err != nil {
			http.Redirect(w, r, "https://sso.example.com/", http.StatusFound)
			return
		}
		w.Header().Set("Remote-User", strings.TrimPrefix(c.Value, "of-"))
	}))
	defer sso.Close()
	b := load(t, "forward_auth", "localhost:9000", echo(t), "forward_auth localhost:9091", "forward_auth "+strings.TrimPrefix(sso.URL, "http://"))
	as := func(user string) *person {
		return b.person(func(r *http.Request) {
			r.Header.Set("Remote-User", "alice")
			r.Header.Set("Step-Up-User", "alice")
			if user != "" {
				r.AddCookie(&http.Cookie{Name: "sso_session", Value: "of-" + user})
			}
		})
	}
	exercise(t, as("alice"), as("bob"), as(""))
	mu.Lock()
	defer mu.Unlock()
	for _, h := range asked {
		if h.Get("Step-Up-User") != "" || strings.Contains(h.Get("Cookie"), "step_up_") {
			t.Fatalf("the sign-on proxy is sent %v", h)
		}
	}
}

// TestBank signs in to the bank, and transfers money by its API.
func TestBank(t *testing.T) {
	app := httptest.NewServer(bank.New(bank.Options{}))
	defer app.Close()
	b := load(t, "bank", "localhost:9000", strings.TrimPrefix(app.URL, "http://"))
	alice := b.person(func(*http.Request) {})
	if a := alice.send("POST", "/login", "application/x-www-form-urlencoded", "user=alice&password=wonderland"); a.status != http.StatusSeeOther {
		t.Fatalf("signing in: %d %s", a.status, a.text)
	}
	alice.enroll()
	a := alice.stepsUp("TRANSFER", "POST", "/api/transfer", "application/json", `{"to":"bob","amount":"12.50","note":"Lunch"}`)
	if a.status != http.StatusOK && a.status != http.StatusCreated {
		t.Fatalf("transferring: %d %s", a.status, a.text)
	}
	if a := alice.get("/admin/customers"); a.status != http.StatusUnauthorized || a.json["action_type"] != "ADMIN" {
		t.Errorf("customers on a grant for a transfer: %d %s", a.status, a.text)
	}
	stranger := b.person(func(r *http.Request) { r.Header.Set("X-Bank-User", "alice") })
	if a := stranger.get("/statements/1"); a.status != http.StatusFound && a.status != http.StatusSeeOther {
		t.Errorf("a stranger: %d %s", a.status, a.text)
	}
}
