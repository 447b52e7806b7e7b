//go:build components

package components

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/tests/apps"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// wordpressSite serves WordPress over HTTPS and asks it over plain HTTP, as
// reverse_proxy does. No page of WordPress's own can be asked: those of the
// administration want a cookie that browsers only send there, and the others show
// names that people choose. CREDENTIALS is replaced.
const wordpressSite = `{
	admin GW_ADMIN
	persist_config off
	auto_https disable_redirects
	skip_install_trust
	step_up {
		issuer "Test"
		store badger {
			dir GW_DIR/data
		}
		key_file GW_DIR/key
		enrollment first_use
		totp {
			skew 2
		}
	}
}
https://localhost:GW_PORT {
	bind 127.0.0.1
	tls internal
	step_up {
		tenant t
		identity whoami http://APPLICATION/?step_up_whoami=1 {
			json /user
		}
		CREDENTIALS
		protect CHANGE {
			unsafe
			except /wp-login.php
			grant time_based 10m
		}
	}
	# XML-RPC takes a name and a password in a body that says to be anything.
	@xmlrpc path_regexp (?i)xmlrpc
	error @xmlrpc 403
	reverse_proxy GW_UPSTREAM
}
`

// wordpress is WordPress behind a gateway.
type wordpress struct {
	addr, dir string
	up        *tap
	g         *gateway.Gateway
}

func (w *wordpress) site(credentials string) string {
	return strings.NewReplacer("APPLICATION", w.addr, "CREDENTIALS", credentials).Replace(wordpressSite)
}

func newWordpress(t *testing.T) *wordpress {
	t.Helper()
	w := new(wordpress)
	w.addr, w.dir = apps.WordPress(t)
	apps.Write(t, w.dir+"/wp-content/mu-plugins/whoami.php", apps.WhoamiPlugin)
	w.up = newTap(t, w.addr)
	w.g = gateway.Start(t, w.site(""), gateway.Options{Upstream: w.up.addr})
	w.g.URL = "https://localhost:" + w.g.Host[strings.LastIndexByte(w.g.Host, ':')+1:]
	// The certificate is made after the start.
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		conn, err := tls.Dial("tcp", w.g.Host, &tls.Config{ServerName: "localhost", InsecureSkipVerify: true})
		if err == nil {
			conn.Close()
			return w
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// person is somebody with a browser that is not signed in.
func (w *wordpress) person(name string) *gateway.Person {
	p := w.g.NewPerson(name)
	p.Client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{InsecureSkipVerify: true} // the internal CA
	return p
}

// signIn signs in by WordPress's own form.
func (w *wordpress) signIn(t *testing.T, name string) *gateway.Person {
	t.Helper()
	p := w.person(name)
	visit(t, p, "/wp-login.php") // sets the cookie that tells of cookies
	form := url.Values{"log": {name}, "pwd": {"password of " + name}, "wp-submit": {"Log In"}, "testcookie": {"1"}, "redirect_to": {w.g.URL + "/wp-admin/"}}
	resp, body, err := p.Do("POST", "/wp-login.php", map[string]string{"Content-Type": urlencoded, "Sec-Fetch-Site": "same-origin"}, strings.NewReader(form.Encode()))
	if err != nil || resp.StatusCode != http.StatusFound || !strings.HasSuffix(resp.Header.Get("Location"), "/wp-admin/") {
		t.Fatalf("signing in: %v %v %.500s", resp, err, body)
	}
	return p
}

// cookies are those that a browser sends to /wp-admin/, by name.
func (w *wordpress) cookies(t *testing.T, p *gateway.Person) map[string]string {
	t.Helper()
	at, err := url.Parse(w.g.URL + "/wp-admin/")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, c := range p.Client.Jar.Cookies(at) {
		all[c.Name] = c.Value
	}
	return all
}

func joined(all map[string]string) string {
	var pairs []string
	for name, value := range all {
		pairs = append(pairs, name+"="+value)
	}
	return strings.Join(pairs, "; ")
}

// names lists people's first names and who wrote which posts.
func (w *wordpress) names(t *testing.T) string {
	t.Helper()
	apps.Write(t, w.dir+"/names.php", `<?php
require __DIR__ . '/wp-load.php';
foreach (['alice', 'mallory'] as $name) { $u = get_user_by('login', $name); echo $name, '=', $u->first_name, ';', $u->user_email, ' '; }
foreach (get_posts(['numberposts' => -1, 'post_status' => 'any']) as $p) echo get_userdata($p->post_author)->user_login, ':', $p->post_title, ' ';
`)
	return apps.PHPScript(t, w.dir, "names.php")
}

// send sends a form, or what else the type says, with these cookies.
func (w *wordpress) send(t *testing.T, method, path, cookie, kind, body string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, w.g.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", kind)
	if cookie != "" {
		req.Header.Set("Cookie", cookie)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := w.person("").Client.Transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}

var profileFields = regexp.MustCompile(`<input type="hidden" (?:id="[^"]*" )?name="([^"]+)" (?:id="[^"]*" )?value="([^"]*)"`)

// profileForm is the form of the profile that WordPress shows for these cookies, with a
// first name, and whose it is.
func (w *wordpress) profileForm(t *testing.T, cookie, first string) (form url.Values, whose string) {
	t.Helper()
	status, page := w.send(t, "GET", "/wp-admin/profile.php", cookie, "", "")
	_, page, found := strings.Cut(page, `<form id="your-profile"`)
	_, whose, _ = strings.Cut(page, `name="user_login" id="user_login" value="`)
	whose, _, _ = strings.Cut(whose, `"`)
	form = url.Values{"first_name": {first}, "last_name": {""}, "nickname": {whose}, "display_name": {whose}, "email": {whose + "@example.com"}, "submit": {"Update Profile"}}
	for _, m := range profileFields.FindAllStringSubmatch(page, -1) {
		form.Set(m[1], m[2])
	}
	if !found || form.Get("_wpnonce") == "" || form.Get("user_id") == "" {
		t.Fatalf("no form of a profile: %d %v %.500s", status, form, page)
	}
	return form, whose
}

// plainCookies are what WordPress sets where somebody signs in over plain HTTP.
func (w *wordpress) plainCookies(t *testing.T, name string) map[string]string {
	t.Helper()
	form := url.Values{"log": {name}, "pwd": {"password of " + name}, "wp-submit": {"Log In"}}
	req, err := http.NewRequest("POST", "http://"+w.addr+"/wp-login.php", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = strings.TrimPrefix(w.g.URL, "https://")
	req.Header.Set("Content-Type", urlencoded)
	resp, err := new(http.Transport).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	all := make(map[string]string)
	for _, c := range resp.Cookies() {
		all[c.Name] = c.Value
	}
	return all
}

// TestS21WordPress: over HTTPS WordPress goes by other cookies than over HTTP, and in
// its administration by others than elsewhere. Cookies of two people are one person's
// to gateway and application alike, though the gateway asks WordPress over plain HTTP.
func TestS21WordPress(t *testing.T) {
	w := newWordpress(t)
	alice, mallory := w.signIn(t, "alice"), w.signIn(t, "mallory")
	mallory.Enroll(t, "")
	mallory.StepUp(t, "CHANGE")
	hers, his := w.cookies(t, alice), w.cookies(t, mallory)
	var sec, in string
	for name := range his {
		switch {
		case strings.HasPrefix(name, "wordpress_sec_"):
			sec = name
		case strings.HasPrefix(name, "wordpress_logged_in_"):
			in = name
		}
	}
	plain := "wordpress_" + strings.TrimPrefix(sec, "wordpress_sec_")
	overHTTP := w.plainCookies(t, "mallory")
	if sec == "" || in == "" || hers[sec] == "" || overHTTP[plain] == "" || overHTTP[in] == "" {
		t.Fatalf("WordPress has other cookies: %v, and over HTTP %v", his, overHTTP)
	}
	mixed := func(change ...string) string {
		all := make(map[string]string)
		for name, value := range his {
			all[name] = value
		}
		for i := 0; i < len(change); i += 2 {
			all[change[i]] = change[i+1]
		}
		return joined(all)
	}
	// change has the profile changed that WordPress shows for these cookies.
	change := func(t *testing.T, cookie, first string) (status int, whose string) {
		t.Helper()
		form, whose := w.profileForm(t, cookie, first)
		status, _ = w.send(t, "POST", "/wp-admin/profile.php", cookie, urlencoded, form.Encode())
		return status, whose
	}
	cases := []struct {
		name, cookie, whose string
		named               int // where the cookies are named one by one
	}{
		{"the administration's of the other", mixed(sec, hers[sec]), "alice", http.StatusBadRequest},
		{"the administration's of the other, and one for HTTP", mixed(sec, hers[sec], plain, overHTTP[plain]), "alice", http.StatusBadRequest},
		{"the administration's of the other, and all for HTTP", mixed(sec, hers[sec], plain, overHTTP[plain], in, overHTTP[in]), "alice", http.StatusBadRequest},
		{"both of the other", mixed(sec, hers[sec], in, hers[in]), "alice", http.StatusUnauthorized},
		{"the site's of the other", mixed(in, hers[in]), "mallory", http.StatusBadRequest},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			before := w.names(t)
			status, whose := change(t, c.cookie, "by mallory")
			if whose != c.whose {
				t.Fatalf("WordPress takes the cookies for those of %q", whose)
			}
			after := w.names(t)
			if whose == "alice" && (status != http.StatusUnauthorized || after != before) {
				t.Errorf("%d, and now there are %s", status, after)
			}
			if whose == "mallory" && (status != http.StatusFound || !strings.Contains(after, "mallory=by mallory;") || !strings.Contains(after, "alice=;")) {
				t.Errorf("%d, and now there are %s", status, after)
			}
		})
	}

	if err := w.g.Load(w.site("credentials {\n\t\t\tcookie wordpress_sec_* wordpress_logged_in_*\n\t\t}")); err != nil {
		t.Fatal(err)
	}
	secret := w.applicationPassword(t, "alice")
	before := w.names(t)
	t.Run("named", func(t *testing.T) {
		for _, c := range cases {
			if status, _ := change(t, c.cookie, "again"); status != c.named {
				t.Errorf("%s: %d, want %d", c.name, status, c.named)
			}
		}
		const post = `{"title": "by mallory", "status": "publish"}`
		if status, body := w.send(t, "POST", "/wp-json/wp/v2/posts", joined(his), "application/json", post, "Authorization", secret); status != http.StatusBadRequest {
			t.Errorf("an application password of the other: %d %.300s", status, body)
		}
		const call = `<?xml version="1.0"?><methodCall><methodName>wp.newPost</methodName><params><param><value><int>1</int></value></param><param><value><string>alice</string></value></param><param><value><string>password of alice</string></value></param><param><value><struct><member><name>post_title</name><value><string>by XML-RPC</string></value></member></struct></value></param></params></methodCall>`
		for _, path := range []string{"/xmlrpc.php", "//xmlrpc.php", "/XMLRPC.php", "/xmlrpc.php/x", "/%78mlrpc.php"} {
			if status, body := w.send(t, "POST", path, joined(his), "text/xml", call); status != http.StatusForbidden {
				t.Errorf("%s: %d %.300s", path, status, body)
			}
		}
		if after := w.names(t); after != before {
			t.Errorf("now there are %s, before there were %s", after, before)
		}
		if resp, err := http.Post("http://"+w.addr+"/xmlrpc.php", "text/xml", strings.NewReader(call)); err != nil || !strings.Contains(w.names(t), "alice:by XML-RPC ") {
			t.Errorf("without the gateway XML-RPC changes nothing, so that this shows nothing: %v %v", resp, err)
		}
	})
	t.Run("honest", func(t *testing.T) { w.honest(t, alice, mallory, secret) })
}

// applicationPassword makes one, as Authorization has it.
func (w *wordpress) applicationPassword(t *testing.T, name string) string {
	t.Helper()
	apps.Write(t, w.dir+"/password.php", `<?php
require __DIR__ . '/wp-load.php';
echo 'secret ', WP_Application_Passwords::create_new_application_password(get_user_by('login', '`+name+`')->ID, ['name' => 'program'])[0];
`)
	_, password, found := strings.Cut(apps.PHPScript(t, w.dir, "password.php"), "secret ")
	if !found {
		t.Fatal("there is no application password")
	}
	req := &http.Request{Header: make(http.Header)}
	req.SetBasicAuth(name, strings.TrimSpace(password))
	return req.Header.Get("Authorization")
}

// honest does what people and programs do with credentials of their own.
func (w *wordpress) honest(t *testing.T, alice, mallory *gateway.Person, secret string) {
	// A form, held until there is a proof: WordPress accepts its own nonce afterwards.
	alice.Enroll(t, "")
	form, _ := w.profileForm(t, joined(w.cookies(t, alice)), "Älice & co")
	challenge, err := sendForm(alice, "/wp-admin/profile.php", form.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if resp, body, err := alice.Do("GET", prove(t, alice, challenge), cameBack, nil); err != nil || resp.StatusCode != http.StatusFound || !strings.Contains(w.names(t), "alice=Älice &amp; co;") {
		t.Errorf("coming back: %v %v %.500s, and now there are %s", resp, err, body, w.names(t))
	}
	// The editor, which sends the cookie of the whole site and a nonce.
	resp, nonce, err := mallory.Do("GET", "/wp-admin/admin-ajax.php?action=rest-nonce", nil, nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("asking for a nonce: %v %v", resp, err)
	}
	post := func(p *gateway.Person, title string, header map[string]string) {
		t.Helper()
		header["Content-Type"] = "application/json"
		resp, body, err := p.Do("POST", "/wp-json/wp/v2/posts", header, strings.NewReader(`{"title": "`+title+`", "status": "publish"}`))
		if err != nil || resp.StatusCode != http.StatusCreated || !strings.Contains(w.names(t), p.Name+":"+title+" ") {
			t.Errorf("%s: %v %v %.300s", title, resp, err, body)
		}
	}
	post(mallory, "by the editor", map[string]string{"X-WP-Nonce": string(nonce)})
	// A program with an application password.
	program := w.person("alice")
	program.App = alice.App
	program.Client.Transport = withField{"Authorization", secret, program.Client.Transport}
	program.StepUp(t, "CHANGE")
	post(program, "by a program", map[string]string{})
}
