package portal

import (
	"bytes"
	"context"
	"encoding/json"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/cookies"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/recovery"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/totpapp"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/internal/seal"
	"github.com/stepup-gateway/caddy-stepup/internal/store/badgerstore"
	"github.com/stepup-gateway/caddy-stepup/totp"
)

// clock is a clock that stands still until it is moved.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// site is a whole site with a portal on a real database, as browsers see it.
type site struct {
	t       *testing.T
	clock   *clock
	service *ceremony.Service
	url     string
	origin  string
	router  routers.Router
	failing *error // what Identify fails with
	mu      sync.Mutex
	failed  []error
	server  *httptest.Server
	store   *badgerstore.Store
	network error // what sending to phones fails with
	texts   []text
	events  []ceremony.Event
}

// asUser is the header by which the tests' identity source tells who asks.
const asUser = "X-Test-User"

var (
	withdraw = grants.Demand{Action: grants.MustAction("WITHDRAW_FUNDS"), Use: grants.OneTimeUse, TTL: 2 * time.Minute}
	reports  = grants.Demand{Action: grants.MustAction("VIEW_REPORTS"), Use: grants.TimeBased, TTL: 10 * time.Minute}
)

// cameIn is the server of the tests: all requests came in at one place.
type cameIn struct {
	origin, base string
	secure       bool
}

func (s *cameIn) Secure(*http.Request) bool             { return s.secure }
func (s *cameIn) Origin(*http.Request) string           { return s.origin }
func (s *cameIn) Base(*http.Request) string             { return s.base }
func (s *cameIn) Client(r *http.Request) string         { return r.RemoteAddr }
func (s *cameIn) Original(*http.Request) (string, bool) { return "", false }
func (s *cameIn) Conn(*http.Request) net.Conn           { return nil }

func newSite(t *testing.T, change ...func(*ceremony.Settings, *Options, *cameIn)) *site {
	t.Helper()
	return newSiteWith(t, func(*site, *ceremony.Options) {}, change...)
}

// newSiteWith is newSite with other options for the domain.
func newSiteWith(t *testing.T, edit func(*site, *ceremony.Options), change ...func(*ceremony.Settings, *Options, *cameIn)) *site {
	t.Helper()
	s := &site{t: t, clock: &clock{t: time.Date(2026, 3, 14, 9, 26, 0, 0, time.UTC)}, failing: new(error)}
	store, err := badgerstore.Open(badgerstore.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	s.store = store
	key := seal.GenerateKey()
	if err := records.Create(t.Context(), store, key); err != nil {
		t.Fatal(err)
	}
	db, err := records.Open(t.Context(), store, key)
	if err != nil {
		t.Fatal(err)
	}
	settings := ceremony.DefaultSettings()
	settings.Enrollment, settings.Issuer = ceremony.FirstUse, "Acme Intranet"
	where := cameIn{secure: true}
	o := Options{
		Issuer: "Acme Intranet",
		Identify: func(r *http.Request) (ceremony.Principal, error) {
			p := ceremony.Principal{Subject: grants.Subject{Tenant: "staff", User: r.Header.Get(asUser)}}
			p.Browser, _ = cookies.BrowserID(r, where.secure)
			if p.User == "" && *s.failing == nil {
				return p, ErrNobody
			}
			return p, *s.failing
		},
		Server: &where,
		Actions: map[string]Action{
			"WITHDRAW_FUNDS": {Demand: withdraw, Label: "Withdraw funds"},
			"VIEW_REPORTS":   {Demand: reports, Label: "View reports"},
			"PAY":            {Demand: withdraw, RequestBound: true},
		},
		Now: s.clock.Now,
		Failed: func(_ context.Context, err error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.failed = append(s.failed, err)
		},
	}
	for _, c := range change {
		c(&settings, &o, &where)
	}
	made := ceremony.Options{
		DB:       func(context.Context) (*records.DB, error) { return db, nil },
		Settings: settings, Factors: []ceremony.Factor{totpapp.Factor{Issuer: settings.Issuer, Params: settings.TOTP}, recovery.Factor{}},
		Now: s.clock.Now, Audit: func(_ context.Context, e ceremony.Event) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.events = append(s.events, e)
		},
	}
	edit(s, &made)
	if s.service, err = ceremony.New(made); err != nil {
		t.Fatal(err)
	}
	o.Service = s.service
	portal, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "application "+r.URL.RequestURI())
	})
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.EscapedPath(), Prefix) {
			portal.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.server, s.url = server, server.URL
	if where.origin == "" {
		where.origin = server.URL
	}
	s.origin = where.origin

	doc, err := openapi3.NewLoader().LoadFromFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	doc.Servers = nil // the router takes absolute ones only; conforms leaves the prefix out
	if s.router, err = legacy.NewRouter(doc); err != nil {
		t.Fatal(err)
	}
	return s
}

// client is one browser, or one program where browser is false.
type client struct {
	*site
	user    string
	browser bool
	http    *http.Client
	csrf    string
}

func (s *site) browser(user string) *client { return s.client(user, true) }
func (s *site) program(user string) *client { return s.client(user, false) }

func (s *site) client(user string, browser bool) *client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	c := *s.server.Client()
	c.Jar = jar
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client{site: s, user: user, browser: browser, http: &c}
}

// answer is a response that was read to its end.
type answer struct {
	*http.Response
	body string
	json map[string]any
}

func (c *client) send(method, path, contentType, body string, headers ...string) answer {
	c.t.Helper()
	req, err := http.NewRequest(method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if body == "" {
		req.Body = http.NoBody
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if c.user != "" {
		req.Header.Set(asUser, c.user)
	}
	if c.browser {
		req.Header.Set("Sec-Fetch-Site", "same-origin")
		req.Header.Set("Sec-Fetch-Dest", "document")
		if strings.HasPrefix(path, Prefix+"api") {
			req.Header.Set("Sec-Fetch-Dest", "empty")
		}
		if method != http.MethodGet {
			req.Header.Set("Origin", c.origin)
		}
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
		if headers[i+1] == "" {
			req.Header.Del(headers[i])
		}
	}
	res, err := c.http.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	a := answer{Response: res, body: string(text)}
	if got := res.Header.Get("Cache-Control"); strings.HasPrefix(path, Prefix) && got != "no-store" {
		c.t.Errorf("%s %s: Cache-Control %q", method, path, got)
	}
	if strings.Contains(res.Header.Get("Content-Type"), "json") {
		if err := json.Unmarshal(text, &a.json); err != nil {
			c.t.Fatalf("%s %s: %v in %q", method, path, err, text)
		}
	}
	if m := regexp.MustCompile(`name="csrf_token" value="([^"]*)"`).FindStringSubmatch(a.body); m != nil {
		c.csrf = m[1]
	}
	return a
}

// get opens a page.
func (c *client) get(path string, headers ...string) answer {
	c.t.Helper()
	return c.send(http.MethodGet, path, "", "", headers...)
}

// post sends a form of the page seen last.
func (c *client) post(path string, values url.Values, headers ...string) answer {
	c.t.Helper()
	if values == nil {
		values = url.Values{}
	}
	if !values.Has("csrf_token") {
		values.Set("csrf_token", c.csrf)
	}
	return c.send(http.MethodPost, path, "application/x-www-form-urlencoded", values.Encode(), headers...)
}

// call makes a call of the JSON API and holds the answer against the document.
func (c *client) call(method, path string, in any, headers ...string) answer {
	c.t.Helper()
	body := ""
	switch in := in.(type) {
	case nil:
	case string:
		body = in
	default:
		b, err := json.Marshal(in)
		if err != nil {
			c.t.Fatal(err)
		}
		body = string(b)
	}
	contentType := "application/json"
	if method == http.MethodGet || method == http.MethodDelete && body == "" {
		contentType = ""
	}
	a := c.send(method, Prefix+"api"+path, contentType, body, headers...)
	c.conforms(method, path, a)
	return a
}

func (c *client) conforms(method, path string, a answer) {
	c.t.Helper()
	req := httptest.NewRequest(method, "https://x"+path, nil)
	route, params, err := c.router.FindRoute(req)
	if err != nil {
		if a.StatusCode != http.StatusNotFound && a.StatusCode != http.StatusMethodNotAllowed {
			c.t.Errorf("%s %s is not in the document but answered with %d", method, path, a.StatusCode)
		}
		return
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route},
		Status:                 a.StatusCode, Header: a.Header, Body: io.NopCloser(bytes.NewReader([]byte(a.body))),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	}
	if err := openapi3filter.ValidateResponse(context.Background(), input); err != nil {
		c.t.Errorf("%s %s: the answer is not as documented: %v\n%s", method, path, err, a.body)
	}
}

func (a answer) want(t *testing.T, status int) answer {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("%s %s: status %d, want %d\n%s", a.Request.Method, a.Request.URL, a.StatusCode, status, strip(a.body))
	}
	return a
}

// wantCode wants a problem.
func (a answer) wantCode(t *testing.T, status int, code string) answer {
	t.Helper()
	a.want(t, status)
	if a.json["code"] != code || a.json["status"] != float64(status) || a.Header.Get("Content-Type") != "application/problem+json" {
		t.Fatalf("%s %s: got %v, want code %s", a.Request.Method, a.Request.URL, a.json, code)
	}
	return a
}

// wantPage wants a page of that title.
func (a answer) wantPage(t *testing.T, status int, title string) answer {
	t.Helper()
	a.want(t, status)
	if !strings.Contains(a.body, "<title>"+title) {
		t.Fatalf("%s %s: want the page %q, got\n%s", a.Request.Method, a.Request.URL, title, strip(a.body))
	}
	return a
}

// to wants a redirect and gives its target.
func (a answer) to(t *testing.T) string {
	t.Helper()
	a.want(t, http.StatusSeeOther)
	return a.Header.Get("Location")
}

// onward wants to be sent where a passed challenge leads, as a browser is.
func (a answer) onward(t *testing.T) string {
	t.Helper()
	if a.StatusCode == http.StatusSeeOther {
		return a.to(t)
	}
	a.wantPage(t, http.StatusOK, "Confirmed")
	to, ok := strings.CutPrefix(a.Header.Get("Refresh"), "0;url=")
	if !ok || strings.ReplaceAll(link(t, a.body, "Continue"), "%5c", `\`) != to {
		t.Fatalf("Refresh: %q", a.Header.Get("Refresh"))
	}
	return to
}

func (a answer) str(name string) string { s, _ := a.json[name].(string); return s }

// strip leaves the text of a page.
func strip(body string) string {
	body = regexp.MustCompile(`(?s)<style.*?</style>|<script.*?</script>|<[^>]*>`).ReplaceAllString(body, "")
	return regexp.MustCompile(`[\s\x{a0}]+`).ReplaceAllString(html.UnescapeString(body), " ")
}

// person is somebody with an authenticator.
type person struct {
	key   totp.Key
	id    string
	codes []string
}

// code is what the app shows now; a code works once, so time goes on before.
func (p *person) code(c *client) string {
	c.t.Helper()
	c.clock.Add(totp.Period)
	code, err := totp.Code(p.key, c.clock.Now())
	if err != nil {
		c.t.Fatal(err)
	}
	return code
}

// enroll gives the client's user an authenticator, over the API.
func (c *client) enroll() *person {
	c.t.Helper()
	begun := c.call("POST", "/totp", map[string]string{"label": "Phone"}).want(c.t, 201)
	p := &person{key: keyOf(c.t, begun.str("secret"))}
	done := c.call("POST", "/totp/"+begun.str("id")+"/confirm", map[string]string{"code": p.code(c)}).want(c.t, 200)
	p.id, _ = done.json["authenticator"].(map[string]any)["id"].(string)
	codes, _ := done.json["recovery_codes"].([]any)
	for _, code := range codes {
		p.codes = append(p.codes, code.(string))
	}
	return p
}

// prove passes the challenge with the app.
func (c *client) prove(p *person, challenge string) answer {
	c.t.Helper()
	return c.call("POST", "/challenges/"+challenge+"/verify", map[string]string{"method": "totp", "code": p.code(c)})
}

// begin begins the gate's challenge for a demand, as a navigation to returnTo
// would.
func (c *client) begin(d grants.Demand, returnTo string) string {
	c.t.Helper()
	return c.beginAsk(ceremony.Ask{Demand: d, Label: "Withdraw funds", Site: c.origin, ReturnTo: returnTo})
}

// beginAsk begins a challenge in the client's browser.
func (c *client) beginAsk(ask ceremony.Ask) string {
	c.t.Helper()
	c.get(Prefix) // the gate gives browsers their cookie; so does this
	p := ceremony.Principal{Subject: grants.Subject{Tenant: "staff", User: c.user}}
	req := httptest.NewRequest("GET", "/", nil)
	base, _ := url.Parse(c.url)
	for _, cookie := range c.http.Jar.Cookies(base) {
		req.AddCookie(cookie)
	}
	p.Browser, _ = cookies.BrowserID(req, true)
	ch, err := c.service.Begin(context.Background(), p, ask)
	if err != nil {
		c.t.Fatal(err)
	}
	return ch.ID
}
