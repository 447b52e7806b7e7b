package coverage

import (
	"encoding/json"
	"net"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/config"
)

// Route is a route of Caddy's, in its JSON form, as far as compositions are judged
// by it.
type Route struct {
	Group    string                       `json:"group"`
	Match    []map[string]json.RawMessage `json:"match"`
	Handle   []json.RawMessage            `json:"handle"`
	Terminal bool                         `json:"terminal"`
}

// part is a handler in a route.
type part struct {
	Handler   string  `json:"handler"`
	Routes    []Route `json:"routes"`
	Upstreams []struct {
		Dial string `json:"dial"`
	} `json:"upstreams"`
	HandleResponse []json.RawMessage `json:"handle_response"`
	Rewrite        json.RawMessage   `json:"rewrite"`
	PassThru       bool              `json:"pass_thru"`
	URI            string            `json:"uri"`
	StripPrefix    string            `json:"strip_path_prefix"`
	Rules          []struct {
		Action string `json:"action"`
	} `json:"rules"`
	Source config.Source `json:"source"` // of a step_up
}

// answers reports whether the handler answers every request that it gets. A
// reverse_proxy that only asks whether to go on, as forward_auth is, does not.
func (p part) answers() bool {
	switch p.Handler {
	case "reverse_proxy":
		return p.HandleResponse == nil || p.Rewrite == nil
	case "file_server":
		return !p.PassThru
	case "static_response":
		return true
	}
	return false
}

// dials are the addresses of the application that the handler passes requests to.
func (p part) dials() []string {
	if p.Handler != "reverse_proxy" || !p.answers() {
		return nil
	}
	var all []string
	for _, u := range p.Upstreams {
		all = append(all, dialed(u.Dial))
	}
	return all
}

// dialed is one spelling of an address: this machine has several names.
func dialed(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	switch ip := net.ParseIP(host); {
	case host == "", ip != nil && (ip.IsLoopback() || ip.IsUnspecified()):
		host = "localhost"
	}
	return strings.ToLower(net.JoinHostPort(host, port))
}

// hostsOf are the hosts that matchers ask for; nil for any.
func hostsOf(sets []map[string]json.RawMessage) []string {
	var all []string
	for _, set := range sets {
		var hosts []string
		if json.Unmarshal(set["host"], &hosts) != nil || len(hosts) == 0 {
			return nil
		}
		for _, h := range hosts {
			if strings.ContainsAny(h, "*{") {
				return nil // cannot be compared
			}
			all = append(all, strings.ToLower(h))
		}
	}
	return all
}

// apart reports whether no request has a host of both lists.
func apart(a, b []string) bool {
	return len(a) > 0 && len(b) > 0 && !slices.ContainsFunc(a, func(h string) bool { return slices.Contains(b, h) })
}

// certainty is whether matchers take a request of which only the path is known.
type certainty int

const (
	never certainty = iota
	perhaps
	surely
)

// takes reports whether one of the sets takes the request for a page at p.
func takes(sets []map[string]json.RawMessage, p string) certainty {
	if len(sets) == 0 {
		return surely
	}
	best := never
	for _, set := range sets {
		one := surely
		for name, raw := range set {
			one = min(one, takesOne(name, raw, p))
		}
		best = max(best, one)
	}
	return best
}

func takesOne(name string, raw json.RawMessage, p string) certainty {
	switch name {
	case "path":
		var patterns []string
		if json.Unmarshal(raw, &patterns) != nil || strings.Contains(string(raw), "{") {
			return perhaps
		}
		if slices.ContainsFunc(patterns, func(pattern string) bool { return under(strings.ToLower(pattern), p) }) {
			return surely
		}
		return never
	case "path_regexp":
		var said struct{ Pattern string }
		_ = json.Unmarshal(raw, &said)
		re, err := regexp.Compile(said.Pattern)
		switch {
		case err != nil || said.Pattern == "":
			return perhaps
		case re.MatchString(p):
			return surely
		}
		return never
	case "method":
		var methods []string
		_ = json.Unmarshal(raw, &methods)
		if slices.Contains(methods, "GET") && slices.Contains(methods, "POST") {
			return perhaps
		}
		return never // the pages need both
	case "query":
		return never
	case "not":
		var sets []map[string]json.RawMessage
		if json.Unmarshal(raw, &sets) != nil || len(sets) == 0 {
			return perhaps
		}
		return surely - takes(sets, p)
	}
	return perhaps
}

// under compares a path with a pattern as Caddy's path matcher does.
func under(pattern, p string) bool {
	switch {
	case pattern == "*" || pattern == "/*":
		return true
	case strings.HasPrefix(pattern, "*") && strings.Count(pattern, "*") == 1:
		return strings.HasSuffix(p, pattern[1:])
	case strings.HasSuffix(pattern, "*") && strings.Count(pattern, "*") == 1:
		return strings.HasPrefix(p, pattern[:len(pattern)-1])
	}
	ok, _ := path.Match(pattern, p)
	return ok
}
