//go:build components

package components

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"html"
	"mime"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/tests/browser"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// annsSite is a site on which everybody is ann, for browsers, which send no
// header of ours.
var annsSite = strings.Replace(bankSite, "vars user {http.request.header.X-Test-User}", "vars user ann", 1)

// annsBank is annsSite with further rules.
func annsBank(extra string) string { return strings.Replace(annsSite, "EXTRA", extra, 1) }

// uploadForm is the application's page that sends a file to a target.
func uploadForm(target string) string {
	return `<h1>Upload</h1><form method="post" enctype="multipart/form-data" action="` + html.EscapeString(target) + `">
		<label>Title <input name="title"></label>
		<input type="hidden" name="a" value="1"><input type="hidden" name="a" value="2">
		<input type="file" name="file"><button name="go" value="ä">Upload</button></form>`
}

// randomFile is a file of n random bytes.
func randomFile(t *testing.T, n int) (path string, content []byte) {
	t.Helper()
	content = make([]byte, n)
	rand.Read(content)
	path = filepath.Join(t.TempDir(), "röntgen \"1\".bin")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, content
}

// boundary is what separates the parts of a form.
func boundary(t *testing.T, a arrived) string {
	t.Helper()
	kind, params, err := mime.ParseMediaType(a.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" {
		t.Fatalf("the form came as %q", a.Header.Get("Content-Type"))
	}
	return params["boundary"]
}

// uploads opens the page whose form leads to a path, fills it in and sends it.
func (c *customer) uploads(path, title, file string) {
	c.t.Helper()
	c.Go(c.site + "/form" + path)
	c.Fill("Title", title)
	c.Attach(file)
	c.Click("Upload")
}

// uploading starts a gateway in front of an upload form, and a browser whose
// person is enrolled.
func uploading(t *testing.T, o browser.Options) (up *socket, c *customer) {
	t.Helper()
	up = newSocket(t, func(target string) string { return uploadForm(strings.TrimPrefix(target, "/form")) })
	g := gateway.Start(t, annsBank(""), gateway.Options{Upstream: up.addr})
	p := g.NewPerson("ann")
	p.Enroll(t, "")
	_, port, _ := strings.Cut(g.Host, ":")
	c = newCustomer(t, browser.Start(t), "http://upload.localhost:"+port, o)
	c.app = &p.App
	return up, c
}

// TestUploadInBrowser sends a file of 900 KB through a challenge. The upstream's
// socket gets what Chromium sent, byte for byte, once.
func TestUploadInBrowser(t *testing.T) {
	up, c := uploading(t, browser.Options{NoScripts: true})
	file, content := randomFile(t, 900<<10)

	// Past every rule, to learn what Chromium sends.
	c.uploads("/open/x?a=%2F&&b=ü", "Küche & Bad", file)
	c.Sees("the application took it")
	plain := up.one(t)

	for _, kind := range []string{"wire", "view"} {
		target := "/" + kind + "/x?a=%2F&&b=%C3%BC"
		c.uploads("/"+kind+"/x?a=%2F&&b=ü", "Küche & Bad", file)
		up.none(t, "before the proof")
		c.proves()
		c.Sees("the application took it")
		held := up.one(t)

		b := boundary(t, held)
		var want bytes.Buffer
		for _, part := range [][2]string{
			{`name="title"`, "Küche & Bad"}, {`name="a"`, "1"}, {`name="a"`, "2"},
			{"name=\"file\"; filename=\"röntgen %221%22.bin\"\r\nContent-Type: application/octet-stream", string(content)}, {`name="go"`, "ä"},
		} {
			fmt.Fprintf(&want, "--%s\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n", b, part[0], part[1])
		}
		fmt.Fprintf(&want, "--%s--\r\n", b)
		if !bytes.Equal(held.body, want.Bytes()) {
			t.Errorf("%s: %d bytes arrived, %d were sent: %.300q", kind, len(held.body), want.Len(), held.body)
		}
		if !bytes.Equal(held.body, bytes.ReplaceAll(plain.body, []byte(boundary(t, plain)), []byte(b))) {
			t.Errorf("%s: the body is another than without a rule", kind)
		}
		if held.RequestURI != target || held.Header.Get("Step-Up-User") != "ann" {
			t.Errorf("%s %s for %q", held.Method, held.RequestURI, held.Header.Get("Step-Up-User"))
		}
		told := func(a arrived) []string {
			text := strings.ReplaceAll(strings.Join(withoutOurs(a), "\n"), boundary(t, a), "BOUNDARY")
			return strings.Split(regexp.MustCompile("/(open|wire|view)/").ReplaceAllString(text, "/PATH/"), "\n")
		}
		if want, got := told(plain), told(held); !slices.Equal(want, got) {
			t.Errorf("%s: the upstream's socket got\n%s\n\nand without a rule\n%s", kind, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}

		// What stands in the address bar and in the history does nothing twice.
		if !strings.Contains(c.URL(), "step_up_resume=") {
			t.Errorf("the document's address is %s", c.URL())
		}
		resume := c.URL()
		c.Reload()
		up.none(t, "after reloading")
		c.Back()
		up.none(t, "after going back")
		c.Forward()
		up.none(t, "after going forward")
		c.Go(resume)
		up.none(t, "after typing the address")
	}
	c.calm()
}

// TestTooLargeToHoldInBrowser sends a file that is over the limit. The person is
// told so, proves, goes back to the form, which still has all that was entered,
// and sends it.
func TestTooLargeToHoldInBrowser(t *testing.T) {
	up, c := uploading(t, browser.Options{NoScripts: true})
	file, content := randomFile(t, 1200<<10)
	entered := func() {
		t.Helper()
		c.Sees("Upload")
		if got := c.Ask("() => { const f = document.forms[0]; return f.title.value + ', ' + (f.file.files[0]?.size ?? 'no file') }"); got != fmt.Sprintf("Küche, %d", len(content)) {
			t.Fatalf("back on the form stands %q", got)
		}
	}
	c.uploads("/wire/x", "Küche", file)
	c.Sees("This is too large to keep", "nothing is lost", "go back in your browser")
	if c.Status() != 413 {
		t.Errorf("status %d", c.Status())
	}
	up.none(t, "over the limit")
	c.Back()
	entered()

	// As the page says: first the proof, then back to the form.
	c.Click("Upload")
	c.Click("Confirm it’s you")
	c.proves()
	c.Sees("Title")
	up.none(t, "before the form was sent again")
	pages, shown := c.History()
	c.BackTo(shown - slices.Index(pages, c.site+"/form/wire/x"))
	entered()
	c.Click("Upload")
	c.Sees("the application took it")
	if sent := up.one(t); !bytes.Contains(sent.body, content) {
		t.Errorf("%d bytes arrived", len(sent.body))
	}
	c.calm()
}
