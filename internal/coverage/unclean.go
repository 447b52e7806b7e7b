package coverage

import (
	"net/http"
	"net/url"
	"strings"
)

// What a reading says has to be what a matcher compares. Caddy's path, path_regexp
// and path() in an expression resolve dots and merge slashes before they compare,
// and compare patterns with an escape against the escaped path. An application
// need not: a router that takes "/api/*/delete" literally finds it in
// "/api/../delete".

// Unclean returns the requests in which r, made by reading, has to be matched
// besides: one whose path cleaning leaves alone, where r's is not so, and for paths
// with escapes one that is sent like that.
func Unclean(r *http.Request, reading Reading) []*http.Request {
	var more []*http.Request
	p := r.URL.Path
	if m := mask(p); m != p {
		more = append(more, reading(r, m, r.Method))
	}
	if strings.IndexByte(p, '%') >= 0 {
		if decoded, err := url.PathUnescape(p); err == nil {
			raw := reading(r, decoded, r.Method)
			raw.URL.RawPath = p
			more = append(more, raw)
			if m := mask(p); m != p {
				raw := reading(r, "/", r.Method)
				raw.URL.Path, _ = url.PathUnescape(m)
				raw.URL.RawPath = m
				more = append(more, raw)
			}
		}
	}
	return more
}

// mask puts segments of the same length in the place of those that cleaning takes
// away: "_" for "." and "._" for "..", which a pattern's star or [^/]+ takes as it
// would take the dots. An empty segment becomes "_".
func mask(path string) string {
	if !strings.Contains(path, "//") && !strings.Contains(path, "/.") {
		return path
	}
	segments := strings.Split(path, "/")
	for i, s := range segments {
		switch {
		case s == "..":
			segments[i] = "._"
		case s == "." || s == "" && i > 0 && i < len(segments)-1:
			segments[i] = "_"
		}
	}
	return strings.Join(segments, "/")
}
