package config

import (
	"slices"
	"strings"
)

// asked is one thing that a rule asks of fields, comparable with another's.
type asked struct {
	field  string // with its kind
	values []string
	not    []string
}

func asksOf(r Rule) []asked {
	var all []asked
	for _, f := range r.Form {
		all = append(all, asked{"form " + strings.ToLower(f.Name), f.Values, f.Not})
	}
	for _, j := range r.JSON {
		all = append(all, asked{"json " + strings.ToLower(j.Pointer), j.Values, j.Not})
	}
	return all
}

// implied reports whether a request that has all that later asks for certainly
// has what earlier does.
func implied(earlier, later []asked) bool {
	for _, e := range earlier {
		if !slices.ContainsFunc(later, func(l asked) bool { return l.field == e.field && l.implies(e) }) {
			return false
		}
	}
	return true
}

// implies reports whether what l asks of a field is within what e asks of it.
func (l asked) implies(e asked) bool {
	switch {
	case len(e.not) > 0 && len(l.not) > 0:
		return subset(e.not, l.not)
	case len(e.not) > 0:
		// A harmless value passes the earlier rule; none of those that the later
		// one means may be read as such.
		return len(l.values) > 0 && !slices.ContainsFunc(l.values, func(v string) bool {
			return slices.ContainsFunc(e.not, func(n string) bool { return covers(v, n) })
		})
	case len(l.not) > 0:
		return false // the later rule covers requests without the field
	case len(e.values) == 0:
		return true
	}
	return len(l.values) > 0 && !slices.ContainsFunc(l.values, func(v string) bool {
		return !slices.ContainsFunc(e.values, func(w string) bool { return covers(w, v) })
	})
}

// covers reports whether all that the value v matches w matches too, stars
// included. It may miss some, and never reports what is not so.
func covers(w, v string) bool {
	w, v = strings.ToLower(w), strings.ToLower(v)
	text, inner := bare(w), bare(v)
	front, back := strings.HasPrefix(w, "*"), strings.HasSuffix(w, "*")
	switch {
	case front && back:
		return strings.Contains(inner, text)
	case front:
		return !strings.HasSuffix(v, "*") && strings.HasSuffix(inner, text)
	case back:
		return !strings.HasPrefix(v, "*") && strings.HasPrefix(inner, text)
	}
	return w == v
}

// subset reports whether every word of a is in b.
func subset(a, b []string) bool {
	return !slices.ContainsFunc(a, func(w string) bool { return !slices.Contains(b, w) })
}
