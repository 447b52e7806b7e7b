package coverage

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/config"
)

// matcherSet is Caddy's matchers that all have to match, in the order of their
// names: Caddy's own sets come in random order.
type matcherSet []namedMatcher

type namedMatcher struct {
	name  string
	match func(*http.Request) (bool, error)
}

// Loader makes a matcher, a module of Caddy's namespace http.matchers, of its
// settings.
type Loader func(name string, settings json.RawMessage) (any, error)

// matcher is Caddy's interface of matchers that can fail.
type matcher interface {
	MatchWithError(*http.Request) (bool, error)
}

// loadMatchers loads a set as it is written in a rule.
func loadMatchers(load Loader, set config.Matchers) (matcherSet, error) {
	names := make([]string, 0, len(set))
	for name := range set {
		names = append(names, name)
	}
	slices.Sort(names)
	loaded := make(matcherSet, 0, len(set))
	for _, name := range names {
		raw, err := widen(name, set[name])
		if err != nil {
			return nil, err
		}
		module, err := load(name, raw)
		if err != nil {
			return nil, fmt.Errorf("matcher %s: %w", name, err)
		}
		m, ok := module.(matcher)
		if !ok {
			// Caddy's older interface smuggles errors past its caller, to whom
			// they look like a request that does not match.
			return nil, fmt.Errorf("matcher %s cannot tell that it failed, so that a failure would leave the request unprotected: use another, or ask its author to implement MatchWithError", name)
		}
		match := m.MatchWithError
		if name == "path" {
			if match, err = newQuickPaths(raw, match); err != nil {
				return nil, err
			}
		}
		loaded = append(loaded, namedMatcher{name, match})
	}
	return loaded, nil
}

// errQuery: Caddy's query matcher matches nothing in a query that Go refuses to
// read, but applications read it all the same.
var errQuery = errors.New("matching query: it can be read in several ways")

// match reports whether all match. Where one certainly does not, an error of
// another does not matter; else the first error is returned, and the request has
// to be refused.
func (s matcherSet) match(r *http.Request) (bool, error) {
	var failed error
	for _, m := range s {
		ok, err := m.match(r)
		if err == nil && !ok && m.name == "query" {
			if _, malformed := url.ParseQuery(r.URL.RawQuery); malformed != nil {
				err = errQuery
			}
		}
		switch {
		case err != nil:
			if failed == nil {
				failed = fmt.Errorf("matching %s: %w", m.name, err)
			}
		case !ok:
			return false, nil
		}
	}
	return failed == nil, failed
}

// widen makes a matcher cover what its author means by it.
func widen(name string, raw json.RawMessage) (json.RawMessage, error) {
	switch name {
	case "path":
		return coverBare(raw)
	case "path_regexp":
		return foldPattern(raw)
	}
	return raw, nil
}

// foldPattern makes a regular expression on paths match in any case, as the path
// matcher does: many applications answer /ADMIN like /admin. A (?-i) in the
// expression says otherwise.
func foldPattern(raw json.RawMessage) (json.RawMessage, error) {
	var said map[string]any
	if err := json.Unmarshal(raw, &said); err != nil {
		return nil, fmt.Errorf("loading matcher path_regexp: %w", err)
	}
	if pattern, ok := said["pattern"].(string); ok {
		said["pattern"] = "(?i)" + pattern
	}
	return json.Marshal(said)
}

// coverBare adds to each path ending in /* the path without the slash. Anyone who
// protects /admin/* means /admin too, which most applications answer alike.
func coverBare(raw json.RawMessage) (json.RawMessage, error) {
	var paths []string
	if err := json.Unmarshal(raw, &paths); err != nil {
		return nil, fmt.Errorf("loading matcher path: %w", err)
	}
	for _, p := range slices.Clone(paths) {
		if bare, ok := strings.CutSuffix(p, "/*"); ok && bare != "" {
			paths = append(paths, bare)
		}
	}
	return PathsJSON(paths), nil
}

// PathsJSON is the JSON form of a path matcher.
func PathsJSON(paths []string) json.RawMessage {
	out, _ := json.Marshal(paths) // strings always marshal
	return out
}

// CompileMatch makes one function of a rule's matchers: On has to match, and one
// of Match where there are any. It is nil where the rule has neither.
func CompileMatch(load Loader, r config.Rule) (func(*http.Request) (bool, error), error) {
	on, err := loadMatchers(load, r.On)
	if err != nil {
		return nil, err
	}
	alternatives := make([]matcherSet, 0, len(r.Match))
	for _, m := range r.Match {
		set, err := loadMatchers(load, m)
		if err != nil {
			return nil, err
		}
		alternatives = append(alternatives, set)
	}
	switch {
	case len(on) == 0 && len(alternatives) == 0:
		return nil, nil
	case len(alternatives) == 0:
		if len(on) == 1 && on[0].name != "query" {
			return on[0].match, nil
		}
		return on.match, nil
	}
	return func(r *http.Request) (bool, error) {
		ok, failed := on.match(r)
		if failed == nil && !ok {
			return false, nil
		}
		matched := false
		for _, set := range alternatives {
			ok, err := set.match(r)
			if err != nil && failed == nil {
				failed = err
			}
			matched = matched || ok
			if matched && failed == nil {
				return true, nil
			}
		}
		// An error with no alternative that could matter is still an error:
		// what cannot be told must not pass.
		return matched && failed == nil, failed
	}, nil
}

// blindToMethod are the matchers that certainly do not look at the method, so
// that rules made of them alone need no search for overrides.
var blindToMethod = map[string]bool{
	"path": true, "path_regexp": true, "host": true, "header": true, "header_regexp": true, "query": true,
	"remote_ip": true, "client_ip": true, "protocol": true, "tls": true,
}

// UsesHost reports whether a rule's matchers may depend on the host.
func UsesHost(r config.Rule) bool {
	for _, set := range append([]config.Matchers{r.On}, r.Match...) {
		for name, raw := range set {
			switch name {
			case "path", "path_regexp", "method", "query", "remote_ip", "client_ip", "protocol", "tls":
			default:
				if name == "host" || strings.Contains(strings.ToLower(string(raw)), "host") {
					return true
				}
			}
		}
	}
	return false
}

// UsesMethod reports whether a rule's matchers may depend on the method.
func UsesMethod(r config.Rule) bool {
	for _, set := range append([]config.Matchers{r.On}, r.Match...) {
		for name, raw := range set {
			if !blindToMethod[name] || strings.Contains(string(raw), "{") && strings.Contains(string(raw), "method") {
				return true
			}
		}
	}
	return false
}
