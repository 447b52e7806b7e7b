package gate

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/internal/readings"
)

// navigates reports that a browser's window or frame asks, so that the answer will
// be seen by a person. Browsers say so themselves; of those that do not, one that
// would rather have HTML than anything else and no script's header is one.
func navigates(h http.Header) bool {
	if mode := h["Sec-Fetch-Mode"]; len(mode) > 0 {
		// The destination of what is to be saved as a file is empty.
		dest := h["Sec-Fetch-Dest"]
		return len(mode) == 1 && mode[0] == "navigate" && (len(dest) != 1 || dest[0] != "empty")
	}
	return !scripted(h) && prefersHTML(h["Accept"])
}

// scripted reports whether a script asks that puts pages into the one that is there:
// jQuery and its kin, Turbo, Unpoly, htmx, Inertia, pjax. Browsers over plain HTTP say
// nothing, and our page would stand inside the application's.
func scripted(h http.Header) bool {
	for _, name := range [...]string{"X-Requested-With", "Turbo-Frame", "X-Turbo-Request-Id", "X-Up-Version", "X-Up-Target", "Hx-Request", "X-Inertia", "X-Pjax"} {
		if len(h[name]) > 0 {
			return true
		}
	}
	return false
}

// framed reports that the answer goes into a frame of another page.
func framed(h http.Header) bool {
	dest := h["Sec-Fetch-Dest"]
	if len(dest) != 1 {
		return len(dest) > 1
	}
	switch dest[0] {
	case "iframe", "frame", "embed", "object", "fencedframe":
		return true
	}
	return false
}

// browser reports that a browser sent the request, which keeps cookies.
func browser(h http.Header) bool {
	return len(h["Sec-Fetch-Mode"]) > 0 || len(h["Sec-Fetch-Site"]) > 0 || len(h["Origin"]) > 0 || len(h["X-Requested-With"]) > 0
}

// speculates reports that nobody has asked for the answer yet.
func speculates(h http.Header) bool {
	for _, name := range [...]string{"Sec-Purpose", "Purpose", "X-Moz"} {
		for _, v := range h[name] {
			if v = strings.ToLower(v); strings.Contains(v, "prefetch") || strings.Contains(v, "prerender") {
				return true
			}
		}
	}
	return false
}

// early reports that a request came as TLS early data, which an attacker may
// replay (RFC 8470).
func early(r *http.Request) bool {
	return len(r.Header["Early-Data"]) > 0 || r.TLS != nil && !r.TLS.HandshakeComplete
}

// mayChange reports whether the request may change something: an attacker who
// replays it (RFC 8470 section 3) would change it twice.
func (v *visit) mayChange() bool {
	r := v.r
	return !readings.SafeMethod(r.Method) || len(r.Header["Upgrade"]) > 0 || v.hinted != 0 || r.ContentLength != 0 ||
		containsFold(r.URL.RawQuery, "method") || strings.IndexByte(r.URL.RawQuery, '%') >= 0
}

// maxRanges bounds how many media ranges of Accept are looked at.
const maxRanges = 32

// prefersHTML reports whether Accept (RFC 9110 section 12.5.1) names text/html, or
// XHTML, with a weight that is above zero and not below any other's. "*/*" alone
// is what programs send.
func prefersHTML(lines []string) bool {
	html, best, n := 0, 0, 0
	for _, line := range lines {
		for rest, more := line, true; more; {
			var item string
			item, rest, more = strings.Cut(rest, ",")
			if n++; n > maxRanges {
				return false
			}
			kind, params, _ := strings.Cut(item, ";")
			kind = strings.ToLower(strings.TrimSpace(kind))
			if kind == "" {
				continue
			}
			q := weight(params)
			if kind == "text/html" || kind == "application/xhtml+xml" {
				html = max(html, q)
			}
			best = max(best, q)
		}
	}
	return html > 0 && html == best
}

// weight reads the parameter q in thousandths; what is no weight counts as none.
func weight(params string) int {
	for rest, more := params, true; more; {
		var p string
		p, rest, more = strings.Cut(rest, ";")
		name, value, ok := strings.Cut(strings.TrimSpace(p), "=")
		if !ok || !strings.EqualFold(strings.TrimSpace(name), "q") {
			continue
		}
		q, err := strconv.ParseFloat(strings.TrimSpace(value), 32)
		if err != nil || !(q >= 0 && q <= 1) {
			return 0
		}
		return int(q*1000 + 0.5)
	}
	return 1000
}
