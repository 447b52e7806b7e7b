package pages_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"github.com/stepup-gateway/caddy-stepup/internal/pages"
	"github.com/stepup-gateway/caddy-stepup/internal/pages/pagestest"
)

func draw(v pages.View) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	pages.Render(w, http.StatusOK, v)
	return w
}

// TestSamplesAreComplete: whoever looks at the samples looks at every page.
func TestSamplesAreComplete(t *testing.T) {
	names, views, said := map[string]bool{}, map[string]bool{}, ""
	for _, s := range pagestest.Samples(pagestest.Everyday("en")) {
		if names[s.Name] || !regexp.MustCompile(`^[a-z0-9-]+$`).MatchString(s.Name) {
			t.Errorf("a sample is called %q", s.Name)
		}
		names[s.Name], views[reflect.TypeOf(s.View).Name()] = true, true
		said += fmt.Sprintf(" %+v ", s.View)
	}
	for _, name := range pages.Views(t) {
		if !views[name] {
			t.Errorf("no sample of %s", name)
		}
	}
	for _, of := range []string{"MessageKind", "ConfirmKind", "ActivityKind"} {
		for _, value := range pages.Constants(t, of) {
			if !strings.Contains(said, ":"+value+" ") {
				t.Errorf("no sample of %s %s", of, value)
			}
		}
	}
}

func TestPagesAreSmallCompleteDocuments(t *testing.T) {
	for _, l := range pages.Languages() {
		for _, s := range pagestest.Samples(pagestest.Long(l.Tag)) {
			name := l.Tag + " " + s.Name
			w := draw(s.View)
			if w.Code != http.StatusOK {
				t.Errorf("%s: status %d", name, w.Code)
			}
			body := w.Body.String()
			if len(body) >= 30_000 {
				t.Errorf("%s: %d bytes, want less than 30,000", name, len(body))
			}
			if head := `<html lang="` + l.Tag + `" dir="` + l.Dir + `">`; !strings.Contains(body, head) {
				t.Errorf("%s: does not begin with %s", name, head)
			}
			checkDocument(t, name, body)
		}
	}
}

// void elements have no end tag (HTML, section 13.1.2).
var void = []string{"meta", "input", "br", "hr", "link", "img", "rect", "path"}

// checkDocument holds a page to being well formed, without scripts but our own,
// without anything from elsewhere, and accessible in what a machine can tell.
func checkDocument(t *testing.T, name, body string) {
	t.Helper()
	var open, ids []string
	h1, scripts := 0, 0
	labelled, fields := map[string]bool{}, map[string]bool{}
	z := html.NewTokenizer(strings.NewReader(body))
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			if z.Err() != io.EOF {
				t.Errorf("%s: %v", name, z.Err())
			}
			break
		}
		tok := z.Token()
		attr := map[string]string{}
		for _, a := range tok.Attr {
			if _, twice := attr[a.Key]; twice {
				t.Errorf("%s: attribute %s twice in %s", name, a.Key, tok)
			}
			attr[a.Key] = a.Val
			logo := tok.DataAtom == atom.Img && a.Key == "src" && strings.HasPrefix(a.Val, "data:image/")
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "src" && !logo || a.Key == "srcset" {
				t.Errorf("%s: attribute %s", name, a.Key)
			}
		}
		switch kind {
		case html.StartTagToken:
			switch tok.DataAtom {
			case atom.Link, atom.Iframe, atom.Base, atom.Object, atom.Embed:
				t.Errorf("%s: element %s", name, tok.Data)
			case atom.Img:
				if alt, there := attr["alt"]; !there || alt != "" {
					t.Errorf("%s: the logo beside the name is read aloud", name)
				}
			case atom.Script:
				scripts++
				if z.Next(); string(z.Raw()) != pages.ScriptFor(withoutScript(body)) {
					t.Errorf("%s: a script that is not ours", name)
				}
			case atom.Html:
				if attr["lang"] == "" || attr["dir"] == "" {
					t.Errorf("%s: neither language nor direction", name)
				}
			case atom.Button:
				if attr["type"] == "" {
					t.Errorf("%s: a button without a type", name)
				}
			}
			if !slices.Contains(void, tok.Data) {
				open = append(open, tok.Data)
			}
			if tok.DataAtom == atom.H1 {
				h1++
			}
			if id := attr["id"]; id != "" {
				ids = append(ids, id)
			}
			if tok.DataAtom == atom.Label {
				labelled[attr["for"]] = true
			}
			if tok.DataAtom == atom.Input && attr["type"] != "hidden" || tok.DataAtom == atom.Select {
				fields[attr["id"]] = true
			}
			for _, key := range []string{"href", "action"} {
				if u, ok := attr[key]; ok && !strings.HasPrefix(u, "/") && !strings.HasPrefix(u, "otpauth://totp/") && !strings.HasPrefix(u, "https://") {
					t.Errorf("%s: %s=%q", name, key, u)
				}
			}
			for _, ref := range append(strings.Fields(attr["aria-describedby"]), strings.Fields(attr["aria-labelledby"]+" "+attr["data-then"]+" "+attr["data-copy"]+" "+attr["data-download"]+" "+attr["data-about"])...) {
				if !strings.Contains(body, `id="`+ref+`"`) {
					t.Errorf("%s: refers to missing id %q", name, ref)
				}
			}
		case html.EndTagToken:
			if len(open) == 0 || open[len(open)-1] != tok.Data {
				t.Fatalf("%s: </%s> closes %v", name, tok.Data, open)
			}
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		t.Errorf("%s: left open: %v", name, open)
	}
	if h1 != 1 {
		t.Errorf("%s: %d h1 elements", name, h1)
	}
	if scripts > 1 {
		t.Errorf("%s: %d scripts", name, scripts)
	}
	for id := range fields {
		if !labelled[id] {
			t.Errorf("%s: field %q has no label", name, id)
		}
	}
	slices.Sort(ids)
	if len(slices.Compact(slices.Clone(ids))) != len(ids) {
		t.Errorf("%s: ids occur twice: %v", name, ids)
	}
	if strings.Count(body, `method="post"`) != strings.Count(body, `name="`+pages.CSRFField+`"`) {
		t.Errorf("%s: a form without a CSRF token", name)
	}
	if strings.Contains(body, "ZgotmplZ") || strings.Contains(body, "<no value>") || strings.Contains(body, "%!") {
		t.Errorf("%s: a value was refused by the template", name)
	}
	text := regexp.MustCompile(`(?s)<(style|script) .*?</(style|script)>`).ReplaceAllString(body, "")
	if m := regexp.MustCompile(`\{[a-z]+\}|\b(layout|change|challenge|lapsed|passed|enroll|codes|security|confirm|rename|frame|message|error|done|span|time|method|passkey|sms|send|left|activity)\.[a-z_]+`).FindString(text); m != "" {
		t.Errorf("%s: unfilled place or missing words: %q", name, m)
	}
}

// ourScript is the element with our own script, as it begins and ends.
var ourScript = regexp.MustCompile(`(?s)(<script nonce="[A-Z2-7]{26}">)\(\(\) => \{\n'use strict'.*(</script>)`)

// withoutScript is a page without its script.
func withoutScript(body string) string { return ourScript.ReplaceAllString(body, "$1$2") }

// TestPagesHaveThePartsOfTheScriptThatTheyUse: none is lost, and a page without a
// use for one does not have it.
func TestPagesHaveThePartsOfTheScriptThatTheyUse(t *testing.T) {
	const everything = " data-digits data-seconds data-seen data-opens data-passkey data-once data-copy"
	if all := pages.ScriptFor(everything); all != pages.CompactScript {
		t.Errorf("all parts together are not the script:\n%s", all)
	}
	uses := map[string]string{
		"data-digits": "dataset.digits", "data-seconds": "dataset.seconds", "data-passkey": "navigator.credentials.get", "data-if-passkey": "'first' in",
		"data-seen": "replaceState", "data-opens": "dataset.opens", "data-opened": "postMessage", "data-once": "dataset.once", "data-copy": "clipboard", "data-download": "createObjectURL", "data-print": "print()", `id="language"`: "'language'",
	}
	for _, s := range pagestest.Samples(pagestest.Everyday("en")) {
		body := draw(s.View).Body.String()
		rest := withoutScript(body)
		if rest == body {
			continue // has none
		}
		script := pages.ScriptFor(rest)
		for attribute, use := range uses {
			if strings.Contains(rest, " "+attribute) && !strings.Contains(script, use) {
				t.Errorf("%s: the script lacks what %s is for", s.Name, attribute)
			}
		}
		if !strings.Contains(rest, "passkey=") && !strings.Contains(rest, " data-if-passkey") && strings.Contains(script, "credentials") {
			t.Errorf("%s: the script has passkeys without need", s.Name)
		}
	}
}

func TestS11PagesEscapeWhatTheyAreGiven(t *testing.T) {
	hostile := `"><script>alert(1)</script><img src=x onerror=a>'{{.}}javascript:` + "`\u2028"
	for _, l := range pages.Languages() {
		for _, s := range pagestest.Samples(pagestest.Only(l.Tag, hostile)) {
			name, body := l.Tag+" "+s.Name, draw(s.View).Body.String()
			checkDocument(t, name, body)
			text := strings.ReplaceAll(withoutScript(body), `<script nonce="`, "")
			if strings.Contains(text, "<script") || strings.Contains(text, "<img src=x") || strings.Contains(text, `'{{`) {
				t.Errorf("%s: not escaped", name)
			}
		}
	}
	for _, u := range []string{"javascript:alert(1)", "data:text/html,x", "otpauth://hotp/x", "https://evil.example/"} {
		e := pages.Enroll{Page: pages.Page{Now: pagestest.Now}, OTPAuthURI: u}
		if body := draw(e).Body.String(); strings.Contains(body, u) {
			t.Errorf("otpauth link to %q", u)
		}
	}
	m := pages.Message{Kind: pages.NotFound, NextURL: "javascript:alert(1)"}
	if body := draw(m).Body.String(); strings.Contains(body, "javascript:") {
		t.Error("javascript: link")
	}
}

func TestS11PagesHaveTheHeadersThatProtectThem(t *testing.T) {
	nonces := map[string]bool{}
	for _, s := range pagestest.Samples(pagestest.Everyday("en")) {
		w := httptest.NewRecorder()
		w.Header().Set("Cache-Control", "public")
		w.Header().Set("Set-Cookie", "a=b")
		pages.Render(w, http.StatusForbidden, s.View)
		h := w.Result().Header
		csp := h.Get("Content-Security-Policy")
		m := regexp.MustCompile(`^default-src 'none'; style-src 'nonce-([A-Z2-7]{26})'; (?:script-src 'nonce-([A-Z2-7]{26})'; )?(img-src data:; )?form-action 'self'; frame-ancestors '(none|self)'; base-uri 'none'$`).FindStringSubmatch(csp)
		if m == nil {
			t.Fatalf("%s: CSP %q", s.Name, csp)
		}
		if nonces[m[1]] {
			t.Errorf("%s: nonce used twice", s.Name)
		}
		nonces[m[1]] = true
		want := 1
		if script := strings.Contains(w.Body.String(), "<script nonce="); script != (m[2] != "") {
			t.Errorf("%s: script %v, allowed by %q", s.Name, script, csp)
		} else if script {
			want = 2
			if m[2] != m[1] {
				t.Errorf("%s: two nonces: %q", s.Name, csp)
			}
		}
		if got := strings.Count(w.Body.String(), `nonce="`+m[1]+`"`); got != want {
			t.Errorf("%s: nonce %d times in the page", s.Name, got)
		}
		if logo := strings.Contains(w.Body.String(), "<img "); logo != (m[3] != "") {
			t.Errorf("%s: image %v, allowed by %q", s.Name, logo, csp)
		}
		if _, frame := s.View.(pages.Frame); frame != (m[4] == "self") {
			t.Errorf("%s: frame-ancestors %s", s.Name, m[4])
		}
		for name, want := range map[string]string{
			"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
			"Content-Type": "text/html; charset=utf-8", "Content-Language": "en", "Set-Cookie": "a=b",
		} {
			if got := h.Values(name); len(got) != 1 || got[0] != want {
				t.Errorf("%s: %s is %q, want %q", s.Name, name, got, want)
			}
		}
	}
}

// TestLayoutTurnsAround allows only properties that follow the direction of the
// writing.
func TestLayoutTurnsAround(t *testing.T) {
	physical := regexp.MustCompile(`(?:^|[\s;{])(left|right|top|bottom|width|height)\s*:|(?:min|max)-(?:width|height)\s*:|(?:margin|padding|border)-(?:left|right|top|bottom)|text-align:\s*(?:left|right)|float:`)
	for line := range strings.Lines(pages.StyleSheet) {
		if m := physical.FindString(line); m != "" && !strings.HasPrefix(line, "@media") && !strings.Contains(line, "stroke-width") {
			t.Errorf("%s in %s", m, strings.TrimSpace(line))
		}
	}
}

// TestScriptHasNoWords: what people read is in the catalogue.
func TestScriptHasNoWords(t *testing.T) {
	for _, m := range regexp.MustCompile(`'([^'\\\n]*)'`).FindAllStringSubmatch(pages.CompactScript, -1) {
		if regexp.MustCompile(`^[A-Z][a-z]+\b|[a-z]+ [a-z]+`).MatchString(m[1]) && m[1] != "use strict" && m[1] != "InvalidStateError" {
			t.Errorf("the script says %q", m[1])
		}
	}
	for _, never := range []string{"fetch(", "XMLHttpRequest", "innerHTML", "eval(", "localStorage", "document.cookie"} {
		if strings.Contains(pages.CompactScript, never) {
			t.Errorf("the script uses %s", never)
		}
	}
}
