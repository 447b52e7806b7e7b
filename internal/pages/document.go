package pages

import (
	"crypto/rand"
	"html/template"
	"strconv"
	"strings"
	"time"
)

// document is what the layout template gets.
type document struct {
	View      View
	Page      Page
	Nonce     string
	Style     template.CSS
	Script    template.JS // where the script is put, see complete; empty: the page has none
	Words     *words
	Languages []Language // to choose from; empty hides the switch
}

func newDocument(v View) document {
	d := document{View: v, Page: v.page(), Nonce: rand.Text(), Words: wordsFor(v.page().Lang)}
	d.Page.Lang = d.Words.lang
	// Our own files, and a brand's colors, which are numbers: nothing of a
	// request is in them.
	d.Style = template.CSS(compactStyle) + d.Page.Brand.style()
	_, once := v.(interface{ once() })
	if d.Page.LanguageURL != "" && d.Page.CSRF != "" && len(languages) > 1 && !once {
		d.Languages = languages
	}
	if s, ok := v.(scripted); ok && s.scripted() || len(d.Languages) > 0 {
		d.Script = template.JS("/*" + d.Nonce + "*/")
	}
	return d
}

// policy is the page's Content-Security-Policy (S11). What the page does not
// have it does not allow.
func (d document) policy() string {
	var b strings.Builder
	b.WriteString("default-src 'none'; style-src 'nonce-" + d.Nonce + "'; ")
	if d.Script != "" {
		b.WriteString("script-src 'nonce-" + d.Nonce + "'; ")
	}
	if d.Page.Brand.hasLogo() {
		b.WriteString("img-src data:; ")
	}
	ancestors := "'none'"
	if _, ok := d.View.(framed); ok {
		ancestors = "'self'"
	}
	b.WriteString("form-action 'self'; frame-ancestors " + ancestors + "; base-uri 'none'")
	return b.String()
}

// Title is the document's title; a page with an error says so first, since
// that is what a screen reader reads first.
func (d document) Title() string {
	title := d.Words.say(d.View.titleKey())
	if e, ok := d.View.(interface{ hasError() bool }); ok && e.hasError() {
		title = d.Words.say("layout.title_error", "title", title)
	}
	return title
}

// complete puts the script into the drawn page.
func (d document) complete(body string) string {
	if d.Script == "" {
		return body
	}
	return strings.Replace(body, string(d.Script), scriptFor(body), 1)
}

// compactStyle is the style sheet, which is part of every page, without comments
// and the blanks that only people need.
var compactStyle = strings.NewReplacer(";\n", ";", "{\n", "{", "}\n", "}", " {", "{", ": ", ":", "; ", ";", ", ", ",").Replace(compact(styleSheet, "/*", "*/"))

// compact leaves out the lines that are a comment, and what lines begin with.
func compact(text, begin, end string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, begin) && strings.HasSuffix(line, end) {
			continue
		}
		b.WriteString(line)
		if !strings.HasSuffix(line, ",") {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// HasLogo tells whether the operator gave a logo.
func (d document) HasLogo() bool { return d.Page.Brand.hasLogo() }

// Name is who runs the gateway; it may be empty.
func (d document) Name() string {
	if b := d.Page.Brand; b != nil && b.Name != "" {
		return b.Name
	}
	return d.Page.Issuer
}

// BrandLinks are the operator's links.
func (d document) BrandLinks() []BrandLink {
	if d.Page.Brand == nil {
		return nil
	}
	return d.Page.Brand.Links
}

// HasFoot tells whether anything stands below the page.
func (d document) HasFoot() bool {
	return d.Page.User != "" || d.Page.HomeURL != "" || len(d.BrandLinks()) > 0 || len(d.Languages) > 0
}

// moment is a time, and the time from which it is seen.
type moment struct{ Time, Now time.Time }

// UTC is the moment for machines (HTML, section 2.4.5).
func (m moment) UTC() string { return m.Time.UTC().Format("2006-01-02T15:04:05Z") }

// timed is a sentence with the place {span}, in which the script counts down.
func (w *words) timed(key string, d time.Duration) template.HTML {
	before, after, _ := strings.Cut(w.say(key), "{span}")
	return template.HTML(template.HTMLEscapeString(before) +
		`<span class="timer" role="timer" aria-live="off" data-seconds="` + strconv.Itoa(ceil(d, time.Second)) + `">` +
		template.HTMLEscapeString(w.span(d)) + `</span>` + template.HTMLEscapeString(after))
}
