package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// OwnPages begins the paths of the gateway's own pages. The gateway answers
// requests for them before it looks at any rule.
const OwnPages = "/.step-up/"

// SafeMethods are the methods that unsafe always leaves alone.
var SafeMethods = []string{"GET", "HEAD", "OPTIONS", "TRACE"}

// checkPossible refuses a rule that no request can fall under: it would protect
// nothing, and its author would believe otherwise.
func (r Rule) checkPossible() error {
	if err := r.On.checkPossible(); err != nil {
		return at(fmt.Errorf("%s: %w", r.Action, err), "on")
	}
	for i, set := range r.Match {
		if err := set.checkPossible(); err != nil {
			return at(fmt.Errorf("%s: %w", r.Action, err), "match[%d]", i)
		}
	}
	// Each requirement is a list of alternatives: On has one, Match has several.
	for _, required := range [][]Matchers{{r.On}, r.Match} {
		if err := r.checkRequired(required); err != nil {
			return err
		}
	}
	return r.checkMeeting()
}

// checkRequired refuses alternatives of which the rule's other settings leave
// none.
func (r Rule) checkRequired(alternatives []Matchers) error {
	if len(alternatives) == 0 {
		return nil
	}
	left := func(possible func(Matchers) bool) bool { return slices.ContainsFunc(alternatives, possible) }
	switch {
	case !left(func(m Matchers) bool {
		return !allOf(m.Words("path"), func(p string) bool { return coveredBy(p, r.Except) })
	}):
		return at(fmt.Errorf("%s excepts all of its paths, so that it protects nothing: remove the paths from except that need a step-up", r.Action), "except")
	case !left(func(m Matchers) bool {
		return !allOf(m.Words("path"), func(p string) bool {
			return p+"/" == OwnPages || strings.HasPrefix(strings.ToLower(p), OwnPages)
		})
	}):
		return fmt.Errorf("%s names only pages of the gateway itself, which no rule covers: name paths of the application, and not those below %s", r.Action, OwnPages)
	case r.Unsafe && !left(func(m Matchers) bool {
		return !allOf(m.Words("method"), func(method string) bool {
			return slices.Contains(SafeMethods, method) || slices.Contains(r.UnsafeNot, method)
		})
	}):
		return at(fmt.Errorf("%s asks for methods that unsafe leaves alone, so that it protects nothing: remove unsafe, or name other methods, such as `method POST`", r.Action), "unsafe")
	}
	return nil
}

// checkMeeting refuses a matcher after the action that shares no path or no method
// with any match block.
func (r Rule) checkMeeting() error {
	for _, name := range []string{"path", "method"} {
		on := r.On.Words(name)
		apart := func(m Matchers) bool {
			words := m.Words(name)
			return len(words) > 0 && !slices.ContainsFunc(words, func(w string) bool {
				if name == "path" {
					return meets(w, on)
				}
				return slices.Contains(on, w)
			})
		}
		if len(on) > 0 && len(r.Match) > 0 && !slices.ContainsFunc(r.Match, func(m Matchers) bool { return !apart(m) }) {
			return at(fmt.Errorf("%s asks for a %s among %s and, in its match block, for others, so that it protects nothing: keep one of them, or write two rules",
				r.Action, name, strings.Join(on, ", ")), "match[0]")
		}
	}
	return nil
}

// checkPossible refuses matchers that match no request.
func (m Matchers) checkPossible() error {
	for _, method := range m.Words("method") {
		if upper := strings.ToUpper(method); upper != method && !strings.Contains(method, "{") {
			return fmt.Errorf("method %s matches nothing, since methods are compared in capital letters: write `method %s`", method, upper)
		}
	}
	for _, host := range m.Words("host") {
		if err := checkHost(host); err != nil {
			return err
		}
	}
	var expression struct{ Expr string }
	if raw := m["expression"]; json.Unmarshal(raw, &expression.Expr) != nil {
		_ = json.Unmarshal(raw, &expression)
	}
	if strings.TrimSpace(expression.Expr) == "false" {
		return errors.New("expression false matches nothing: write an expression that is true of what is meant, or remove the rule")
	}
	var excluded []Matchers
	_ = json.Unmarshal(m["not"], &excluded)
	for _, set := range excluded {
		if paths := set.Words("path"); len(set) == 1 && (slices.Contains(paths, "*") || slices.Contains(paths, "/*")) {
			return errors.New("not path /* matches nothing, since every path begins with a slash: name the paths that are not meant, such as `not path /public/*`")
		}
	}
	return nil
}

// checkHost refuses what cannot be the name of a host in a request.
func checkHost(host string) error {
	name := strings.Trim(host, "[]")
	if _, err := netip.ParseAddr(name); err == nil || strings.Contains(host, "{") {
		return nil
	}
	if i := strings.Index(name, "://"); i >= 0 {
		name = name[i+len("://"):]
	}
	name, _, _ = strings.Cut(name, "/")
	name, _, _ = strings.Cut(name, ":")
	if name != host {
		return fmt.Errorf("host %s matches nothing, since hosts are compared without scheme, port and path: write `host %s`", host, name)
	}
	return nil
}

// Words are the values of a matcher that is a list; nil if it is not one.
func (m Matchers) Words(name string) (list []string) {
	_ = json.Unmarshal(m[name], &list)
	return list
}

// allOf reports whether there are words and all of them are so.
func allOf(words []string, so func(string) bool) bool {
	return len(words) > 0 && !slices.ContainsFunc(words, func(w string) bool { return !so(w) })
}

// coveredBy reports whether a pattern lies under one of the exceptions.
func coveredBy(p string, exceptions []string) bool {
	return slices.ContainsFunc(exceptions, func(x string) bool {
		prefix, star := strings.CutSuffix(strings.ToLower(x), "*")
		return strings.EqualFold(p, x) || star && strings.HasPrefix(strings.ToLower(p), prefix)
	})
}

// CheckForeignCookie refuses the name of one of the gateway's own cookies where
// setting asks for a cookie of the application. The application never sees the
// gateway's cookies.
func CheckForeignCookie(setting, name string) error {
	if bare := strings.TrimPrefix(name, "__Host-"); strings.HasPrefix(bare, "step_up_") {
		return fmt.Errorf("%s %s is a cookie of the gateway itself, which the application never gets: name the application's own, such as PHPSESSID", setting, name)
	}
	return nil
}
