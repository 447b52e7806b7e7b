package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// RuleError says which rule of a site is refused, so that the Caddyfile can
// point at its line.
type RuleError struct {
	Rule int // index in Site.Rules
	Err  error
}

// Error is the sentence, with the rule's position for those who wrote JSON.
func (e *RuleError) Error() string { return fmt.Sprintf("rule %d: %v", e.Rule+1, e.Err) }

// Unwrap returns the sentence alone.
func (e *RuleError) Unwrap() error { return e.Err }

// ErrNoRules refuses a site that would protect nothing.
var ErrNoRules = errors.New("step_up protects nothing: add at least one `protect ACTION PATH { grant time_based 10m }`, or remove it")

// CheckRules validates each rule and then the set. It refuses what can only be a
// mistake, and one that leaves something open: an empty set, a rule no request
// can ever reach because an earlier one takes all of its requests, and an action
// type that is given two different demands.
func CheckRules(rules []Rule) error {
	if len(rules) == 0 {
		return ErrNoRules
	}
	if len(rules) > MaxRules {
		return fmt.Errorf("a site takes at most %d rules, not %d", MaxRules, len(rules))
	}
	scopes := make([]scope, len(rules))
	for i, r := range rules {
		if err := r.Validate(); err != nil {
			return &RuleError{i, err}
		}
		scopes[i] = scopeOf(r)
		for j := range i {
			if err := conflict(rules[j], r, scopes[j], scopes[i]); err != nil {
				return &RuleError{i, err}
			}
		}
	}
	return nil
}

// scope is what a rule covers, in a form that two rules can be compared in.
type scope struct {
	all    bool     // no narrowing by matchers: every path, host and header
	paths  []string // every covered request has one of these paths; nil: unknown
	bare   bool     // paths is all that narrows the rule, besides unsafe and except
	match  string   // canonical form of On and Match
	except []string // canonical form of Except
	unsafe bool
	not    []string // methods that unsafe leaves alone
	fields []asked
}

func scopeOf(r Rule) scope {
	s := scope{
		all:    len(r.On) == 0 && len(r.Match) == 0,
		match:  canonical(r),
		unsafe: r.Unsafe,
		not:    r.UnsafeNot,
		fields: asksOf(r),
	}
	except := slices.Clone(r.Except)
	for i := range except {
		except[i] = strings.ToLower(except[i])
	}
	slices.Sort(except)
	s.except = slices.Compact(except)

	// Validate has already read each of these path matchers.
	if on, _ := r.On.paths(); on != nil {
		s.paths, s.bare = on, len(r.On) == 1 && len(r.Match) == 0
	} else if len(r.Match) > 0 {
		s.bare = len(r.On) == 0
		for _, set := range r.Match {
			ps, _ := set.paths()
			if ps == nil {
				s.paths, s.bare = nil, false
				break
			}
			s.paths = append(s.paths, ps...)
			s.bare = s.bare && len(set) == 1
		}
	}
	if s.bare && (slices.Contains(s.paths, "*") || slices.Contains(s.paths, "/*")) {
		s.all = true
	}
	return s
}

// conflict says why later cannot stand after earlier, or nil.
func conflict(earlier, later Rule, e, l scope) error {
	if earlier.Action == later.Action {
		if !sameDemand(earlier, later) {
			return fmt.Errorf("%s was given another demand by an earlier rule: one action type has one grant, duration, list of methods and `accept`; repeat them, or use another action type", later.Action)
		}
	}
	if earlier.Action == later.Action && (len(earlier.Show) > 0) != (len(later.Show) > 0) {
		return fmt.Errorf("%s shows fields in one rule and none in another: its grants are good for the one request that was shown, or for any; write `show` in both, or use another action type", later.Action)
	}
	if earlier.Mode == ModeObserve {
		return nil // it takes no request from a later one
	}
	if e.unsafe && !l.unsafe {
		return nil // the earlier rule leaves safe requests to later ones
	}
	if e.unsafe && !subset(e.not, l.not) {
		return nil // it leaves those by the methods that it takes for safe
	}
	if !implied(e.fields, l.fields) {
		return nil // it leaves those without its fields
	}
	if len(e.except) == 0 || slices.Equal(e.except, l.except) {
		switch {
		case e.all && !l.all:
			return fmt.Errorf("%s can never be reached: the earlier rule %s covers every request it could match; move the narrower rule up", later.Action, earlier.Action)
		case e.match == l.match || e.all && l.all:
			return fmt.Errorf("%s repeats the matcher of the earlier rule %s, which takes all of its requests; remove one of them", later.Action, earlier.Action)
		}
	}
	for _, p := range l.paths {
		q, dead := "*", e.all
		if !dead && e.bare {
			q, dead = inside(p, e.paths)
		}
		if dead && !meets(p, e.except) {
			return fmt.Errorf("%s can never be reached for %s: it lies inside %s of the earlier rule %s; move the narrower rule up", later.Action, p, q, earlier.Action)
		}
	}
	return nil
}

// sameDemand reports whether two rules of one action type ask for the same.
func sameDemand(a, b Rule) bool {
	a, b = a.withDefaults(), b.withDefaults()
	return a.Grant == b.Grant && a.TTL == b.TTL && sameWords(a.Methods, b.Methods) && sameWords(a.Accept, b.Accept)
}

// CheckShared checks the rules of two sites of one tenant against each other: a
// grant is its user's in both, and what one asks for may not depend on the site
// that a server happens to mean.
func CheckShared(earlier, later []Rule) error {
	for i, l := range later {
		for _, e := range earlier {
			if e.Action == l.Action && !sameDemand(e, l) {
				return &RuleError{i, fmt.Errorf("%s was given another demand by another site of the same tenant: repeat its grant, duration, methods and `accept`, use another action type, or give each site its own tenant", l.Action)}
			}
		}
	}
	return nil
}

// meets reports whether a path could match both p and one of the exceptions. Two
// patterns that cannot be compared are taken to meet.
func meets(p string, exceptions []string) bool {
	for _, x := range exceptions {
		_, in := inside(p, []string{x})
		_, around := inside(x, []string{p})
		if in || around || strings.ContainsAny(strings.TrimSuffix(p, "*")+strings.TrimSuffix(x, "*"), "*?[") {
			return true
		}
	}
	return false
}

// sameWords compares two lists without duplicates, in whatever order.
func sameWords(a, b []string) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(w string) bool { return !slices.Contains(b, w) })
}

// inside returns the pattern among outer under which everything lies that p
// matches. It may miss an overlap between two unusual patterns, and never
// reports one that is not there.
func inside(p string, outer []string) (string, bool) {
	p = strings.ToLower(p)
	for _, q := range outer {
		lq := strings.ToLower(q)
		prefix, isPrefix := strings.CutSuffix(lq, "*")
		switch {
		case lq == "*" || lq == "/*" || p == lq:
			return q, true
		case isPrefix && !strings.ContainsAny(prefix, `*?[`):
			// Caddy matches /admin/* by prefix, and we add /admin to it.
			if strings.HasPrefix(p, prefix) || strings.HasSuffix(prefix, "/") && p == strings.TrimSuffix(prefix, "/") {
				return q, true
			}
		case !strings.ContainsAny(p, `*?[`):
			if ok, err := path.Match(lq, p); err == nil && ok {
				return q, true
			}
		}
	}
	return "", false
}

// canonical writes the matchers of r so that equal ones compare equal: keys and
// alternatives sorted, space removed, paths lower-cased and sorted.
func canonical(r Rule) string {
	alternatives := make([]string, 0, len(r.Match))
	for _, m := range r.Match {
		alternatives = append(alternatives, m.canonical())
	}
	slices.Sort(alternatives)
	alternatives = slices.Compact(alternatives)
	on := r.On.canonical()
	if len(r.On) == 0 && len(alternatives) == 1 {
		// A single match block says the same as the matcher after the action.
		on, alternatives = alternatives[0], nil
	}
	return on + "\n" + strings.Join(alternatives, "\n")
}

func (m Matchers) canonical() string {
	sorted := make(map[string]any, len(m))
	for name, raw := range m {
		if ps, err := m.paths(); name == "path" && err == nil {
			lower := make([]string, len(ps))
			for i, p := range ps {
				lower[i] = strings.ToLower(p)
			}
			slices.Sort(lower)
			sorted[name] = slices.Compact(lower)
			continue
		}
		var v any
		if json.Unmarshal(raw, &v) != nil {
			v = string(bytes.TrimSpace(raw))
		}
		sorted[name] = v
	}
	out, err := json.Marshal(sorted) // object keys come out sorted
	if err != nil {
		return fmt.Sprint(sorted)
	}
	return string(out)
}
