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

	"github.com/stepup-gateway/caddy-stepup/internal/pages"
	"github.com/stepup-gateway/caddy-stepup/internal/pages/pagestest"
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

// What axe-core is to look for. Of a page that is only shown in other colours it
// need not look for anything else again.
const (
	allRules   = `{type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}`
	colorRules = `{type: 'rule', values: ['color-contrast', 'link-in-text-block']}`
)

// violations are what axe-core finds on the page as it is shown now: each rule
// with the element and what helps.
func (i *inspector) violations(t *testing.T, rules string) []string {
	t.Helper()
	i.Inject("if (!window.axe) {" + i.axe + "\n}")
	answer := i.Await(`() => axe.run(document, {resultTypes: ['violations'], preload: false, runOnly: ` + rules + `, rules: {'target-size': {enabled: true}}}).then(r => JSON.stringify({
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

// unreadable is what cannot be read on the page as it is shown now.
func (i *inspector) unreadable() []string { return append(i.Overflow(), i.Cut()...) }

// Windows: a small phone's, a tablet's, and a screen's. Enlarged to 200 %, a window
// of 1280 pixels shows as much as one of 640 did.
var (
	onPhone    = browser.Appearance{Width: 320, Height: 740}
	onTablet   = browser.Appearance{Width: 768, Height: 900}
	onScreen   = browser.Appearance{Width: 1280, Height: 740}
	onEnlarged = browser.Appearance{Width: 640, Height: 370}
)

// dark is the same window by night.
func dark(a browser.Appearance) browser.Appearance { a.Dark = true; return a }

// inspect looks at the page by day and night, in every window, and at whether there is room for its text.
func (i *inspector) inspect(t *testing.T, name string) {
	t.Helper()
	i.OpenAll()
	for _, window := range []browser.Appearance{onPhone, onTablet, onScreen} {
		i.inspectRules(t, name, window, allRules)
	}
	i.inspectRules(t, name, dark(onPhone), colorRules)
	i.inspectRules(t, name, dark(onScreen), colorRules)
	i.inspectRoom(t, name, onScreen, onTablet, onEnlarged, dark(onPhone))
}

// inspectRules looks at the page in one window.
func (i *inspector) inspectRules(t *testing.T, name string, a browser.Appearance, rules string) {
	t.Helper()
	i.Appear(a)
	for _, fault := range i.violations(t, rules) {
		t.Errorf("%s, %+v: %s", name, a, fault)
	}
}

// inspectRoom looks at whether all can be read in the windows, on a phone, and
// there with text alone enlarged to 200 %, by day and night (WCAG 2.2, 1.4.4 and
// 1.4.10).
func (i *inspector) inspectRoom(t *testing.T, name string, windows ...browser.Appearance) {
	t.Helper()
	i.OpenAll()
	for _, a := range append(windows, onPhone) {
		i.Appear(a)
		for _, fault := range i.unreadable() {
			t.Errorf("%s, %+v: %s", name, a, fault)
		}
	}
	if by := i.EnlargeText(); by < 1.99 {
		t.Errorf("%s: text of 200 %% grows by %.2f only", name, by)
	}
	for _, a := range []browser.Appearance{dark(onPhone), onPhone} {
		i.Appear(a)
		for _, fault := range i.unreadable() {
			t.Errorf("%s, with text of 200 %%, %+v: %s", name, a, fault)
		}
	}
	i.ResetText()
}

// inspectForced looks at the page with colours of one's own.
func (i *inspector) inspectForced(t *testing.T, name string) {
	t.Helper()
	a := onPhone
	a.ForcedColors, a.StillPictures = true, true
	i.Appear(a)
	for _, fault := range append(i.violations(t, colorRules), i.unreadable()...) {
		t.Errorf("%s, %+v: %s", name, a, fault)
	}
	// Grounds are gone: what is to be pressed or filled in has an edge instead.
	if bare := i.Ask(`() => [...document.querySelectorAll('button:not(.link), .button, input:not([type=hidden], [type=radio], [type=checkbox]), select, .error, .done')].
		filter(e => e.checkVisibility() && getComputedStyle(e).borderTopStyle === 'none').map(e => e.outerHTML).join('\n')`); bare != "" {
		t.Errorf("%s, forced colours: without an edge: %s", name, bare)
	}
	if moves := i.Ask(`() => document.getAnimations().length + [...document.querySelectorAll('*')].filter(e => parseFloat(getComputedStyle(e).transitionDuration) > 0).map(e => e.tagName).join()`); moves != "0" {
		t.Errorf("%s, reduced motion: moves: %s", name, moves)
	}
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
		"/small":    `<main><h1>A page</h1><p><button style="padding:0;border:0;width:12px;height:12px">a</button><button style="padding:0;border:0;width:12px;height:12px">b</button></p></main>`,
		"/outside":  `<main><h1>A page</h1></main><p>Words</p>`,
		"/hidden":   `<main><h1>A page</h1><p style="width:6em;overflow:hidden;white-space:nowrap;text-overflow:ellipsis">Many words that have no room</p></main>`,
		"/low":      `<main><h1>A page</h1><p style="height:8px;overflow:hidden">Words</p></main>`,
		"/over":     `<main><h1>A page</h1><p style="margin:0">Words</p><p style="margin:-20px 0 0">Others</p></main>`,
		"/broken":   `<main><h1 style="width:8em;overflow-wrap:anywhere">Neue Wiederherstellungscodes und Wieder&shy;herstellungs&shy;codes</h1></main>`,
		"/fixed":    `<main><h1>A page</h1><p style="font-size:16px">Words</p></main>`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		fmt.Fprintf(w, `<!doctype html><html lang="en"><meta name="viewport" content="width=device-width"><title>A page</title><body style="background:#fff;margin:0">%s`, bodies[r.URL.Path])
	}))
	defer server.Close()
	i := newInspector(t, browser.Start(t))
	see := func(path string, a browser.Appearance) string {
		t.Helper()
		i.Go(server.URL + path)
		i.Appear(a)
		return strings.Join(append(i.violations(t, allRules), i.unreadable()...), "\n")
	}
	for _, c := range []struct {
		path string
		in   browser.Appearance
		want string // empty: nothing is wrong
	}{
		{"/good", dark(onPhone), ""},
		{"/contrast", onScreen, "color-contrast ("},
		{"/dark", onScreen, ""},
		{"/dark", dark(onScreen), "color-contrast ("},
		{"/label", onScreen, "label ("},
		{"/small", onScreen, "target-size ("},
		{"/outside", onScreen, "region ("},
		{"/wide", onScreen, ""},
		{"/wide", onPhone, "the page is 500 wide in 320\np"},
		{"/long", onPhone, ""},
		{"/broken", onPhone, ""},
		{"/hidden", onPhone, `"Many words that have no room" leaves P. sideways`},
		{"/low", onPhone, `"Words" leaves P.`},
		{"/over", onPhone, `"Others" lies on "Words"`},
	} {
		got := see(c.path, c.in)
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s in %+v: found %q, want %q", c.path, c.in, got, c.want)
		}
	}
	i.Go(server.URL + "/long")
	i.Appear(onPhone)
	if by := i.EnlargeText(); by < 1.99 || len(i.Overflow()) == 0 {
		t.Errorf("a long word grows by %.2f and overflows: %q", by, i.Overflow())
	}
	i.ResetText()
	i.Go(server.URL + "/broken")
	if broken := i.Broken(); len(broken) != 1 || broken[0] != "Wiederherstellungscodes" {
		t.Errorf("broken words: %q", broken)
	}
	i.Go(server.URL + "/fixed")
	if by := i.EnlargeText(); by != 1 {
		t.Errorf("text of a fixed size grows by %.2f", by)
	}
}

// TestEveryPageIsAccessible looks at every page in every state, with axe in English,
// and at whether there is room in Arabic and another language, also for long names.
// With STEP_UP_LONG it does all of that in every language.
func TestEveryPageIsAccessible(t *testing.T) {
	server := httptest.NewServer(pagestest.Handler())
	t.Cleanup(server.Close)
	b := browser.Start(t)
	all := os.Getenv("STEP_UP_LONG") != ""
	// Two windows have half of the pages each.
	for half := range 2 {
		t.Run(fmt.Sprint(half), func(t *testing.T) {
			t.Parallel()
			i := newInspector(t, b)
			for n, name := range pagestest.Names() {
				if n%2 != half {
					continue
				}
				at := func(lang, long string) string {
					i.Go(server.URL + "/" + name + "?lang=" + lang + "&long=" + long)
					return lang + " " + name + " " + long
				}
				for k, l := range pages.Languages() {
					if !all && l.Tag != "en" && l.Tag != "ar" && (n/2+k)%4 != 0 {
						continue
					}
					page := at(l.Tag, "")
					if all || l.Tag == "en" {
						i.inspect(t, page)
					} else {
						i.inspectRoom(t, page)
					}
					// Japanese has no spaces, and goes on in the next line anywhere.
					for _, word := range i.Broken() {
						if l.Tag != "ja" {
							t.Errorf("%s: the word %q is broken", page, word)
						}
					}
					if l.Tag == "en" {
						i.inspectForced(t, page)
					}
				}
				if strings.HasPrefix(name, "message-") {
					continue // what everybody reads
				}
				for _, lang := range []string{"de", "ar"} {
					i.inspectRoom(t, at(lang, "long"))
				}
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
		{"enrolment", func() { c.Click("Set up a verification method") }},
		{"QR code", c.picksApp},
		{"recovery codes", func() {
			c.app = c.readApp()
			c.Fill("Enter the code", c.app.Code(t)) // the page sends it by itself
			c.Sees("Save these codes now")
		}},
		{"security page", func() { c.Go(c.site + "/.step-up/") }},
		{"challenge", func() { c.Go(c.site + "/transfer"); c.transfers("Bob", "12.50", "axe") }},
		{"recovery code", func() { c.Click("Use a recovery code instead") }},
		{"nothing there", func() { c.Go(c.site + "/.step-up/nothing") }},
	} {
		step.goes()
		i.inspect(t, step.name)
	}
}
