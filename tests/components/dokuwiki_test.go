//go:build components

package components

import (
	"crypto/md5"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/freeport"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// wiki is Debian's DokuWiki with its configuration and pages in a directory of the
// test's own; the program itself is used where the package put it.
type wiki struct{ addr, dir string }

// dokuwiki runs it on PHP's own server, which its index.php is made for.
func dokuwiki(t *testing.T) wiki {
	t.Helper()
	const code, system = "/usr/share/dokuwiki", "/etc/dokuwiki"
	if _, err := os.Stat(code + "/doku.php"); err != nil {
		t.Fatalf("dokuwiki is missing: run .ci/components: %v", err)
	}
	w := wiki{dir: t.TempDir()}
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(w.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files, err := os.ReadDir(system)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		// What the package links elsewhere are the accounts and their rights.
		if f.Type() != 0 || f.Name() == "local.php" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(system, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		write("conf/"+f.Name(), string(text))
	}
	protected, err := os.ReadFile("../../examples/dokuwiki/local.protected.php")
	if err != nil {
		t.Fatal(err)
	}
	write("conf/local.protected.php", string(protected))
	write("conf/local.php", fmt.Sprintf("<?php\n$conf['savedir'] = '%s/data';\n$conf['useacl'] = 1;\n$conf['superuser'] = '@admin';\n", w.dir))
	write("conf/acl.auth.php", "# <?php exit()?>\n* @ALL 1\n* @user 16\n")
	write("conf/users.auth.php", fmt.Sprintf("# <?php exit()?>\nalice:%x:Alice <b>Adams</b>:alice@localhost:user\nbob:%x:Bob:bob@localhost:user\n",
		md5.Sum([]byte("wonderland")), md5.Sum([]byte("builder"))))
	// Debian's own way to another configuration, before its router.
	write("router.php", fmt.Sprintf("<?php\nif (!defined('DOKU_CONF')) define('DOKU_CONF', '%s/conf/');\nreturn require '%s/index.php';\n", w.dir, code))
	for _, d := range []string{"attic", "cache", "index", "locks", "log", "media", "media_attic", "media_meta", "meta", "tmp"} {
		if err := os.MkdirAll(filepath.Join(w.dir, "data", d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write("data/pages/start.txt", "The first page.\n")
	write("data/pages/kept.txt", "This page stays as it is.\n")

	php, port := program(t, "php"), freeport.Find(t)
	cmd := exec.Command(php, "-d", "session.save_path="+w.dir+"/data/tmp", "-S", "127.0.0.1:"+port, "-t", code, w.dir+"/router.php")
	w.addr = serve(t, port, cmd)
	return w
}

// page is what the wiki has on disk.
func (w wiki) page(name string) string {
	text, err := os.ReadFile(filepath.Join(w.dir, "data/pages", name+".txt"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// changers are the users who changed a page, as the wiki's log of changes has them:
// time, address, kind, page and user, with a tab between.
func (w wiki) changers(name string) string {
	text, err := os.ReadFile(filepath.Join(w.dir, "data/meta", name+".changes"))
	if err != nil {
		return ""
	}
	var users []string
	for line := range strings.Lines(string(text)) {
		if fields := strings.Split(line, "\t"); len(fields) > 4 && fields[4] != "" {
			users = append(users, fields[4])
		}
	}
	return strings.Join(users, " ")
}

// pages counts the pages.
func (w wiki) pages(t *testing.T) (n int) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(w.dir, "data/pages"), func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

var hidden = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"`)

// fieldsOf are the hidden fields of a form on a page.
func fieldsOf(t *testing.T, page, form string) url.Values {
	t.Helper()
	_, after, found := strings.Cut(page, `id="`+form+`"`)
	within, _, closed := strings.Cut(after, "</form>")
	if !found || !closed {
		t.Fatalf("no form %s in %s", form, page)
	}
	fields := make(url.Values)
	for _, m := range hidden.FindAllStringSubmatch(within, -1) {
		fields.Set(m[1], m[2])
	}
	return fields
}

// signIn signs in by the wiki's own form, as a browser does.
func signIn(t *testing.T, p *gateway.Person, user, password string) {
	t.Helper()
	form := fieldsOf(t, visit(t, p, "/doku.php?id=start&do=login"), "dw__login")
	form.Set("u", user)
	form.Set("p", password)
	resp, body, err := p.Do("POST", "/doku.php?id=start", map[string]string{
		"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "document",
	}, strings.NewReader(form.Encode()))
	if err != nil || resp.StatusCode >= 400 || strings.HasPrefix(resp.Header.Get("Location"), "/.step-up/") {
		t.Fatalf("signing in: %v %v to %q %s", resp, err, resp.Header.Get("Location"), body)
	}
	if page := visit(t, p, "/doku.php?id=start"); !strings.Contains(page, "(<bdi>"+user+"</bdi>)") {
		t.Fatalf("%s is not signed in: %s", user, page)
	}
}

// TestDokuWiki signs in by DokuWiki's own form and edits a page. The gateway
// learns from DokuWiki who that is, holds what was written until there is a proof,
// and sends it on: DokuWiki takes its own token against forged requests for right.
func TestDokuWiki(t *testing.T) {
	w := dokuwiki(t)
	up := newTap(t, w.addr)
	g := gateway.Start(t, example(t, "dokuwiki", "localhost:9000"), gateway.Options{Upstream: up.addr})
	p := g.NewPerson("alice")
	signIn(t, p, "alice", "wonderland")
	p.Enroll(t, "")
	up.take()

	// The editor's own form, with all that it hides.
	edit := func(id string) url.Values {
		t.Helper()
		form := fieldsOf(t, visit(t, p, "/doku.php?id="+id+"&do=edit"), "dw__editform")
		if len(form.Get("sectok")) != 32 {
			t.Fatalf("the editor's form has no token: %v", form)
		}
		form.Set("do[save]", "1")
		form.Set("summary", "by hand")
		return form
	}
	form := edit("start")
	const text = "====== Täglich & neu ======\r\n\r\n  * 100 % \"sure\" +1 <b>;\r\n"
	form.Set("wikitext", text)
	sent := form.Encode() + "&&x=%2f%2F+%20" // not as any library would write it

	challenge, err := sendForm(p, "/doku.php?id=start", sent)
	if err != nil {
		t.Fatal(err)
	}
	if came := up.take(); len(came) != 0 || w.page("start") != "The first page.\n" {
		t.Fatalf("without a proof %d changes reached DokuWiki, and the page is %q", len(came), w.page("start"))
	}
	resume := prove(t, p, challenge)
	resp, body, err := p.Do("GET", resume, cameBack, nil)
	if err != nil || resp.StatusCode != http.StatusFound && resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("coming back: %v %v %.2000s", resp, err, body)
	}
	if came := up.take(); len(came) != 1 || came[0].target != "/doku.php?id=start" || string(came[0].body) != sent {
		t.Errorf("DokuWiki got %q, want %q", came, sent)
	}
	if want := strings.ReplaceAll(text, "\r\n", "\n"); w.page("start") != want {
		t.Errorf("the page is %q, want %q", w.page("start"), want)
	}
	if page := visit(t, p, "/doku.php?id=start"); !strings.Contains(page, "Täglich &amp; neu") {
		t.Errorf("the page reads %s", page)
	}
	// Again by the back button: what was held is gone, and a page is shown.
	if resp, _, err := p.Do("GET", resume, cameBack, nil); err != nil || resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/doku.php?id=start" {
		t.Errorf("coming back again: %v %v", resp, err)
	}
	if came := up.take(); len(came) != 0 {
		t.Errorf("%d more changes reached DokuWiki", len(came))
	}

	// What pages ask for by themselves needs no proof, but for what changes
	// something: here is a session without one.
	other := g.NewPerson("alice")
	signIn(t, other, "alice", "wonderland")
	for body, want := range map[string]int{
		"call=qsearch&q=start":                              http.StatusOK,
		"call=mediaupload&ns=&sectok=" + form.Get("sectok"): http.StatusUnauthorized,
	} {
		resp, answer, err := other.Do("POST", "/lib/exe/ajax.php", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, strings.NewReader(body))
		if err != nil || resp.StatusCode != want {
			t.Errorf("%.20s: %v %v %.400s, want %d", body, resp, err, answer, want)
		}
	}
	up.take()

	// Signing out needs no proof, and takes the grant away.
	visit(t, p, "/doku.php?id=start&do=logout&sectok="+form.Get("sectok"))
	if page := visit(t, p, "/doku.php?id=start"); strings.Contains(page, `<li class="user">`) {
		t.Error("alice is still signed in")
	}
	signIn(t, p, "alice", "wonderland")
	form = edit("start")
	form.Set("wikitext", "again")
	if _, err := sendForm(p, "/doku.php?id=start", form.Encode()); err != nil {
		t.Errorf("in another session: %v", err)
	}
}

// TestS06DokuWikiSpellings sends what changes a page by all the addresses that
// DokuWiki takes for it, and by some tricks of its own. Each is good: past the
// gateway it changes the page.
func TestS06DokuWikiSpellings(t *testing.T) {
	w := dokuwiki(t)
	up := newTap(t, w.addr)
	g := gateway.Start(t, example(t, "dokuwiki", "localhost:9000"), gateway.Options{Upstream: up.addr})
	p := g.NewPerson("alice")
	signIn(t, p, "alice", "wonderland")
	p.Enroll(t, "")
	form := fieldsOf(t, visit(t, p, "/doku.php?id=kept&do=edit"), "dw__editform")
	form.Del("date") // each is to change the page, whatever the one before it did
	form.Set("do[save]", "1")
	cookie := cookieHeader(g, p)
	up.take()

	token := "sectok=" + form.Get("sectok")
	without := func(field string) string {
		body := make(url.Values)
		for name, values := range form {
			if name != field {
				body[name] = values
			}
		}
		return body.Encode()
	}
	for _, c := range []struct {
		name, method, target, body string
		header                     map[string]string
		harmless                   bool // DokuWiki itself does nothing, or a part of it
	}{
		{name: "the form's own", method: "POST", target: "/doku.php?id=kept"},
		{name: "a page as a path", method: "POST", target: "/doku.php/kept"},
		{name: "a slash", method: "POST", target: "/doku.php/?id=kept"},
		{name: "index.php", method: "POST", target: "/index.php?id=kept"},
		{name: "no script", method: "POST", target: "/kept"},
		{name: "no script, a query", method: "POST", target: "/?id=kept"},
		{name: "a sign-in in the query", method: "POST", target: "/doku.php?id=kept&do=login"},
		{name: "a sign-in and the token in the query", method: "POST", target: "/doku.php?do=login&u=alice&p=wonderland&" + token, body: without("sectok")},
		{name: "a sign-out in the query", method: "POST", target: "/doku.php?id=kept&do=logout"},
		{name: "nothing in the query", method: "POST", target: "/doku.php"},
		{name: "an encoded letter", method: "POST", target: "/%64oku.php?id=kept"},
		{name: "two slashes", method: "POST", target: "//doku.php?id=kept"},
		{name: "a field of ours", method: "POST", target: "/doku.php?id=kept&step_up_resume=1"},
		{name: "signed in at the same time", method: "POST", target: "/doku.php?id=kept", body: form.Encode() + "&u=alice&p=wonderland"},
		{name: "a header", method: "POST", target: "/doku.php?id=kept", body: without("do[save]"), header: map[string]string{"X-DokuWiki-Do": "save"}},
		{name: "deleted by GET", method: "GET", target: "/doku.php?id=kept&do=save&" + token},
		{name: "deleted by GET as by a sign-in", method: "GET", target: "/doku.php?id=kept&do=login&do=save&" + token},
		{name: "deleted by GET with odd letters", method: "GET", target: "/doku.php?id=kept&do=s.ave&%73ectok=" + form.Get("sectok")},
		{name: "deleted by HEAD", method: "HEAD", target: "/doku.php?id=kept&do=save&" + token, harmless: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.method == "POST" && c.body == "" {
				c.body = form.Encode()
			}
			send := func(base string) *http.Response {
				t.Helper()
				text := c.body
				if text != "" {
					text += "&wikitext=" + url.QueryEscape(c.name)
				}
				r, err := http.NewRequest(c.method, base+c.target, strings.NewReader(text))
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Cookie", cookie)
				r.Header.Set("User-Agent", "Go-http-client/1.1")
				if text != "" {
					r.Header.Set("Content-Type", urlencoded)
				}
				for name, value := range c.header {
					r.Header.Set(name, value)
				}
				resp, err := p.Client.Transport.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				return resp
			}
			before, count := w.page("kept"), w.pages(t)
			if resp := send(g.URL); resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("through the gateway: %s", resp.Status)
			}
			if came := up.take(); len(came) != 0 || w.page("kept") != before || w.pages(t) != count {
				t.Errorf("through the gateway: %q came, and the page is %q", came, w.page("kept"))
			}
			send("http://" + w.addr)
			if after := w.page("kept"); after == before && !c.harmless {
				t.Errorf("past the gateway nothing changed, so that this shows nothing")
			}
			if err := os.WriteFile(filepath.Join(w.dir, "data/pages/kept.txt"), []byte("This page stays as it is.\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestS21DokuWikiSignsInAnywhere: DokuWiki signs in by any request that brings a
// name and a password, and acts for that user at once. With a proof of one user
// nothing is done for another, and a sign-in does nothing else.
func TestS21DokuWikiSignsInAnywhere(t *testing.T) {
	w := dokuwiki(t)
	g := gateway.Start(t, example(t, "dokuwiki", "localhost:9000"), gateway.Options{Upstream: w.addr})
	alice, bob := g.NewPerson("alice"), g.NewPerson("bob")
	signIn(t, alice, "alice", "wonderland")
	alice.Enroll(t, "")
	alice.StepUp(t, "EDIT_WIKI")
	signIn(t, bob, "bob", "builder")
	session := func(p *gateway.Person) string {
		_, value, _ := strings.Cut(cookieHeader(g, p), "DokuWiki=")
		id, _, _ := strings.Cut(value, ";")
		return "DokuWiki=" + id
	}
	// send saves a page as bob, by name and password, and gives who has changed it
	// so far.
	send := func(t *testing.T, cookie, token string) string {
		t.Helper()
		form := url.Values{
			"sectok": {token}, "id": {"kept"}, "do[save]": {"1"}, "prefix": {"."}, "suffix": {""}, "wikitext": {"by bob, who proved nothing"},
			"u": {"bob"}, "p": {"builder"},
		}
		r, err := http.NewRequest("POST", g.URL+"/doku.php?id=kept", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if cookie != "" {
			r.Header.Set("Cookie", cookie)
		}
		resp, err := alice.Client.Transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return w.changers("kept")
	}
	token := func(p *gateway.Person, more string) string {
		t.Helper()
		return fieldsOf(t, visit(t, p, "/doku.php?id=kept&do=edit"+more), "dw__editform").Get("sectok")
	}
	bobs := token(bob, "")
	for name, cookie := range map[string]string{
		"with the session of the token": session(bob),
		"without any session":           "",
		"with a cookie that is none":    session(bob) + "; DW=1",
		"with two sessions":             cookieHeader(g, alice) + "; " + session(bob),
	} {
		t.Run(name, func(t *testing.T) {
			if got := send(t, cookie, bobs); got != "" {
				t.Errorf("the page was changed by %s", got)
			}
		})
	}

	// In the session that has the proof. What helps is DokuWiki's own configuration
	// alone; without it bob changes the page.
	alices := cookieHeader(g, alice)
	if got := send(t, alices, token(alice, "&u=bob&p=builder")); got != "alice" {
		t.Errorf("in the session of a proof the page was changed by %q, want alice, whose it is", got)
	}
	if page := visit(t, alice, "/doku.php?id=start"); !strings.Contains(page, "(<bdi>alice</bdi>)") {
		t.Error("bob took over the session of alice")
	}
	if err := os.Remove(filepath.Join(w.dir, "conf/local.protected.php")); err != nil {
		t.Fatal(err)
	}
	in := g.NewPerson("alice")
	in.Client.Transport = withCookie{alices, in.Client.Transport}
	if err := os.WriteFile(filepath.Join(w.dir, "data/pages/kept.txt"), []byte("Not as before.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := send(t, alices, token(in, "&u=bob&p=builder")); !strings.HasSuffix(got, "bob") {
		t.Errorf("without local.protected.php the page was changed by %q: is the file still needed?", got)
	}
}

// withCookie sends every request with the same cookies.
type withCookie struct {
	cookie string
	http.RoundTripper
}

func (w withCookie) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Cookie", w.cookie)
	return w.RoundTripper.RoundTrip(r)
}
