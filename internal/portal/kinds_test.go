package portal

import (
	"testing"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/pages"
)

// TestKindsHaveWordsAndRoutes: whatever kind of proof there is can be named in every
// language, and enrolled where it is offered.
func TestKindsHaveWordsAndRoutes(t *testing.T) {
	p := &Portal{routes: routes()}
	for _, k := range grants.Kinds() {
		for _, lang := range []string{"en", "ar", "de", "es", "fr", "ja"} {
			if name := pages.MethodName(lang, k.Name); name == "" || name == "method."+k.Name {
				t.Errorf("%s has no name in %s", k.Name, lang)
			}
		}
		if k.Offer == "" {
			continue
		}
		paths := []string{k.Offer, k.Offer + "/abc/confirm"}
		if k.Way == grants.BySent {
			paths = append(paths, k.Offer+"/abc/send")
		}
		for _, path := range paths {
			if serve, _, _ := p.find(true, "POST", path); serve == nil {
				t.Errorf("%s: no POST %s", k.Name, path)
			}
		}
		if k.Way == grants.ByBrowser {
			if serve, _, _ := p.find(true, "GET", "challenges/abc/"+k.Name); serve == nil {
				t.Errorf("%s: nothing asks a browser", k.Name)
			}
		}
	}
}
