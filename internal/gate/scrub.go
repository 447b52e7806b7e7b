package gate

import (
	"net/http"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/internal/identity"
	"github.com/stepup-gateway/caddy-stepup/internal/problem"
)

// reserved begins the names of the headers by which the gateway talks to the
// application.
const reserved = "step-up-"

// sent is what scrub notes of a request's headers on its way through them.
type sent struct {
	// hinted is what the names of headers hint at.
	hinted hints
	// early reports that the request came as early data; see early.
	early bool
	// channel reports that the request may open one; see passage.
	channel bool
	// credential reports that the name of a header may be one that is looked for.
	credential bool
}

// scrub deletes what a client may not send (S08): Step-Up-* headers, in every
// spelling that some server takes for them; X-Original-URL and X-Rewrite-URL, by
// which some applications let themselves be told another path; tokens of
// Connection that would make a proxy delete the gateway's own headers; trailers;
// and what would make more of the request than one (S23), but for the upgrades
// that the operator allows.
//
// It returns r itself, or a copy where the body is chunked: net/http sets the
// trailers of such a body on its own request once the body was read.
//
// credentials are names of headers to tell of.
func scrub(r *http.Request, upgrades map[string]bool, credentials *identity.Filter) (*http.Request, sent) {
	var s sent
	h := r.Header
	var connection, upgrade []string
	for name, values := range h {
		if !s.credential && credentials.May(name) {
			s.credential = true
		}
		if name == "" || !looked[name[0]] {
			continue
		}
		switch {
		case denied(name):
			delete(h, name)
		case name == "Connection":
			connection = values
		case name == "Upgrade":
			upgrade = values
		case name == "Early-Data":
			s.early = true
		case name == "Expect" && (len(values) != 1 || !strings.EqualFold(values[0], "100-continue")):
			// The server has met it already, and what the application makes of
			// one that is malformed may differ.
			delete(h, name)
		case name == ":protocol" && r.Method != http.MethodConnect:
			delete(h, name)
		default:
			if mayOverride(name) {
				s.hinted |= namesMethod
			}
			if namesAPath(name) {
				s.hinted |= namesPath
			}
		}
	}
	if upgrade != nil {
		s.channel = passage(r, upgrade, connection, upgrades)
	}
	if len(connection) > 0 {
		// What it takes away may have been counted as an override, which costs
		// but time.
		scrubConnection(h, connection, s.channel)
	}
	if r.Method == http.MethodConnect {
		s.channel = tunnels(r)
	}
	if r.TLS != nil && !r.TLS.HandshakeComplete {
		s.early = true
	}
	if r.Trailer != nil || len(r.TransferEncoding) > 0 {
		r = r.WithContext(r.Context())
		r.Trailer = nil
	}
	return r, s
}

// noNames is for those who look for no credential.
var noNames identity.Filter

// Scrub passes on a request that may reach an application without a Gate: without
// what a client may not say to it, and without what could make more than one
// request of it, but for WebSockets and the upgrades to further protocols, in
// lower case.
func Scrub(w http.ResponseWriter, r *http.Request, upgrades map[string]bool, next func(http.ResponseWriter, *http.Request) error) error {
	r, s := scrub(r, upgrades, &noNames)
	switch {
	case r.Method == http.MethodConnect && !s.channel:
		problem.Write(w, problem.Problem{Code: methodNotAllowed.code, Detail: methodNotAllowed.detail})
		return nil
	case twoTargets(r.RequestURI):
		problem.Write(w, problem.Problem{Code: ambiguous.code, Detail: ambiguous.detail})
		return nil
	}
	return pass(w, r, s.channel, r.Body, next)
}

// looked tells with which letters the names begin that scrub looks at. A range
// over the header is much of what it costs; most names end here.
var looked = [256]bool{
	'S': true, 's': true, 'X': true, 'x': true, 'T': true, 't': true, // see denied
	'H': true, 'h': true, 'M': true, 'm': true, // see mayOverride
	'C': true, 'c': true, // Connection; see opens
	'D': true, 'd': true, // see namesAPath
	'U': true, // Upgrade
	'E': true, // Early-Data, Expect
	':': true, // :protocol
}

// denied reports whether clients may not send a header of the name. Servers turn
// header names into variables, and some make the same one of "Step_Up.User" as of
// "Step-Up-User", so whatever is neither letter nor digit counts as a dash.
func denied(name string) bool {
	if len(name) < len("trailer") {
		return false
	}
	switch name[0] | 0x20 {
	case 's':
		return len(name) >= len(reserved) && folds(name[:len(reserved)], reserved)
	case 'x':
		return folds(name, "x-original-url") || folds(name, "x-rewrite-url")
	case 't':
		return folds(name, "trailer") || opens(name)
	case 'h', 'c':
		return opens(name)
	}
	return false
}

// folds compares a name with one in lower case.
func folds(name, with string) bool {
	if len(name) != len(with) {
		return false
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		switch {
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		default:
			c = '-'
		}
		if c != with[i] {
			return false
		}
	}
	return true
}

// scrubConnection removes the headers that Connection names (RFC 9110 section
// 7.6.1), and leaves of it what concerns the connection itself. Proxies do so just
// before they send a request on: after the gateway has added headers of its own,
// and after it has judged a body by a Content-Type that the application would
// not see.
func scrubConnection(h http.Header, lines []string, channel bool) {
	if len(lines) == 1 && (lines[0] == "keep-alive" || lines[0] == "close") {
		return
	}
	found := false
	for _, line := range lines {
		for token := range strings.SplitSeq(line, ",") {
			if token = strings.TrimSpace(token); !ofConnection(token, channel) {
				found = true
				h.Del(token)
			}
		}
	}
	if !found {
		return
	}
	var kept []string
	for _, line := range lines {
		for token := range strings.SplitSeq(line, ",") {
			if token = strings.TrimSpace(token); token != "" && ofConnection(token, channel) {
				kept = append(kept, token)
			}
		}
	}
	if len(kept) == 0 {
		delete(h, "Connection")
		return
	}
	h["Connection"] = []string{strings.Join(kept, ", ")}
}

// ofConnection reports whether a token of Connection is an option of the
// connection, or names a header that means nothing beyond it; Upgrade only where
// channel is true.
func ofConnection(token string, channel bool) bool {
	switch len(token) {
	case 0:
		return true
	case len("te"):
		return strings.EqualFold(token, "te")
	case len("close"):
		return strings.EqualFold(token, "close")
	case len("upgrade"):
		return channel && strings.EqualFold(token, "upgrade")
	case len("keep-alive"):
		return strings.EqualFold(token, "keep-alive")
	}
	return false
}
