// Package pages draws what people see: the challenge, enrollment, recovery
// codes, the security page, confirmations and messages.
//
// It promises that every page is one response of less than 30 KB without
// anything loaded from elsewhere, that it says in its headers that it must not be
// cached, framed or sniffed (rule S11), and that nothing a view carries reaches
// the page unescaped. Pages work without scripts, but for passkeys, which browsers
// give to scripts only; the one script there is, page.js, stands in the page.
//
// A caller fills a view (Challenge, Lapsed, EnrollStart, Enroll, EnrollPhone, EnrollPasskey,
// RecoveryCodes, Security, Confirm, Rename, Frame, Message) and hands it to
// Render. The views are plain data with URLs already made: the package knows
// nothing of requests, cookies, grants or where a page is mounted, and it decides
// nothing.
package pages

import (
	"bytes"
	"embed"
	"html/template"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed templates/style.css
var styleSheet string

//go:embed templates/page.js
var scriptText string

// Page is what every view carries beside its own content.
type Page struct {
	Lang    string    // BCP 47 tag of the words to use, see Choose; "" and unknown ones mean English
	Issuer  string    // who runs the gateway, as the operator wrote it; may be empty
	Host    string    // the site the person is on
	User    string    // who the identity source says is asking; empty hides the line
	HomeURL string    // the security page; empty hides the link
	CSRF    string    // put in every form, in the field CSRFField
	Now     time.Time // what "3 minutes ago" is counted from
	Brand   *Brand    // how the operator wants it to look; nil: as it is

	// LanguageURL is POSTed to with "lang", a tag, and Path, to see the page in
	// another language. Empty, or without CSRF, it hides the switch.
	LanguageURL string
	Path        string // where the switch leads back to, in the field "path"
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

// scripted is implemented by views that can do more with a script.
type scripted interface{ scripted() bool }

// Render writes v as a whole document. Headers that the caller set before,
// such as Set-Cookie and Retry-After, are kept; those that protect the page
// are overwritten. A page that cannot be drawn is answered with a bare 500.
func Render(w http.ResponseWriter, status int, v View) {
	d := newDocument(v)
	var body bytes.Buffer
	err := templates[d.Words.lang]().ExecuteTemplate(&body, v.template(), d)

	h := w.Header()
	ProtectHeaders(h)
	h.Set("Content-Security-Policy", d.policy())
	if err != nil {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write([]byte("This page cannot be shown.\n"))
		return
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", d.Words.lang)
	whole := d.complete(body.String())
	h.Set("Content-Length", strconv.Itoa(len(whole)))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, whole)
}

// ProtectHeaders sets what every answer to a person needs, page or not: not
// cached, not sniffed, not framed, not handed to other windows or origins. Its
// Content-Security-Policy allows nothing; [Render] replaces it by the page's own.
//
// Referrer-Policy is same-origin and not no-referrer: under no-referrer a
// browser sends "Origin: null" with our own forms (Fetch, "append a request
// Origin header"), and over plain HTTP, where no Sec-Fetch-Site comes along,
// http.CrossOriginProtection would refuse them.
func ProtectHeaders(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("X-Robots-Tag", "noindex")
}

// templates gives the parsed set of a language, with its words bound. It is parsed
// when the first page is drawn in it: most sites need one or two of them.
var templates = func() map[string]func() *template.Template {
	sets := make(map[string]func() *template.Template, len(catalogue))
	for lang, w := range catalogue {
		sets[lang] = sync.OnceValue(func() *template.Template {
			t := template.New("").Funcs(template.FuncMap{
				"say":     w.say,
				"count":   w.count,
				"space":   w.space,
				"span":    w.span,
				"ago":     w.ago,
				"left":    w.left,
				"date":    w.date,
				"timed":   w.timed,
				"names":   w.methods,
				"at":      func(t, now time.Time) moment { return moment{t, now} },
				"groups":  func(s string) []string { return groups(s, 4) },
				"otpauth": otpauth,
			})
			return template.Must(t.ParseFS(templateFiles, "templates/*.html"))
		})
	}
	return sets
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
