package gate

import (
	"net/http"
	"strings"
)

// What follows spares most requests package readings' full search for method
// overrides. It may only ever err on the other side.

// mayOverride tells of a header's name whether readings.MethodsOf could take its
// value for a method. All such names have one of two words in them.
func mayOverride(name string) bool {
	if len(name) < len("method") {
		return false
	}
	switch name[0] | 0x20 {
	case 'x', 'h', 'm':
	default:
		return false
	}
	for i := 0; i <= len(name)-len("method"); i++ {
		switch name[i] | 0x20 {
		case 'm':
			if strings.EqualFold(name[i:i+len("method")], "method") {
				return true
			}
		case 'o':
			if len(name)-i >= len("override") && strings.EqualFold(name[i:i+len("override")], "override") {
				return true
			}
		}
	}
	return false
}

// asSent tells of a request whose headers override nothing that its method can
// be read in one way only. HEAD is GET too. All names of fields that override
// have "method" in them, and to be hidden from this scan they would need an
// escape.
func asSent(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
	default:
		return false
	}
	q := r.URL.RawQuery
	return q == "" || strings.IndexByte(q, '%') < 0 && !containsFold(q, "method")
}

// containsFold reports whether s contains word, which is in lower case, in any
// case of ASCII.
func containsFold(s, word string) bool {
	for i := 0; i+len(word) <= len(s); i++ {
		if s[i]|0x20 == word[0] && strings.EqualFold(s[i:i+len(word)], word) {
			return true
		}
	}
	return false
}
