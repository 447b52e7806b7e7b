package portal

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/internal/cookies"
	"github.com/stepup-gateway/caddy-stepup/internal/pages"
)

// language is the one that the person chose, else the one that the browser asks
// for.
func (v *visit) language() string {
	chosen, _ := cookies.Get(v.r.Header, cookies.Language.On(v.site.Secure))
	return pages.Choose(chosen, strings.Join(v.r.Header["Accept-Language"], ","))
}

// changeLanguage remembers a language and leads back to the page.
func (v *visit) changeLanguage() error {
	lang := v.form["lang"]
	if !pages.IsLanguage(lang) {
		return invalid("lang", "is not known")
	}
	cookies.SetLanguage(v.w, lang, v.site.Secure)
	return v.redirect(v.url(v.portal.ownPage(v.form["path"])))
}

// shownAt is where the page that is being answered can be seen again, below the
// prefix: its own address, or that of the page with its form.
func (v *visit) shownAt() string {
	path := strings.TrimPrefix(v.r.URL.EscapedPath(), Prefix)
	if v.r.Method != http.MethodPost {
		if v.r.URL.RawQuery != "" {
			path += "?" + v.r.URL.RawQuery
		}
		return v.portal.ownPage(path)
	}
	return v.portal.ownPage(formOf(path))
}

// formOf is the path of the page with the form that is sent to path.
func formOf(path string) string {
	for _, end := range []string{"/confirm", "/send", "/again"} {
		path = strings.TrimSuffix(path, end)
	}
	return path
}

// ownPage gives an address below the prefix back where it is one of our own
// pages, with those of its parameters that change what the page shows; else that
// of the security page. What a client says is never led to as it stands (S09).
func (p *Portal) ownPage(address string) string {
	path, query, _ := strings.Cut(address, "?")
	if serve, _, _ := p.find(false, http.MethodGet, path); serve == nil {
		return ""
	}
	given, err := url.ParseQuery(query)
	if err != nil {
		return path
	}
	kept := url.Values{}
	for _, name := range []string{"method", challengeField} {
		if value := given.Get(name); isID(value) {
			kept.Set(name, value)
		}
	}
	if len(kept) == 0 {
		return path
	}
	return path + "?" + kept.Encode()
}
