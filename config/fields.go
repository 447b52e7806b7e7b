package config

import (
	"fmt"
	"slices"
	"strings"
)

// Limits on what a rule asks of a request's fields.
const (
	MaxFields    = 16  // of each kind in a rule
	MaxValues    = 100 // of one field
	MaxFieldText = 512 // bytes of a name, pointer or value
)

// FormMatch asks for a field of a form or query.
type FormMatch struct {
	// Name is the field's name, decoded and without a subscript: user is
	// user[role] too. Required.
	Name string `json:"name"`

	// Values are those that the field may have, one of which is enough. Without
	// any it has to be there, whatever it holds.
	Values []string `json:"values,omitempty"`
}

// JSONMatch asks for a value in a JSON body.
type JSONMatch struct {
	// Pointer leads to the value, as RFC 6901 has it: /method, /params/0/name.
	// Arrays on the way are looked through without being named. Required.
	Pointer string `json:"pointer"`

	// Values are as in FormMatch: texts, or the JSON words and numbers.
	Values []string `json:"values,omitempty"`
}

// CheckForm holds what is asked of a form against its limits.
func CheckForm(f FormMatch) error {
	switch {
	case strings.Trim(f.Name, " \t") != f.Name || f.Name == "" || len(f.Name) > MaxFieldText || !printable(f.Name):
		return fmt.Errorf("form %q must name a field in 1 to %d bytes of printable text, such as `form op withdraw pay`", f.Name, MaxFieldText)
	case strings.ContainsAny(f.Name, "[]&;=%+"):
		return fmt.Errorf("form %q must be the field's name decoded and without its subscript: `form user` is also user[role]", f.Name)
	}
	return checkValues("form", f.Name, f.Values)
}

// CheckJSON holds what is asked of a JSON body against its limits.
func CheckJSON(j JSONMatch) error {
	if err := checkPointer("json", j.Pointer); err != nil {
		return err
	}
	return checkValues("json", j.Pointer, j.Values)
}

func checkPointer(setting, p string) error {
	if !strings.HasPrefix(p, "/") || len(p) > MaxFieldText || !printable(p) || strings.Count(p, "/") > MaxFields {
		return fmt.Errorf("%s %q must be a JSON pointer to at most %d levels, beginning with a slash, such as `json /method torrent-remove`", setting, p, MaxFields)
	}
	if rest := strings.NewReplacer("~0", "", "~1", "").Replace(p); strings.Contains(rest, "~") {
		return fmt.Errorf("%s %q: in a JSON pointer ~ is written ~0, and a slash within a name ~1", setting, p)
	}
	return checkPlaceholder(setting, p)
}

func checkPlaceholder(setting, text string) error {
	if strings.Contains(text, "{") && strings.Contains(text, "}") {
		return fmt.Errorf("%s %q must not contain a placeholder: what is protected may not depend on the request", setting, text)
	}
	return nil
}

func checkValues(setting, name string, values []string) error {
	if err := checkPlaceholder(setting, name); err != nil {
		return err
	}
	if len(values) > MaxValues {
		return fmt.Errorf("%s %s names more than %d values", setting, name, MaxValues)
	}
	for i, v := range values {
		switch {
		case len(v) > MaxFieldText || !printable(v):
			return fmt.Errorf("%s %s: value %q must be at most %d bytes of printable text", setting, name, v, MaxFieldText)
		case strings.TrimSpace(v) != v:
			return fmt.Errorf("%s %s: value %q must not begin or end with a space: values are compared without the spaces around them", setting, name, v)
		case slices.ContainsFunc(values[:i], func(w string) bool { return strings.EqualFold(v, w) }):
			return fmt.Errorf("%s %s names the value %q twice: case makes no difference", setting, name, v)
		}
		if err := checkPlaceholder(setting, v); err != nil {
			return err
		}
	}
	return nil
}

// CheckShow holds the fields that a challenge shows against their limits.
func CheckShow(fields []string) error {
	if len(fields) > MaxFields {
		return fmt.Errorf("show takes at most %d fields", MaxFields)
	}
	for i, f := range fields {
		err := error(nil)
		if strings.HasPrefix(f, "/") {
			err = checkPointer("show", f)
		} else if err = CheckForm(FormMatch{Name: f}); err != nil {
			err = fmt.Errorf("show %q must name fields without their subscripts, or JSON pointers beginning with a slash, such as `show amount payee`", f)
		}
		if err != nil {
			return err
		}
		if slices.Contains(fields[:i], f) {
			return fmt.Errorf("show names %s twice", f)
		}
	}
	return nil
}

// checkFields holds all that a rule asks of fields against its limits.
func (r Rule) checkFields() error {
	if len(r.Form) > MaxFields || len(r.JSON) > MaxFields {
		return fmt.Errorf("form and json take at most %d fields each", MaxFields)
	}
	seen := make(map[string]bool)
	twice := func(setting, name string) error {
		key := setting + " " + strings.ToLower(name)
		if seen[key] {
			return fmt.Errorf("%s asks for %s twice, and both would have to hold: write all values behind one", setting, name)
		}
		seen[key] = true
		return nil
	}
	for _, f := range r.Form {
		if err := CheckForm(f); err != nil {
			return err
		}
		if err := twice("form", f.Name); err != nil {
			return err
		}
	}
	for _, j := range r.JSON {
		if err := CheckJSON(j); err != nil {
			return err
		}
		if err := twice("json", j.Pointer); err != nil {
			return err
		}
	}
	return CheckShow(r.Show)
}

// asked is one thing that a rule asks of fields, comparable with another's.
type asked struct {
	field  string // with its kind
	values []string
}

func asksOf(r Rule) []asked {
	var all []asked
	for _, f := range r.Form {
		all = append(all, asked{"form " + strings.ToLower(f.Name), f.Values})
	}
	for _, j := range r.JSON {
		all = append(all, asked{"json " + strings.ToLower(j.Pointer), j.Values})
	}
	return all
}

// implied tells whether a request that has all that later asks for certainly has
// what earlier does.
func implied(earlier, later []asked) bool {
	for _, e := range earlier {
		if !slices.ContainsFunc(later, func(l asked) bool {
			return l.field == e.field && (len(e.values) == 0 || len(l.values) > 0 && !slices.ContainsFunc(l.values, func(v string) bool {
				return !slices.ContainsFunc(e.values, func(w string) bool { return strings.EqualFold(v, w) })
			}))
		}) {
			return false
		}
	}
	return true
}
