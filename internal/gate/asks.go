package gate

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/cookies"
)

// Asks reports whether the browser of who, which sent r for one of the gateway's own
// pages, would be refused or challenged on a page of the site: its path and query
// as the browser sees them, of which an outer handler takes base off the front. It
// is for links that should lead to something. Nothing is begun, spent or counted,
// and what handlers in front of the gate would make of the page is not known.
func (g *Gate) Asks(r *http.Request, who ceremony.Principal, base, page string) bool {
	target, under := strings.CutPrefix(page, base)
	u, err := url.ParseRequestURI(target)
	if !under || err != nil || !sameSitePath(target) {
		return true
	}
	to := r.Clone(r.Context())
	to.Method, to.URL, to.RequestURI, to.Body, to.ContentLength = http.MethodGet, u, target, http.NoBody, 0
	to.Header.Del("Content-Type")
	to.Header.Del("Content-Length")
	original := ""
	if base != "" {
		original = page
	}
	to = g.o.Restored(to, page)
	d := g.deciding(to, original)
	j, err := d.decide(to, original, 0)
	switch {
	case err != nil:
		return true
	case j.rule == nil:
		return false
	case len(j.also) > 0 || len(j.rule.Show) > 0:
		return true
	}
	token, _ := cookies.Get(r.Header, j.rule.cookie.On(g.o.Server.Secure(r)))
	_, err = g.o.Ceremony.Check(r.Context(), &who, &j.rule.Demand, [32]byte{}, token)
	return err != nil
}
