package gate

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/inbound"
)

// returnTarget is where the browser is sent once the step-up is passed: a path
// and query of this site (S09). For a safe request it is what was asked for.
// Others cannot be repeated by a redirect, and a framed page does not stand alone:
// there it is the page that the person came from, if that is the site's.
func (v *visit) returnTarget(framed bool) string {
	asked := v.asked()
	safe := v.r.Method == http.MethodGet || v.r.Method == http.MethodHead
	if !safe || framed {
		if from := refererOn(v.g.o.Server.Origin(v.r), v.r.Header["Referer"]); from != "" {
			return from
		}
		if !safe {
			return "/"
		}
	}
	if !sameSitePath(asked) {
		return "/"
	}
	return asked
}

// refererOn returns path and query of the page that a request came from, where
// that page is on the site; else nothing.
func refererOn(origin string, lines []string) string {
	if len(lines) != 1 || len(lines[0]) > ceremony.MaxReturnTo {
		return ""
	}
	u, err := url.Parse(lines[0])
	if err != nil || u.Opaque != "" || u.User != nil || !strings.EqualFold(u.Scheme+"://"+u.Host, origin) {
		return ""
	}
	u.Fragment, u.RawFragment, u.Scheme, u.Host = "", "", "", ""
	target := u.EscapedPath()
	if target == "" {
		target = "/"
	}
	if u.RawQuery != "" {
		target += "?" + u.RawQuery
	}
	if !sameSitePath(target) {
		return ""
	}
	return target
}

// foreign reports whether another site sent the browser here, and which one where
// it says so. A browser that tells nothing of the site, as all do over plain
// HTTP, is judged by the page that it came from.
func foreign(h http.Header, origin string) (yes bool, from string) {
	if referer := h["Referer"]; len(referer) == 1 && len(referer[0]) <= ceremony.MaxReturnTo {
		if u, err := url.Parse(referer[0]); err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && len(u.Host) <= maxSite {
			if from = u.Scheme + "://" + strings.ToLower(u.Host); from == origin {
				from = ""
			}
		}
	} else if len(referer) > 0 {
		return true, ""
	}
	site := h["Sec-Fetch-Site"]
	if len(site) == 0 {
		return from != "", from
	}
	if len(site) == 1 && (site[0] == "same-origin" || site[0] == "none") {
		return false, ""
	}
	return true, from
}

// maxSite bounds the name of another site (RFC 1035 section 2.3.4, with a port).
const maxSite = 255 + len(":65535")

// sameSitePath reports whether a browser can be sent to the target, and stays on
// the site.
func sameSitePath(target string) bool {
	return len(target) <= ceremony.MaxReturnTo && inbound.IsPath(target)
}
