// Package pagestest lists every page in every state that looks different, for all
// who look at pages: the tests of package pages, those in a browser, and who takes
// pictures of them.
//
//	for _, s := range pagestest.Samples(pagestest.Everyday("ar")) {
//		pages.Render(w, http.StatusOK, s.View)
//	}
//
// A page or a state that is new is one line in [Samples]; a test of package pages
// tells of views and constants that are in none. The views are made by hand: what
// the gateway fills them with is for the tests of packages portal and gate.
package pagestest

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/color"
	"github.com/stepup-gateway/caddy-stepup/internal/pages"
)

// Sample is one page in one state.
type Sample struct {
	Name string // of letters, digits and hyphens
	View pages.View
}

// Now is the time on every sample: times are told from it.
var Now = time.Date(2026, 3, 14, 9, 26, 0, 0, time.UTC)

// Fill is what the samples are filled with that comes from requests, people and
// the operator.
type Fill struct {
	Lang   string
	User   string
	Host   string
	Action string // what the operator calls it
	Label  string // what a person calls an authenticator
	Value  string // of a field of the request
	ID     string // what comes back in a hidden field
	Brand  *pages.Brand
}

// actions are what operators of that language may call an action.
var actions = map[string]string{
	"en": "Transfer money", "ar": "تحويل الأموال", "de": "Überweisung freigeben", "es": "Transferir dinero", "fr": "Virement bancaire", "ja": "送金の確認",
}

// Everyday fills the samples as they are mostly seen.
func Everyday(lang string) Fill {
	return Fill{Lang: lang, User: "alice", Host: "bank.example.com", Action: actions[lang], Label: "Pixel 9", Value: "1,250.00", ID: "Vt1qJ8sZc0mXw2Lr5yNbKg"}
}

// Only fills every field with the same text.
func Only(lang, text string) Fill {
	return Fill{Lang: lang, User: text, Host: "bank.example.com", Action: text, Label: text, Value: text, ID: text}
}

// Long fills every field with as much as may be there: in one word, where that
// may be, as in the addresses that many user names are.
func Long(lang string) Fill {
	return Fill{
		Lang: lang, User: strings.Repeat("alexandra.", 8) + "smith@example.com", Host: strings.Repeat("intranet.", 8) + "example.com",
		Action: strings.Repeat("Approve the yearly statement, ", 3) + actions[lang], Label: strings.Repeat("Telephone", 7), Value: strings.Repeat("0123456789", 10), ID: "x",
	}
}

// Handler serves the samples of every day at /NAME?lang=TAG, and with long=1
// those of Long.
func Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fill := Everyday(r.FormValue("lang"))
		if r.FormValue("long") != "" {
			fill = Long(fill.Lang)
		}
		name := strings.TrimPrefix(r.URL.Path, "/")
		all := Samples(fill)
		if i := slices.IndexFunc(all, func(s Sample) bool { return s.Name == name }); i >= 0 {
			pages.Render(w, http.StatusOK, all[i].View)
			return
		}
		http.NotFound(w, r)
	})
}

// Names are those of the samples, in their order.
func Names() []string {
	var names []string
	for _, s := range Samples(Everyday("en")) {
		names = append(names, s.Name)
	}
	return names
}

// page is what all views carry.
func page(f Fill) pages.Page {
	return pages.Page{
		Lang: f.Lang, LanguageURL: "/.step-up/language", Path: "/.step-up/",
		Issuer: "Old Bank", Host: f.Host, User: f.User,
		HomeURL: "/.step-up/", CSRF: "mWJ0c3JmLXRva2Vu", Now: Now, Brand: f.Brand,
	}
}

// brand is an operator's.
func brand(name string) *pages.Brand {
	accents, err := color.NewAccents(color.RGB{R: 0x9c, G: 0x1f, B: 0x5b})
	if err != nil {
		panic(err)
	}
	logo, err := pages.NewLogo([]byte(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#9c1f5b"/></svg>`))
	if err != nil {
		panic(err)
	}
	return &pages.Brand{Name: name, Logo: logo, Accent: &accents, Links: []pages.BrandLink{{Text: name, URL: "/imprint"}, {Text: "Help", URL: "https://help.example.com/"}}}
}
