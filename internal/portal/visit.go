package portal

import (
	"net/http"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/cookies"
	"github.com/stepup-gateway/caddy-stepup/internal/pages"
)

// visit is one request on its way.
type visit struct {
	portal *Portal
	w      http.ResponseWriter
	r      *http.Request
	site   where
	api    bool // answered in JSON
	who    ceremony.Principal
	ids    []string // from the path
	form   form     // with a POST from a page
	csrf   string   // for the forms of a page; see formToken
	// newcomer is set where the browser came without the cookie by which what it began
	// is found again.
	newcomer bool
}

// where is what the server says of where a request came in.
type where struct {
	Origin, Base string
	Secure       bool
}

func (v *visit) service() *ceremony.Service { return v.portal.o.Service }

// id is the path's one id.
func (v *visit) id() string { return v.ids[0] }

// url is the address of one of our own pages or calls, under the prefix that the
// browser sees.
func (v *visit) url(path string) string { return v.site.Base + Prefix + path }

// rememberBrowser gives a browser that has none a cookie of its own, so that
// what it begins is found again by it and by no other. Programs get none: what
// they begin is bound to the subject alone.
func (v *visit) rememberBrowser() {
	v.newcomer = v.who.Browser == [32]byte{}
	if v.newcomer && (!v.api || fromBrowser(v.r)) {
		v.who.Browser = cookies.NewBrowser(v.w, v.site.Secure)
	}
}

// page is what all pages have in common.
func (v *visit) page() pages.Page {
	p := pages.Page{
		Lang: v.language(), Issuer: v.portal.o.Issuer, Brand: v.portal.o.Brand, Host: v.r.Host,
		User: v.who.Shown(), CSRF: v.csrf, Now: v.portal.o.Now(),
		LanguageURL: v.url("language"), Path: v.shownAt(),
	}
	if !v.who.IsZero() && v.r.URL.Path != Prefix {
		p.HomeURL = v.url("")
	}
	return p
}

// redirect sends the browser on with GET. The target is one of url's, or was
// made by back.
func (v *visit) redirect(target string) error {
	v.w.Header().Set("Location", target)
	v.w.WriteHeader(http.StatusSeeOther)
	return nil
}

// back is where a passed challenge sends the browser: the path that the gateway
// wrote down when it began it (S09), or the security page.
//
// A path that begins with two slashes, which a client can make the gateway write
// down, would name another host; a "/." before it keeps it a path (WHATWG URL,
// section 4.5) and is gone again when the browser asks for it.
func (v *visit) back(returnTo string) string {
	if !strings.HasPrefix(returnTo, "/") || strings.ContainsFunc(returnTo, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return v.url("")
	}
	if len(returnTo) > 1 && (returnTo[1] == '/' || returnTo[1] == '\\') {
		return "/." + returnTo
	}
	return returnTo
}

// grantCookie is the cookie of the action's grant.
func (v *visit) grantCookie(action string) cookies.Name {
	return cookies.Grant(v.who.Tenant, action)
}

// manageToken is the token of the grant for managing authenticators, if the
// browser has one.
func (v *visit) manageToken() string {
	token, _ := cookies.Get(v.r.Header, v.grantCookie(grants.ManageAction).On(v.site.Secure))
	return token
}

// forgetManage takes the spent grant's cookie back.
func (v *visit) forgetManage() {
	if v.manageToken() == "" {
		return
	}
	cookies.Clear(v.w, v.grantCookie(grants.ManageAction), v.site.Secure)
}

// keep gives the browser the token of a grant just won.
func (v *visit) keep(won *ceremony.Won) {
	d := won.Challenge.Demand
	cookies.SetGrant(v.w, v.grantCookie(d.Action.String()), won.Token, d.Use, d.TTL, v.site.Secure)
}

// describe finds the person's challenge on this site.
func (v *visit) describe(id string) (ceremony.Description, error) {
	return v.service().Describe(v.r.Context(), v.who, id)
}

// actionLabel is what the operator calls an action.
func (v *visit) actionLabel(action string) string {
	if a, ok := v.portal.o.Actions[action]; ok && a.Label != "" {
		return a.Label
	}
	return action
}
