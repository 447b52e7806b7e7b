// Package pages draws what people see: the challenge, enrolment, recovery
// codes, the security page, confirmations and messages.
//
// It promises that every page is one response of less than 30 KB without
// scripts and without anything loaded from elsewhere, that it says in its
// headers that it must not be cached, framed or sniffed (rule S11), and that
// nothing a view carries reaches the page unescaped.
//
// A caller fills a view (Challenge, EnrolStart, Enrol, RecoveryCodes,
// Security, Confirm, Rename, Frame, Message) and hands it to Render. The views
// are plain data with URLs already made: the package knows nothing of requests,
// cookies, grants or where a page is mounted, and it decides nothing.
package pages

import (
	"bytes"
	"crypto/rand"
	"embed"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed templates/style.css
var styleSheet string

// Page is what every view carries beside its own content.
type Page struct {
	Lang    string    // BCP 47 tag of the words to use; "" and unknown ones mean English
	Issuer  string    // who runs the gateway, as the operator wrote it; may be empty
	Host    string    // the site the person is on
	User    string    // who the identity source says is asking; empty hides the line
	HomeURL string    // the security page; empty hides the link
	CSRF    string    // put in every form, in the field CSRFField
	Now     time.Time // what "3 minutes ago" is counted from
}

// CSRFField is the name of the form field that carries Page.CSRF.
const CSRFField = "csrf_token"

func (p Page) page() Page { return p }

// View is one of this package's views.
type View interface {
	page() Page
	template() string
	titleKey() string
}

// framed is implemented by views that are shown inside the application's own
// frames; all others refuse every frame.
type framed interface{ framed() }

// Render writes v as a whole document. Headers that the caller set before,
// such as Set-Cookie and Retry-After, are kept; those that protect the page
// are overwritten. A page that cannot be drawn is answered with a bare 500.
func Render(w http.ResponseWriter, status int, v View) {
	nonce := rand.Text()
	words := wordsFor(v.page().Lang)
	page := v.page()
	page.Lang = words.lang
	var body bytes.Buffer
	err := templates[words.lang].ExecuteTemplate(&body, v.template(), document{
		View: v, Page: page, Nonce: nonce, Words: words,
		Style: template.CSS(compactStyle), // our own file: nothing of a request is in it
	})

	ancestors := "'none'"
	if _, ok := v.(framed); ok {
		ancestors = "'self'"
	}
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'nonce-"+nonce+"'; "+
		"form-action 'self'; frame-ancestors "+ancestors+"; base-uri 'none'")
	ProtectHeaders(h)
	if err != nil {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write([]byte("This page cannot be shown.\n"))
		return
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", words.lang)
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes())
}

// ProtectHeaders sets what every answer to a person needs, page or not: not
// cached, not sniffed, not handed to other windows or origins.
//
// Referrer-Policy is same-origin and not no-referrer: under no-referrer a
// browser sends "Origin: null" with our own forms (Fetch, "append a request
// Origin header"), and over plain HTTP, where no Sec-Fetch-Site comes along,
// http.CrossOriginProtection would refuse them.
func ProtectHeaders(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("X-Robots-Tag", "noindex")
}

// document is what the layout template gets.
type document struct {
	View  View
	Page  Page
	Nonce string
	Style template.CSS
	Words *words
}

// Title is the document's title; a page with an error says so first, since
// that is what a screen reader reads first.
func (d document) Title() string {
	args := []any{}
	if t, ok := d.View.(interface{ titleArgs() []any }); ok {
		args = t.titleArgs()
	}
	title := d.Words.say(d.View.titleKey(), args...)
	if e, ok := d.View.(interface{ hasError() bool }); ok && e.hasError() {
		title = d.Words.say("layout.title_error", "title", title)
	}
	return title
}

// templates holds one parsed set for each language, so that the words are
// bound when the process starts and not looked up by every request.
var templates = func() map[string]*template.Template {
	sets := make(map[string]*template.Template, len(catalogue))
	for lang, w := range catalogue {
		t := template.New("").Funcs(template.FuncMap{
			"say":     w.say,
			"count":   w.count,
			"span":    w.span,
			"ago":     w.ago,
			"left":    w.left,
			"date":    w.date,
			"groups":  func(s string) []string { return groups(s, 4) },
			"otpauth": otpauth,
		})
		template.Must(t.ParseFS(templateFiles, "templates/*.html"))
		sets[lang] = t
	}
	return sets
}()

// compactStyle is the style sheet without comments and indentation: it is part
// of every page.
var compactStyle = func() string {
	var b strings.Builder
	for line := range strings.Lines(styleSheet) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "/*") && strings.HasSuffix(line, "*/") {
			continue
		}
		b.WriteString(line)
		if strings.HasSuffix(line, ",") || line == "" {
			continue
		}
		b.WriteByte('\n')
	}
	return b.String()
}()

// groups cuts s into pieces of n characters, which is how a secret is read
// aloud and typed without losing one's place.
func groups(s string, n int) []string {
	var out []string
	for len(s) > n {
		out = append(out, s[:n])
		s = s[n:]
	}
	return append(out, s)
}

// otpauth lets a key URI through html/template's filter of unknown schemes;
// anything else is dropped.
func otpauth(s string) template.URL {
	if !strings.HasPrefix(s, "otpauth://totp/") {
		return "#"
	}
	return template.URL(s)
}
