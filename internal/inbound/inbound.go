// Package inbound is what only the server knows of a request that it received: where
// it came in, and from whom.
package inbound

import (
	"net"
	"net/http"
	"strings"
)

// Server answers for the requests of a server. Its methods change nothing and may
// be called more than once for a request.
type Server interface {
	// Secure reports whether the client came over HTTPS.
	Secure(*http.Request) bool
	// Origin returns the site of the request; see [Origin].
	Origin(*http.Request) string
	// Base returns what was taken off the front of the path; see [Base].
	Base(*http.Request) string
	// Client returns the client's address, for the audit log.
	Client(*http.Request) string
	// Original returns the request target as the client sent it, where something
	// in front of the gateway may have rewritten it: both are readings of the
	// request.
	Original(*http.Request) (target string, ok bool)
	// Conn returns the client's connection, which is closed where an answer over
	// HTTP/1 must end. Nil, as over HTTP/3: the answer ends with the application's
	// next write.
	Conn(*http.Request) net.Conn
}

// Origin is the site of a request, scheme://host, in the form that browsers give
// it in Origin and Referer.
func Origin(r *http.Request, secure bool) string {
	host := strings.ToLower(r.Host)
	if secure {
		return "https://" + strings.TrimSuffix(host, ":443")
	}
	return "http://" + strings.TrimSuffix(host, ":80")
}

// Base is what was taken off the front of a request's path on its way, without a
// slash at its end, given the target as the client sent it and as it is now.
// Links to the gateway's own pages keep it. It is empty where the target was
// rewritten in another way.
func Base(original, now string) string {
	original, _, _ = strings.Cut(original, "?")
	now, _, _ = strings.Cut(now, "?")
	base, ok := strings.CutSuffix(original, now)
	if !ok || !IsPath(base+"/") {
		return ""
	}
	return base
}

// IsPath reports whether a browser that is sent to the target stays on the site.
// Browsers take two slashes or backslashes for the beginning of a host, and drop
// tabs and newlines before they look (WHATWG URL, section 4.4).
func IsPath(target string) bool {
	if target == "" || target[0] != '/' {
		return false
	}
	if len(target) > 1 && (target[1] == '/' || target[1] == '\\') {
		return false
	}
	for i := 0; i < len(target); i++ {
		if c := target[i]; c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}
