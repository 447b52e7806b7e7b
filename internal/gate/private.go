package gate

import (
	"net/http"
	"strings"
)

// A response that was let through is one person's. An application that does not
// know of the gateway may call it public, and a cache in front would serve it to
// others, unasked.

// perPerson makes a response private, whatever the application says of it, with
// words as room for what it sets: two fields that cost no allocation.
func perPerson(h http.Header, words *[2]string) {
	uncacheable(h)
	if said := h["Cache-Control"]; len(said) == 0 {
		words[0] = "private"
		h["Cache-Control"] = words[0:1:1]
	} else if len(said) != 1 || said[0] != "private" && said[0] != "no-store" {
		words[0] = private(said)
		h["Cache-Control"] = words[0:1:1]
	}
	switch said := h["Vary"]; {
	case len(said) == 0:
		words[1] = "Cookie"
		h["Vary"] = words[1:2:2]
	case !names(said, "cookie") && !names(said, "*"):
		h["Vary"] = append(said[:len(said):len(said)], "Cookie")
	}
}

// private adds private to the directives of Cache-Control (RFC 9111 section
// 5.2.2), and takes away those that are for shared caches. One for some fields
// alone, as in private="Set-Cookie", does not keep the rest out of them.
func private(fields []string) string {
	kept := []string{"private"}
	for _, directive := range directives(strings.Join(fields, ",")) {
		name, _, _ := strings.Cut(directive, "=")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "", "public", "private", "s-maxage", "proxy-revalidate":
		default:
			kept = append(kept, directive)
		}
	}
	return strings.Join(kept, ", ")
}

// directives splits a field at the commas that stand in no quotes.
func directives(field string) []string {
	var all []string
	quoted, begin := false, 0
	for i := 0; i < len(field); i++ {
		switch {
		case quoted && field[i] == '\\':
			i++
		case field[i] == '"':
			quoted = !quoted
		case field[i] == ',' && !quoted:
			all, begin = append(all, strings.TrimSpace(field[begin:i])), i+1
		}
	}
	return append(all, strings.TrimSpace(field[begin:]))
}

// uncacheable takes away what caches of some makers heed before Cache-Control.
func uncacheable(h http.Header) {
	for name := range h {
		if name == "" {
			continue
		}
		switch name[0] | 0x20 {
		case 's', 'c', 'x', 'e', 'v', 'n', 'a', 'f':
		default:
			continue
		}
		switch {
		case strings.EqualFold(name, "Surrogate-Control"), strings.EqualFold(name, "Edge-Control"),
			strings.EqualFold(name, "X-Accel-Expires"), strings.EqualFold(name, "X-LiteSpeed-Cache-Control"),
			len(name) >= len("CDN-Cache-Control") && strings.EqualFold(name[len(name)-len("CDN-Cache-Control"):], "CDN-Cache-Control"):
			delete(h, name)
		}
	}
}
