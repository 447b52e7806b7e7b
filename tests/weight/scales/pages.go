// Package scales weighs what people load: every page by itself, and the way from
// a challenge to the application's page.
package scales

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/config"
	"github.com/stepup-gateway/caddy-stepup/internal/color"
	"github.com/stepup-gateway/caddy-stepup/internal/pages"
	"github.com/stepup-gateway/caddy-stepup/internal/pages/pagestest"
	"github.com/stepup-gateway/caddy-stepup/tests/browser"
)

// MaxPage is what every page must stay below, in bytes.
const MaxPage = 30_000

// Languages are those that pages are weighed in.
var Languages = []string{"en", "ar", "de", "es", "fr", "ja"}

// Page is one page.
type Page struct {
	Name string
	// Everyday is its weight as it is mostly seen, in English; Heaviest that with
	// long names and as much of a brand as may be, in the language In. Both are
	// bytes of the document.
	Everyday, Heaviest int
	In                 string
	// Wire is what the browser got of the heaviest, head and body, in so many
	// Requests.
	Wire, Requests int
}

// brand is as heavy as the configuration allows.
func brand() (*pages.Brand, error) {
	content := []byte("\x89PNG\r\n\x1a\n")
	chance := rand.New(rand.NewPCG(1, 2))
	for len(content) < config.MaxLogo {
		content = append(content, byte(chance.Uint32()))
	}
	logo, err := pages.NewLogo(content)
	if err != nil {
		return nil, err
	}
	accent, err := color.Parse("#9c1f5b")
	if err != nil {
		return nil, err
	}
	accents, err := color.NewAccents(accent)
	if err != nil {
		return nil, err
	}
	b := &pages.Brand{Name: strings.Repeat("Old Bank", 8), Logo: logo, Accent: &accents}
	for n := range config.MaxLinks {
		text := fmt.Sprintf("%d%s", n, strings.Repeat("a", config.MaxLabel-1))
		b.Links = append(b.Links, pages.BrandLink{Text: text, URL: "https://" + strings.Repeat("a", config.MaxLinkURL-len("https://"))})
	}
	check := config.Brand{Name: b.Name, Accent: "#9c1f5b"}
	for _, l := range b.Links {
		check.Links = append(check.Links, config.Link{Text: l.Text, URL: l.URL})
	}
	if err := check.Validate(); err != nil {
		return nil, fmt.Errorf("the heaviest brand: %w", err)
	}
	return b, nil
}

// Pages weighs every page there is.
func Pages(t browser.T) []Page {
	t.Helper()
	heavy, err := brand()
	if err != nil {
		t.Fatal(err)
	}
	weigh := func(v pages.View) int {
		w := httptest.NewRecorder()
		pages.Render(w, http.StatusOK, v)
		if w.Code != http.StatusOK {
			t.Fatalf("a page cannot be drawn")
		}
		return w.Body.Len()
	}
	var all []Page
	drawn := map[string]pages.View{}
	for _, s := range pagestest.Samples(pagestest.Everyday("en")) {
		all = append(all, Page{Name: s.Name, Everyday: weigh(s.View)})
	}
	for _, lang := range Languages {
		if !pages.IsLanguage(lang) {
			t.Fatalf("there is no language %s", lang)
		}
		fill := pagestest.Long(lang)
		fill.Brand = heavy
		for n, s := range pagestest.Samples(fill) {
			if weight := weigh(s.View); weight > all[n].Heaviest {
				all[n].Heaviest, all[n].In, drawn["/"+s.Name] = weight, lang, s.View
			}
		}
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if view, ok := drawn[r.URL.Path]; ok {
			pages.Render(w, http.StatusOK, view)
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(server.Close)
	window := browser.Start(t).Open(t, browser.Options{})
	for n := range all {
		p := &all[n]
		window.Watch()
		window.Go(server.URL + "/" + p.Name)
		for _, r := range window.Requests() {
			// The logo stands in the page.
			if !strings.HasPrefix(r.URL, "data:") {
				p.Requests++
				p.Wire += r.Bytes
			}
		}
	}
	return all
}
