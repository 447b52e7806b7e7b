package bank_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/examples/bank"
)

// clock is a fake one; it starts in the middle of a month.
type clock struct{ now time.Time }

func newClock() *clock { return &clock{time.Date(2026, time.March, 17, 10, 0, 0, 0, time.UTC)} }

// browser is one person's: it keeps cookies and does not follow redirects.
type browser struct {
	t    *testing.T
	base string
	*http.Client
}

func open(t *testing.T, c *clock) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(bank.New(bank.Options{Now: func() time.Time { return c.now }}))
	t.Cleanup(srv.Close)
	return srv
}

func browse(t *testing.T, srv *httptest.Server) browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return browser{t, srv.URL, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}}
}

// signIn opens a browser in which somebody has signed in.
func signIn(t *testing.T, srv *httptest.Server, user, password string) browser {
	t.Helper()
	b := browse(t, srv)
	if res, body := b.post("/login", "user", user, "password", password); res.StatusCode != http.StatusSeeOther {
		t.Fatalf("login of %s: %d %s", user, res.StatusCode, body)
	}
	return b
}

// send sends a request with header fields given as name, value pairs.
func (b browser) send(method, path, body string, fields ...string) (*http.Response, string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.base+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		req.Header.Add(fields[i], fields[i+1])
	}
	res, err := b.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return res, string(text)
}

func (b browser) get(path string) (*http.Response, string) {
	b.t.Helper()
	return b.send(http.MethodGet, path, "")
}

// post sends a form as it is given.
func (b browser) post(path string, fields ...string) (*http.Response, string) {
	b.t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	return b.send(http.MethodPost, path, form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
}

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// submit sends a form with the session's token, as the page would.
func (b browser) submit(path string, fields ...string) (*http.Response, string) {
	b.t.Helper()
	_, page := b.get("/")
	found := csrfField.FindStringSubmatch(page)
	if found == nil {
		b.t.Fatalf("no token in %s", page)
	}
	return b.post(path, append(fields, "csrf", found[1])...)
}

func (b browser) wantStatus(res *http.Response, want int) {
	b.t.Helper()
	if res.StatusCode != want {
		b.t.Errorf("%s %s: %d, want %d", res.Request.Method, res.Request.URL.Path, res.StatusCode, want)
	}
}

func (b browser) wantBalance(want string) {
	b.t.Helper()
	if _, body := b.get("/api/balance"); !strings.Contains(body, `"balance":"`+want+`"`) {
		b.t.Errorf("balance %s, want %s", body, want)
	}
}

func TestSignIn(t *testing.T) {
	srv := open(t, newClock())
	b := browse(t, srv)

	res, _ := b.get("/transfer?to=bob")
	b.wantStatus(res, http.StatusFound)
	if got := res.Header.Get("Location"); got != "/login?next=%2Ftransfer%3Fto%3Dbob" {
		t.Errorf("Location %q", got)
	}
	for _, wrong := range [][2]string{{"alice", "builder"}, {"alice", ""}, {"mallory", ""}, {"", ""}} {
		res, body := b.post("/login", "user", wrong[0], "password", wrong[1])
		b.wantStatus(res, http.StatusUnauthorized)
		if !strings.Contains(body, "do not match") || res.Header.Get("Set-Cookie") != "" {
			t.Errorf("%v: %s", wrong, body)
		}
	}
	res, _ = b.post("/login", "user", " Alice ", "password", "wonderland", "next", "/transfer?to=bob")
	b.wantStatus(res, http.StatusSeeOther)
	if got := res.Header.Get("Location"); got != "/transfer?to=bob" {
		t.Errorf("Location %q", got)
	}
	if cookie := res.Header.Get("Set-Cookie"); !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Lax") {
		t.Errorf("cookie %q", cookie)
	}
	if _, body := b.get("/"); !strings.Contains(body, "Alice Liddell") {
		t.Errorf("overview: %s", body)
	}

	res, _ = b.submit("/logout")
	b.wantStatus(res, http.StatusSeeOther)
	res, _ = b.get("/")
	b.wantStatus(res, http.StatusFound)
}

func TestSignInFromAnotherSiteIsRefused(t *testing.T) {
	b := browse(t, open(t, newClock()))
	res, _ := b.send(http.MethodPost, "/login", "user=alice&password=wonderland",
		"Content-Type", "application/x-www-form-urlencoded", "Origin", "https://evil.example")
	b.wantStatus(res, http.StatusForbidden)
}

func TestSessionsEnd(t *testing.T) {
	t.Run("when idle", func(t *testing.T) {
		c := newClock()
		b := signIn(t, open(t, c), "alice", "wonderland")
		c.now = c.now.Add(time.Hour - time.Second)
		res, _ := b.get("/")
		b.wantStatus(res, http.StatusOK)
		c.now = c.now.Add(time.Hour)
		res, _ = b.get("/")
		b.wantStatus(res, http.StatusFound)
	})
	t.Run("in any case", func(t *testing.T) {
		c := newClock()
		b := signIn(t, open(t, c), "alice", "wonderland")
		for range 23 {
			c.now = c.now.Add(30 * time.Minute)
			res, _ := b.get("/")
			b.wantStatus(res, http.StatusOK)
		}
		c.now = c.now.Add(30 * time.Minute)
		res, _ := b.get("/")
		b.wantStatus(res, http.StatusFound)
	})
	t.Run("when their cookie is doubled", func(t *testing.T) {
		srv := open(t, newClock())
		b := signIn(t, srv, "alice", "wonderland")
		res, _ := b.send(http.MethodGet, "/auth", "", "Cookie", "oldbank_session=other")
		b.wantStatus(res, http.StatusFound)
	})
}

func TestTransferMovesMoney(t *testing.T) {
	srv := open(t, newClock())
	alice, bob := signIn(t, srv, "alice", "wonderland"), signIn(t, srv, "bob", "builder")
	alice.wantBalance("5763.60")
	bob.wantBalance("3685.75")

	res, _ := alice.submit("/transfer", "to", "bob", "amount", "12.50", "note", "Lunch & <tea>")
	alice.wantStatus(res, http.StatusSeeOther)
	receipt := res.Header.Get("Location")
	_, body := alice.get(receipt)
	for _, want := range []string{"€12.50", "Bob Mason", "Lunch &amp; &lt;tea&gt;", "€5,751.10"} {
		if !strings.Contains(body, want) {
			t.Errorf("receipt lacks %q: %s", want, body)
		}
	}
	alice.wantBalance("5751.10")
	bob.wantBalance("3698.25")

	// The payee has the receipt too, a third party does not.
	res, _ = bob.get(receipt)
	bob.wantStatus(res, http.StatusOK)
	carol := signIn(t, srv, "carol", "looking-glass")
	res, _ = carol.get(receipt)
	carol.wantStatus(res, http.StatusNotFound)
}

func TestTransferRefused(t *testing.T) {
	b := signIn(t, open(t, newClock()), "alice", "wonderland")
	for name, form := range map[string][3]string{
		"amount missing":    {"bob", "", ""},
		"amount zero":       {"bob", "0.00", ""},
		"amount negative":   {"bob", "-5", ""},
		"amount too fine":   {"bob", "1.005", ""},
		"amount too large":  {"bob", "1000000.01", ""},
		"balance too small": {"bob", "5763.61", ""},
		"to oneself":        {"alice", "1", ""},
		"to nobody":         {"mallory", "1", ""},
		"to a shop":         {"City Power and Light", "1", ""},
		"note too long":     {"bob", "1", strings.Repeat("ü", 141)},
		"note of two lines": {"bob", "1", "a\r\nb"},
	} {
		t.Run(name, func(t *testing.T) {
			res, body := b.submit("/transfer", "to", form[0], "amount", form[1], "note", form[2])
			b.wantStatus(res, http.StatusUnprocessableEntity)
			if !strings.Contains(body, `role="alert"`) {
				t.Errorf("no message: %s", body)
			}
			b.wantBalance("5763.60")
		})
	}
}

func TestFormsNeedTheirToken(t *testing.T) {
	srv := open(t, newClock())
	b := signIn(t, srv, "carol", "looking-glass")
	_, page := signIn(t, srv, "carol", "looking-glass").get("/")
	other := csrfField.FindStringSubmatch(page)[1]

	for _, token := range []string{"", "x", other} {
		for path, form := range map[string][]string{
			"/transfer":     {"to", "bob", "amount", "1"},
			"/admin/freeze": {"user", "bob"},
			"/logout":       nil,
		} {
			res, _ := b.post(path, append(form, "csrf", token)...)
			b.wantStatus(res, http.StatusForbidden)
		}
	}
	own := csrfField.FindStringSubmatch(func() string { _, page := b.get("/"); return page }())[1]
	res, _ := b.post("/transfer?csrf="+own, "to", "bob", "amount", "1")
	b.wantStatus(res, http.StatusForbidden)
	if _, body := b.get("/admin/"); strings.Contains(body, "Frozen") {
		t.Error("an account was frozen")
	}
}

func TestAdminIsCarolsAlone(t *testing.T) {
	srv := open(t, newClock())
	alice, bob := signIn(t, srv, "alice", "wonderland"), signIn(t, srv, "bob", "builder")
	carol := signIn(t, srv, "carol", "looking-glass")
	for _, path := range []string{"/admin/", "/admin/audit", "/admin/else"} {
		res, _ := alice.get(path)
		alice.wantStatus(res, http.StatusForbidden)
	}
	res, _ := alice.submit("/admin/freeze", "user", "bob")
	alice.wantStatus(res, http.StatusForbidden)

	if _, body := alice.get("/"); strings.Contains(body, "/admin/") {
		t.Error("alice is shown the admin pages")
	}
	res, _ = carol.submit("/admin/freeze", "user", "bob")
	carol.wantStatus(res, http.StatusSeeOther)
	res, _ = bob.submit("/transfer", "to", "alice", "amount", "1")
	bob.wantStatus(res, http.StatusUnprocessableEntity)
	bob.wantBalance("3685.75")
	if _, body := carol.get("/admin/"); !strings.Contains(body, "Frozen") {
		t.Errorf("customers: %s", body)
	}
	if _, body := carol.get("/admin/audit"); !strings.Contains(body, "froze the account of bob") || strings.Contains(body, "builder") {
		t.Errorf("audit: %s", body)
	}
	res, _ = carol.submit("/admin/freeze", "user", "bob", "frozen", "no")
	carol.wantStatus(res, http.StatusSeeOther)
	res, _ = bob.submit("/transfer", "to", "alice", "amount", "1")
	bob.wantStatus(res, http.StatusSeeOther)

	for _, form := range [][]string{{"user", "carol"}, {"user", "mallory"}, {"user", "bob", "frozen", "perhaps"}} {
		res, _ := carol.submit("/admin/freeze", form...)
		carol.wantStatus(res, http.StatusUnprocessableEntity)
	}
	res, _ = carol.get("/admin")
	carol.wantStatus(res, http.StatusTemporaryRedirect)
}

func TestStatements(t *testing.T) {
	c := newClock()
	srv := open(t, c)
	bob := signIn(t, srv, "bob", "builder")
	bob.submit("/transfer", "to", "alice", "amount", "7", "note", "=HYPERLINK(1)")

	alice := signIn(t, srv, "alice", "wonderland")
	res, body := alice.get("/statements/2026-03.csv")
	alice.wantStatus(res, http.StatusOK)
	if got := res.Header.Get("Content-Type"); got != "text/csv; charset=utf-8" {
		t.Errorf("Content-Type %q", got)
	}
	rows := strings.Split(strings.TrimSpace(body), "\n")
	if rows[1] != "2026-03-01,,Opening balance,,,5755.00" || rows[len(rows)-1] != "2026-03-31,,Closing balance,,,5770.60" {
		t.Errorf("statement:\n%s", body)
	}
	if want := ",Bob Mason,'=HYPERLINK(1),7.00,5770.60"; !strings.Contains(body, want) {
		t.Errorf("no line %q in\n%s", want, body)
	}
	for _, name := range []string{"2026-04.csv", "2025-11.csv", "2026-03", "2026-3.csv", "x.csv", ".csv"} {
		res, _ := alice.get("/statements/" + name)
		alice.wantStatus(res, http.StatusNotFound)
	}
}

func TestJSON(t *testing.T) {
	srv := open(t, newClock())
	nobody, alice := browse(t, srv), signIn(t, srv, "alice", "wonderland")
	res, _ := nobody.get("/api/balance")
	nobody.wantStatus(res, http.StatusUnauthorized)

	const order = `{"to":"bob","amount":"12.50","note":"Lunch"}`
	for _, tt := range []struct {
		name, contentType, body string
		want                    int
	}{
		{"form's content type", "text/plain", order, http.StatusUnsupportedMediaType},
		{"not JSON", "application/json", "to=bob", http.StatusBadRequest},
		{"unknown field", "application/json", `{"to":"bob","amount":"1","from":"carol"}`, http.StatusBadRequest},
		{"number for an amount", "application/json", `{"to":"bob","amount":1}`, http.StatusBadRequest},
		{"no amount", "application/json", `{"to":"bob"}`, http.StatusUnprocessableEntity},
		{"no payee", "application/json", `{"amount":"1"}`, http.StatusUnprocessableEntity},
		{"too large", "application/json", `{"note":"` + strings.Repeat("x", 16<<10), http.StatusRequestEntityTooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res, _ := alice.send(http.MethodPost, "/api/transfer", tt.body, "Content-Type", tt.contentType)
			alice.wantStatus(res, tt.want)
			alice.wantBalance("5763.60")
		})
	}
	res, body := alice.send(http.MethodPost, "/api/transfer", order, "Content-Type", "application/json; charset=utf-8")
	alice.wantStatus(res, http.StatusCreated)
	if !strings.Contains(body, `"from":"alice","to":"bob","amount":"12.50"`) {
		t.Errorf("answer %s", body)
	}
	alice.wantBalance("5751.10")
}

func TestWhoIsAsking(t *testing.T) {
	srv := open(t, newClock())
	nobody, alice := browse(t, srv), signIn(t, srv, "alice", "wonderland")

	for _, path := range []string{"/auth", "/session"} {
		res, _ := alice.send(http.MethodGet, path, "", "X-Bank-User", "carol")
		alice.wantStatus(res, http.StatusOK)
		if got := res.Header.Values("X-Bank-User"); len(got) != 1 || got[0] != "alice" {
			t.Errorf("%s: user %q", path, got)
		}
		res, _ = nobody.send(http.MethodGet, path, "", "X-Bank-User", "carol")
		nobody.wantStatus(res, http.StatusFound)
		if got := res.Header.Get("X-Bank-User"); got != "" || res.Header.Get("Location") != "/login" {
			t.Errorf("%s: user %q, to %q", path, got, res.Header.Get("Location"))
		}
	}
	if _, body := alice.get("/session"); body != `{"user":"alice"}`+"\n" {
		t.Errorf("session %s", body)
	}
	res, body := nobody.send(http.MethodGet, "/session", "", "Accept", "application/json")
	nobody.wantStatus(res, http.StatusOK)
	if body != `{"user":null}`+"\n" || res.Header.Get("X-Bank-User") != "" {
		t.Errorf("session of nobody: %v %s", res.Header, body)
	}

	for method, want := range map[string]string{http.MethodGet: "/login?next=%2Fadmin%2F%3Fpage%3D2", http.MethodPost: "/login"} {
		res, _ := nobody.send(http.MethodGet, "/auth", "", "X-Forwarded-Method", method, "X-Forwarded-Uri", "/admin/?page=2")
		if got := res.Header.Get("Location"); got != want {
			t.Errorf("%s: to %q, want %q", method, got, want)
		}
	}
}

func TestTwoBanksShareNothingButTheirSeed(t *testing.T) {
	c := newClock()
	one, two := open(t, c), open(t, c)
	alice := signIn(t, one, "alice", "wonderland")
	_, first := alice.get("/statements/2026-02.csv")
	alice.submit("/transfer", "to", "bob", "amount", "1")

	again := signIn(t, two, "alice", "wonderland")
	if _, second := again.get("/statements/2026-02.csv"); first != second {
		t.Errorf("seeds differ:\n%s\n%s", first, second)
	}
	again.wantBalance("5763.60")
}

func TestEveryPageRenders(t *testing.T) {
	srv := open(t, newClock())
	carol := signIn(t, srv, "carol", "looking-glass")
	for path, want := range map[string]int{
		"/": 200, "/transfer": 200, "/admin/": 200, "/admin/audit": 200, "/elsewhere": 404, "/admin/elsewhere": 404,
		"/assets/bank.css": 200, "/assets/bank.svg": 200, "/assets/else": 404, "/api/elsewhere": 404,
	} {
		res, body := carol.get(path)
		carol.wantStatus(res, want)
		if strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") && !strings.Contains(body, "</html>") {
			t.Errorf("%s is cut off", path)
		}
		if res.Header.Get("Content-Security-Policy") == "" {
			t.Errorf("%s has no content security policy", path)
		}
	}
	res, body := browse(t, srv).get("/login")
	if res.StatusCode != http.StatusOK || !strings.Contains(body, "</html>") {
		t.Errorf("login: %d %s", res.StatusCode, body)
	}
}
