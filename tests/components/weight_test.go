//go:build components

package components

import (
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/portal"
	"github.com/stepup-gateway/caddy-stepup/tests/weight/scales"
)

// TestPagesAreLight: every page comes in one request of less than 30,000 bytes, in
// every language and with the largest brand there may be.
func TestPagesAreLight(t *testing.T) {
	for _, p := range scales.Pages(t) {
		if p.Heaviest >= scales.MaxPage || p.Wire >= scales.MaxPage {
			t.Errorf("%s has %d bytes in %s, %d with its head", p.Name, p.Heaviest, p.In, p.Wire)
		}
		if p.Requests != 1 {
			t.Errorf("%s comes in %d requests", p.Name, p.Requests)
		}
	}
}

// TestClientScriptIsLight: what an application loads beside its own scripts is
// smaller still, with the words of all languages.
func TestClientScriptIsLight(t *testing.T) {
	if n := len(portal.ClientScript("Old Bank", nil)); n >= scales.MaxPage/2 {
		t.Errorf("client.js has %d bytes", n)
	}
}

// TestWayFromChallengeIsShort: from a pasted code to the application's page there
// are two requests, the code and the page; where the application redirects, that
// is its own.
func TestWayFromChallengeIsShort(t *testing.T) {
	for _, w := range scales.Ways(t) {
		chains := 0
		for n, s := range w.Steps {
			if s.Redirect && !w.Steps[n-1].Redirect {
				chains++
			}
		}
		if len(w.Steps) < 2 || w.Steps[0].Method != "POST" || w.Steps[0].Status != 200 || w.Steps[1].Method != "GET" || w.Steps[1].Redirect || chains > 1 {
			t.Errorf("%s: %+v", w.Name, w.Steps)
		}
		// The gateway's part ends with the second request, which the application
		// answers.
		for _, s := range w.Steps[2:] {
			if !s.Redirect {
				t.Errorf("%s: a third request: %+v", w.Name, w.Steps)
			}
		}
		t.Logf("%s: %d ms from paste to page", w.Name, w.Took.Milliseconds())
	}
}
