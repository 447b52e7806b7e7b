package gate

import (
	"net/http"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/internal/inbound"
	"github.com/stepup-gateway/caddy-stepup/internal/readings"
)

// hints are what scrub found in the names of headers.
type hints uint8

const (
	namesMethod hints = 1 << iota // some header may put another method in the place of the sent one
	namesPath                     // some header may name another path
)

// maxNamed bounds the values of such headers: an honest request has one.
const maxNamed = 4

// namesAPath reports whether a header of this name makes its value a path of the
// request. Destination is where MOVE and COPY put a resource (RFC 4918 section
// 10.3). The others are how proxies tell an application which address was asked
// for before they changed it, and some applications go by them, whoever sent them.
// X-Original-URL and X-Rewrite-URL are not among them: scrub deletes those.
//
// Content-Location and Slug (RFC 5023) name no resource that is acted on. BIND,
// UNBIND and REBIND name one in the body: see allows.
func namesAPath(name string) bool {
	if len(name) < len("destination") {
		return false
	}
	switch name[0] | 0x20 {
	case 'd':
		return folds(name, "destination")
	case 'x':
		for _, one := range pathHeaders {
			if folds(name, one) {
				return true
			}
		}
	}
	return false
}

var pathHeaders = [...]string{
	"x-forwarded-uri", "x-forwarded-url", "x-forwarded-path", "x-original-uri", "x-original-path", "x-rewrite-uri", "x-request-uri",
	forwardedPrefix, scriptName,
}

// These name what an application takes off the front of the path.
const (
	forwardedPrefix = "x-forwarded-prefix"
	scriptName      = "x-script-name"
)

// named adds the paths that headers name. A proxy in front may have taken a prefix
// off, which base is for one in this server: exceptions are written without it.
func (w *ways) named(r *http.Request, original, now, base string) error {
	n := 0
	sent := len(w.paths)
	for name, values := range r.Header {
		if !namesAPath(name) {
			continue
		}
		for _, value := range values {
			if n++; n > maxNamed || len(value) > 16<<10 {
				return readings.ErrTooMany
			}
			value = strings.TrimSpace(value)
			if folds(name, forwardedPrefix) || folds(name, scriptName) {
				w.without(value, sent)
				continue
			}
			if value == "" || value == now || value == original {
				continue
			}
			more, err := readings.Paths(pathOf(value))
			if err != nil {
				return err
			}
			front := base
			if ahead := inbound.Base(value, now); ahead != "" {
				front = ahead
			}
			for _, p := range more {
				bare := p
				if rest, ok := strings.CutPrefix(p, front); ok && strings.HasPrefix(rest, "/") {
					bare = rest
				}
				w.paths = include(include(w.paths, p), bare)
				w.bare = include(w.bare, bare)
			}
		}
	}
	return nil
}

// pathOf returns an absolute address from its path on, if it is written in the one
// way in which WebDAV clients write it; else the whole value, which then has the
// readings of a request target.
func pathOf(value string) string {
	rest, ok := strings.CutPrefix(value, "http://")
	if !ok {
		if rest, ok = strings.CutPrefix(value, "https://"); !ok {
			return value
		}
	}
	i := strings.IndexByte(rest, '/')
	if i < 1 || strings.ContainsFunc(rest[:i], func(c rune) bool {
		return !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '.' || c == '-' || c == ':' || c == '[' || c == ']')
	}) {
		return value
	}
	return rest[i:]
}

// without adds the first paths without a prefix.
func (w *ways) without(prefix string, paths int) {
	prefix = strings.TrimRight(prefix, "/")
	if prefix == "" {
		return
	}
	for _, p := range w.paths[:paths] {
		if len(p) > len(prefix) && p[len(prefix)] == '/' && strings.EqualFold(p[:len(prefix)], prefix) {
			w.paths = include(w.paths, p[len(prefix):])
			w.bare = include(w.bare, p[len(prefix):])
		}
	}
}
