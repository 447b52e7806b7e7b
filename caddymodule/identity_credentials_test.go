package caddymodule_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// acting is an application that says as whom it acted.
type acting struct {
	*httptest.Server
	mu    sync.Mutex
	acted []string
}

func newActing(t *testing.T, who func(*http.Request) string) *acting {
	a := new(acting)
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user := who(r)
		io.Copy(io.Discard, r.Body)
		if strings.HasPrefix(r.URL.Path, "/admin/") {
			a.mu.Lock()
			a.acted = append(a.acted, user)
			a.mu.Unlock()
		}
		w.Header().Set("Content-Type", "application/json")
		if user == "" {
			fmt.Fprint(w, `{"user":null}`)
			return
		}
		fmt.Fprintf(w, `{"user":%q}`, user)
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *acting) last() (string, int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.acted) == 0 {
		return "", 0
	}
	return a.acted[len(a.acted)-1], len(a.acted)
}

func cookieOf(r *http.Request, name string) string {
	if c, err := r.Cookie(name); err == nil {
		return c.Value
	}
	return ""
}

// redmine takes users' sessions, and for its API formats their keys and passwords
// instead.
func redmine(r *http.Request) string {
	users := map[string]string{"alice-session": "alice", "mallory-session": "mallory", "alice-key": "alice", "mallory-key": "mallory"}
	if !strings.HasSuffix(r.URL.Path, ".json") {
		return users[cookieOf(r, "_redmine_session")]
	}
	key := r.Header.Get("X-Redmine-API-Key")
	if key == "" {
		key = r.FormValue("key")
	}
	if key == "" {
		key = r.FormValue("access_token")
	}
	if user, _, ok := r.BasicAuth(); ok && key == "" {
		key = user
	}
	return users[key]
}

func (b *bed) siteBefore(url, identity, more string) string {
	site := b.identified("trusted_proxies static 127.0.0.1/32 ::1/128", identity+"\n"+more)
	return strings.ReplaceAll(site, strings.TrimPrefix(b.app.URL, "http://"), strings.TrimPrefix(url, "http://"))
}

// send sends a request to the protected path with fields, and returns its status.
func (p *person) send(method, target, body string, grant *http.Cookie, fields ...string) int {
	p.b.t.Helper()
	r, err := http.NewRequest(method, p.b.URL+target, strings.NewReader(body))
	if err != nil {
		p.b.t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	r.AddCookie(grant)
	resp, _ := p.b.send(r)
	return resp.StatusCode
}

const urlencoded = "application/x-www-form-urlencoded"

// TestS21SecondCredentialBesideSession: an application that takes another
// credential for some of its formats never gets it beside a session that passed.
func TestS21SecondCredentialBesideSession(t *testing.T) {
	b := newBed(t)
	app := newActing(t, redmine)
	whoami := `whoami ` + app.URL + `/my/account {
		json           /user
		session_cookie _redmine_session
	}`
	b.Load(b.siteBefore(app.URL, whoami, ""))
	b.bear("Cookie", "_redmine_session=alice-session")
	p := b.enroll("")
	grant := p.win("ADMIN")
	if status := p.send("GET", "/admin/", "", grant); status != 200 {
		t.Fatal("her own page:", status)
	}
	hexKey := "0123456789abcdef0123456789abcdef01234567"
	for _, c := range []struct {
		name, method, target, body string
		fields                     []string
	}{
		{"Basic", "DELETE", "/admin/p.json", "", []string{"Authorization", "Basic bWFsbG9yeS1rZXk6eA=="}},
		{"Basic of nobody", "GET", "/admin/", "", []string{"Authorization", "Basic eDp5"}},
		{"Bearer", "DELETE", "/admin/p.json", "", []string{"Authorization", "Bearer x"}},
		{"a key's field", "DELETE", "/admin/p.json", "", []string{"X-Redmine-API-Key", "mallory-key"}},
		{"another user's name", "DELETE", "/admin/p.json", "", []string{"X-Redmine-Switch-User", "mallory"}},
		{"a usual key", "DELETE", "/admin/p.json", "", []string{"X-API-Key", "k"}},
		{"a key in the query", "DELETE", "/admin/p.json?key=" + hexKey, "", nil},
		{"an encoded name", "DELETE", "/admin/p.json?%2561ccess_token=x", "", nil},
		{"a name in capitals", "DELETE", "/admin/p.json?a=1&API-KEY=x", "", nil},
		{"with a subscript", "DELETE", "/admin/p.json?api_key[]=x", "", nil},
		{"behind a semicolon", "DELETE", "/admin/p.json?a=b;access_token=x", "", nil},
		{"in a servlet's path", "GET", "/admin/p;jsessionid=x", "", nil},
		{"in a servlet's path, encoded", "GET", "/admin/p%3bJSESSIONID=x", "", nil},
		{"a token in a form", "POST", "/admin/p.json", "a=1&access_token=mallory-key", []string{"Content-Type", urlencoded}},
		{"a token in a form, encoded", "POST", "/admin/p.json", "access%5Ftoken=mallory-key", []string{"Content-Type", urlencoded}},
		{"a token in a form without a type", "POST", "/admin/p.json", "access_token=mallory-key", nil},
		{"a token in a form of parts", "POST", "/admin/p.json", "--B\r\nContent-Disposition: form-data; name=\"access_token\"\r\n\r\nx\r\n--B--\r\n", []string{"Content-Type", "multipart/form-data; boundary=B"}},
	} {
		_, before := app.last()
		if status := p.send(c.method, c.target, c.body, grant, c.fields...); status != 400 {
			t.Errorf("%s: %d, want 400", c.name, status)
		}
		if user, after := app.last(); after != before {
			t.Errorf("%s: reached the application, which acted as %q", c.name, user)
		}
	}
	if log := b.Log(); !strings.Contains(log, "credentials { ignore header Authorization }") || strings.Contains(log, "mallory-key") {
		t.Error("the log does not say what to write, or has a credential in it")
	}

	// What honest requests have.
	for _, c := range []struct{ target, body, contentType string }{
		{"/admin/callback?code=SplxlOBeZQQYbYS6WxSbIA&state=af0ifjsldkj0123456789abcdef01234567&session_state=1", "", ""},
		{"/admin/cb?oauth_token=ab3cd9j4ks73hf7g&oauth_verifier=xyz", "", ""},
		{"/admin/?token=0123456789abcdef0123456789abcdef&_wpnonce=0123456789&key=settings.title", "", ""},
		{"/admin/search?q=access_token&sort=key&key=name", "", ""},
		{"/admin/a;v=1/b?x=%2F&y=@scope%2fname", "", ""},
		{"/admin/password", "authenticity_token=x&_token=y&token=z&password=a&password_confirmation=a&user=u&api_key=service", urlencoded},
		{"/admin/save", `{"access_token":"of a service","api_key":"k","password":"p"}`, "application/json"},
		{"/admin/rpc", "<methodCall/>", "text/xml"},
		{"/admin/upload", strings.Repeat("x", 3<<20), "application/octet-stream"},
		{"/admin/upload", "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"access_token\"\r\n\r\n" + strings.Repeat("x", 3<<20) + "\r\n--B--\r\n", "multipart/form-data; boundary=B"},
		{"/admin/empty?access_token=", "access_token=", urlencoded},
	} {
		method, fields := "GET", []string(nil)
		if c.body != "" {
			method, fields = "POST", []string{"Content-Type", c.contentType}
		}
		if status := p.send(method, c.target, c.body, grant, append(fields, "X-CSRF-Token", "x", "X-WP-Nonce", "x", "X-Transmission-Session-Id", "x")...); status != 200 {
			t.Errorf("%s %s: %d, want 200", c.target, c.contentType, status)
		}
	}
}

// TestS21NamedCredentials: places that the operator names are asked about, ignored
// or denied.
func TestS21NamedCredentials(t *testing.T) {
	b := newBed(t)
	app := newActing(t, redmine)
	whoami := `whoami ` + app.URL + `/me.json {
		json /user
	}`
	b.Load(b.siteBefore(app.URL, whoami, `credentials {
		header X-Redmine-API-Key
		query  key
		field  session_id /auth/token
		ignore cookie theme
		ignore header X-Api-Key
		ignore query access_token
		ignore field access_token
		deny   header X-Redmine-Switch-User
		deny   field xp
	}`))
	b.bear("X-Redmine-API-Key", "alice-key", "Cookie", "theme=dark")
	p := b.enroll("")
	grant := p.win("ADMIN")
	for _, c := range []struct {
		name, target, body string
		status             int
		fields             []string
	}{
		{"by key", "/admin/p.json", "", 200, nil},
		{"with Basic of the same user", "/admin/p.json", "", 400, []string{"Authorization", "Basic bWFsbG9yeS1rZXk6eA=="}},
		{"ignored field and query", "/admin/p.json?access_token=x", "access_token=x", 200, []string{"X-Api-Key", "k", "Content-Type", urlencoded}},
		{"named query", "/admin/p.json?key=short", "", 400, nil},
		{"named field", "/admin/p.json", "session_id=x", 400, []string{"Content-Type", urlencoded}},
		{"named field of JSON", "/admin/p.json", `{"session_id":"x"}`, 400, []string{"Content-Type", "application/json"}},
		{"named pointer", "/admin/p.json", `{"auth":{"token":"x"}}`, 400, []string{"Content-Type", "application/json"}},
		{"compressed", "/admin/p.json", "xx", 400, []string{"Content-Type", "application/json", "Content-Encoding", "gzip"}},
		{"other JSON", "/admin/p.json", `{"auth":{"tokens":"x"}}`, 200, []string{"Content-Type", "application/json"}},
		{"denied", "/admin/p.json", "", 400, []string{"X-Redmine-Switch-User", "x"}},
		{"denied field", "/admin/p.json", "xp=1", 400, []string{"Content-Type", urlencoded}},
	} {
		method := "GET"
		if c.body != "" {
			method = "POST"
		}
		if status := p.send(method, c.target, c.body, grant, c.fields...); status != c.status {
			t.Errorf("%s: %d, want %d", c.name, status, c.status)
		}
	}
}

// wordpress reads a cookie of its own name for HTTPS.
func wordpress(r *http.Request) string {
	if r.Header.Get("X-Forwarded-Proto") == "https" {
		return cookieOf(r, "wordpress_sec_ab")
	}
	return cookieOf(r, "wordpress_logged_in_ab")
}

// TestS21SameSchemeAndHost: whoami asks as the request came, so that an application
// which goes by the scheme or the host names the user as whom it acts.
func TestS21SameSchemeAndHost(t *testing.T) {
	for name, who := range map[string]func(*http.Request) string{
		"scheme": wordpress,
		"host": func(r *http.Request) string {
			return cookieOf(r, "sid_"+strings.Split(r.Host, ":")[0])
		},
		"forwarded host": func(r *http.Request) string {
			return cookieOf(r, "sid_"+strings.Split(r.Header.Get("X-Forwarded-Host"), ":")[0])
		},
		"address": func(r *http.Request) string {
			if strings.HasPrefix(r.Header.Get("X-Forwarded-For"), "192.0.2.1, ") {
				return "alice"
			}
			return "mallory"
		},
		"user agent": func(r *http.Request) string { return r.UserAgent() },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			app := newActing(t, who)
			b.Load(b.siteBefore(app.URL, `whoami `+app.URL+`/me {
				json /user
			}`, ""))
			b.bear("Cookie", "wordpress_sec_ab=alice; wordpress_logged_in_ab=mallory; sid_localhost=alice; sid_127.0.0.1=mallory; sid_=mallory",
				"X-Forwarded-Proto", "https", "X-Forwarded-For", "192.0.2.1", "User-Agent", "alice")
			p := b.enroll("")
			grant := p.win("ADMIN")
			if status := p.send("GET", "/admin/", "", grant); status != 200 {
				t.Fatal(status)
			}
			if user, n := app.last(); user != "alice" || n != 1 {
				t.Errorf("the application acted as %q, %d times", user, n)
			}
			resp, me := p.do("GET", "/.step-up/api/me", nil)
			if me["user_id"] != "alice" {
				t.Errorf("the gateway sees %v (%s)", me["user_id"], resp.Status)
			}
		})
	}
}

// TestS21AuthorizationBesidePlaceholder: what Caddy's basic_auth checked is vouched
// for; what nobody checked is not.
func TestS21AuthorizationBesidePlaceholder(t *testing.T) {
	b := newBed(t)
	b.Load(b.config(keyFile, protectAdmin, ""))
	b.bear("X-Test-User", "alice")
	p := b.enroll("")
	grant := p.win("ADMIN")
	for _, field := range []string{"Basic YWxpY2U6eA==", "Bearer x", "Negotiate x", "x"} {
		if status := p.send("GET", "/admin/", "", grant, "Authorization", field); status != 400 {
			t.Errorf("%s beside a variable: %d, want 400", field, status)
		}
	}
	b.Load(b.config(keyFile, "credentials {\nignore header authorization\n}\n"+protectAdmin, ""))
	if status := p.send("GET", "/admin/", "", grant, "Authorization", "Bearer x"); status != 200 {
		t.Errorf("ignored: %d, want 200", status)
	}

	hash, err := bcrypt.GenerateFromPassword([]byte("x"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	site := strings.Replace(b.config(keyFile, protectAdmin, ""), "vars user {header.X-Test-User}", "basic_auth {\nalice "+string(hash)+"\n}", 1)
	b.Load(strings.Replace(site, "{http.vars.user}", "{http.auth.user.id}", 1))
	b.bear("Authorization", "Basic YWxpY2U6eA==")
	if status := p.send("GET", "/admin/", "", grant); status != 200 {
		t.Errorf("Basic that Caddy checked: %d, want 200", status)
	}
	if status := p.send("GET", "/admin/", "", grant, "X-Api-Key", "x"); status != 400 {
		t.Errorf("a key beside Basic: %d, want 400", status)
	}
}

// TestS21ApplicationGetsTheNameAsWritten: folding is ours, the name the source's.
func TestS21ApplicationGetsTheNameAsWritten(t *testing.T) {
	b := newBed(t)
	b.Load(b.config(keyFile, protectAdmin, ""))
	b.bear("X-Test-User", "Jos\u0301e MARIA")
	p := b.enroll("")
	grant := p.win("ADMIN")
	if status := p.send("GET", "/admin/", "", grant); status != 200 {
		t.Fatal(status)
	}
	got := b.app.requests()
	if name := got[len(got)-1].Header.Get("Step-Up-User"); name != "Jos\u0301e MARIA" {
		t.Errorf("the application was told of %q", name)
	}
	b.bear("X-Test-User", "jo\u015be maria") // the same, composed and in small letters
	if status := p.send("GET", "/admin/", "", grant); status != 200 {
		t.Errorf("the same user in another spelling: %d", status)
	}
	for _, id := range []string{"\u212aelly", "\u017fam", "stra\u00dfe", "\ufb01nn", "alice\u00a0"} {
		b.bear("X-Test-User", id)
		if status := p.send("GET", "/admin/", "", grant); status != 403 {
			t.Errorf("%q: %d, want 403", id, status)
		}
		if resp, _ := p.do("POST", "/.step-up/api/totp", map[string]string{}); resp.StatusCode != 403 {
			t.Errorf("%q enrolling: %d, want 403", id, resp.StatusCode)
		}
	}
	if !strings.Contains(b.Log(), "user_id exact") {
		t.Error("the log does not say what to do")
	}
}

// Accounts that are stored under an id that nobody has today are listed, and can be
// reset; who has that id is refused and never enrolls anew.
func TestS21AccountsUnderAnotherFolding(t *testing.T) {
	b := newBed(t)
	b.Load(b.config(keyFile, "user_id exact\n"+protectAdmin, ""))
	b.bear("X-Test-User", "stra\u00dfe")
	p := b.enroll("")
	b.Load(b.config(keyFile, protectAdmin, ""))
	p.do("GET", "/", nil) // on a connection to the new server
	if resp, _ := p.do("POST", "/.step-up/api/totp", map[string]string{}); resp.StatusCode != 403 {
		t.Errorf("enrolling anew: %d, want 403", resp.StatusCode)
	}
	b.bear("X-Test-User", "alice")
	b.enroll("")
	_, answer := b.admin("POST", "/step_up/users", map[string]any{})
	listed, _ := answer["users"].([]any)
	if len(listed) != 2 {
		t.Fatal(answer)
	}
	for _, u := range listed {
		u := u.(map[string]any)
		if marked := u["rename"] == true; marked != (u["user"] == "stra\u00dfe") {
			t.Errorf("%v is marked: %v", u["user"], marked)
		}
	}
	if status, answer := b.admin("POST", "/step_up/reset", map[string]any{"user": "stra\u00dfe"}); status != 200 {
		t.Errorf("resetting: %d %v", status, answer)
	}
}
