//go:build components

package components

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/pages"
	"github.com/stepup-gateway/caddy-stepup/tests/browser"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// inspector looks at pages for what keeps people from using them.
type inspector struct {
	*browser.Window
	axe string // the source of axe-core
}

func newInspector(t *testing.T, b *browser.Browser) *inspector {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(clients(t), "node_modules/axe-core/axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	return &inspector{Window: b.Open(t, browser.Options{}), axe: string(source)}
}

// violations are what axe-core finds on the page as it is shown now: each rule
// with the element and what helps.
func (i *inspector) violations(t *testing.T) []string {
	t.Helper()
	i.Inject("if (!window.axe) {" + i.axe + "\n}")
	answer := i.Await(`() => axe.run(document, {resultTypes: ['violations']}).then(r => JSON.stringify({
		rules: r.passes.length,
		violations: r.violations.map(v => ({id: v.id, help: v.help, nodes: v.nodes.map(n => n.target.join(' ') + ': ' + n.failureSummary)})),
	}))`)
	var found struct {
		Rules      int
		Violations []struct {
			ID, Help string
			Nodes    []string
		}
	}
	if err := json.Unmarshal([]byte(answer), &found); err != nil {
		t.Fatalf("axe-core answers %q: %v", answer, err)
	}
	if found.Rules == 0 {
		t.Fatalf("axe-core looked at nothing on %s", i.URL())
	}
	var all []string
	for _, v := range found.Violations {
		for _, node := range v.Nodes {
			all = append(all, fmt.Sprintf("%s (%s) at %s", v.ID, v.Help, strings.Join(strings.Fields(node), " ")))
		}
	}
	return all
}

// appearance is a window in which a page is looked at.
type appearance struct {
	width int64
	dark  bool
}

// everywhere is how people look at pages: by day and night, on a phone and on
// a screen.
var everywhere = []appearance{{360, false}, {360, true}, {1280, false}, {1280, true}}

// inspect looks at the page in each appearance, and then with all of it, and
// with its text alone, enlarged to 200 % (WCAG 2.2, 1.4.4 and 1.4.10).
func (i *inspector) inspect(t *testing.T, name string, in ...appearance) {
	t.Helper()
	i.OpenAll()
	for _, a := range in {
		scheme := "light"
		if a.dark {
			scheme = "dark"
		}
		i.Resize(a.width, 740, a.dark)
		i.Settle()
		for _, fault := range append(i.violations(t), i.Overflow()...) {
			t.Errorf("%s, %s, %d px: %s", name, scheme, a.width, fault)
		}
	}
	// Enlarged, a window of 1280 pixels shows as much as one of 640 did.
	i.Resize(640, 370, false)
	i.Settle()
	for _, fault := range i.Overflow() {
		t.Errorf("%s, at 200 %%: %s", name, fault)
	}
	i.Resize(360, 740, false)
	if by := i.EnlargeText(); by < 1.99 {
		t.Errorf("%s: text of 200 %% grows by %.2f only", name, by)
	}
	i.Settle()
	for _, fault := range i.Overflow() {
		t.Errorf("%s, with text of 200 %%: %s", name, fault)
	}
	i.ResetText()
}

// TestFaultsOfPagesAreSeen tries the inspector on pages that are not usable.
func TestFaultsOfPagesAreSeen(t *testing.T) {
	bodies := map[string]string{
		"/good":     `<main><h1>A page</h1><p>Words</p></main>`,
		"/contrast": `<main><h1>A page</h1><p style="color:#999">Words</p></main>`,
		"/dark":     `<style>@media (prefers-color-scheme: dark) {p {color: #ddd}}</style><main><h1>A page</h1><p>Words</p></main>`,
		"/label":    `<main><h1>A page</h1><p><input></p></main>`,
		"/wide":     `<main><h1>A page</h1><p style="width:500px">Words</p></main>`,
		"/long":     `<main><h1>A page</h1><p style="font-size:1.2rem">` + strings.Repeat("Word", 5) + `</p></main>`,
		"/fixed":    `<main><h1>A page</h1><p style="font-size:16px">Words</p></main>`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		fmt.Fprintf(w, `<!doctype html><html lang="en"><meta name="viewport" content="width=device-width"><title>A page</title><body style="background:#fff;margin:0">%s`, bodies[r.URL.Path])
	}))
	defer server.Close()
	i := newInspector(t, browser.Start(t))
	see := func(path string, a appearance) string {
		t.Helper()
		i.Go(server.URL + path)
		i.Resize(a.width, 740, a.dark)
		i.Settle()
		return strings.Join(append(i.violations(t), i.Overflow()...), "\n")
	}
	for _, c := range []struct {
		path string
		in   appearance
		want string // empty: nothing is wrong
	}{
		{"/good", appearance{360, true}, ""},
		{"/contrast", appearance{1280, false}, "color-contrast ("},
		{"/dark", appearance{1280, false}, ""},
		{"/dark", appearance{1280, true}, "color-contrast ("},
		{"/label", appearance{1280, false}, "label ("},
		{"/wide", appearance{1280, false}, ""},
		{"/wide", appearance{360, false}, "the page is 500 wide in 360\np"},
		{"/long", appearance{360, false}, ""},
	} {
		got := see(c.path, c.in)
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s in %+v: found %q, want %q", c.path, c.in, got, c.want)
		}
	}
	if by := i.EnlargeText(); by < 1.99 || len(i.Overflow()) == 0 {
		t.Errorf("a long word grows by %.2f and overflows: %q", by, i.Overflow())
	}
	i.ResetText()
	i.Go(server.URL + "/fixed")
	if by := i.EnlargeText(); by != 1 {
		t.Errorf("text of a fixed size grows by %.2f", by)
	}
}

// TestEveryViewIsAccessible looks at every page in every state that looks
// different: English and a language from right to left in every appearance, the
// others on a phone, where long words have the least room.
func TestEveryViewIsAccessible(t *testing.T) {
	all := views(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page := pages.Page{
			Lang: r.URL.Query().Get("lang"), Issuer: "Old Bank", Host: "bank.example.com", User: "alice", HomeURL: "/home", CSRF: "token", Now: time.Now(),
			LanguageURL: "/language", Path: "/",
		}
		if draw := all[strings.TrimPrefix(r.URL.Path, "/")]; draw != nil {
			pages.Render(w, http.StatusOK, draw(page))
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(server.Close)
	b := browser.Start(t)
	for lang, in := range map[string][]appearance{"en": everywhere, "ar": everywhere, "de": everywhere[:1], "fr": everywhere[:1], "es": everywhere[:1], "ja": everywhere[:1]} {
		if !pages.IsLanguage(lang) {
			continue
		}
		t.Run(lang, func(t *testing.T) {
			i := newInspector(t, b)
			for name := range all {
				i.Go(server.URL + "/" + name + "?lang=" + lang)
				i.inspect(t, name, in...)
			}
		})
	}
}

// TestJourneyIsAccessible looks at the pages of a person's way through the
// real gateway, where scripts run.
func TestJourneyIsAccessible(t *testing.T) {
	site := gateway.StartOldBank(t, gateway.OldBankOptions{Plain: []string{"axe"}})
	i := newInspector(t, browser.Start(t))
	c := &customer{Window: i.Window, t: t, site: site.At("axe")}
	for _, step := range []struct {
		name string
		goes func()
	}{
		{"security page, empty", func() { c.signIn("alice", "wonderland"); c.Go(c.site + "/.step-up/") }},
		{"enrolment", func() { c.Click("Set up an authenticator") }},
		{"QR code", func() { c.Click("Continue") }},
		{"recovery codes", func() {
			c.app = c.readApp()
			c.Fill("Enter the code", c.app.Code(t)) // the page sends it by itself
			c.Sees("Save them now")
		}},
		{"security page", func() { c.Go(c.site + "/.step-up/") }},
		{"challenge", func() { c.Go(c.site + "/transfer"); c.transfers("Bob", "12.50", "axe") }},
		{"recovery code", func() { c.Click("Use a recovery code instead") }},
		{"nothing there", func() { c.Go(c.site + "/.step-up/nothing") }},
	} {
		step.goes()
		i.inspect(t, step.name, everywhere...)
	}
}
