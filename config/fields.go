package config

import (
	"fmt"
	"maps"
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
	// any it has to be there, whatever it holds. A star at the end of a value
	// stands for anything that follows (delete* is deleteAll too), at its
	// beginning for anything before; elsewhere it is refused. A value that has a
	// star in it is named up to the star.
	Values []string `json:"values,omitempty"`

	// Not are values that are known to be harmless, instead of Values: every
	// request falls under the rule but those that certainly have the field once,
	// in the query or the form, with one of these by the letter. One that has it
	// twice, in another spelling, in JSON, or not at all falls under it, and so
	// does one whose body cannot be read. Without stars.
	Not []string `json:"not,omitempty"`
}

// JSONMatch asks for a value in a JSON body.
type JSONMatch struct {
	// Pointer leads to the value, as RFC 6901 has it: /method, /params/0/name.
	// Arrays on the way are looked through without being named. Required.
	Pointer string `json:"pointer"`

	// Values are as in FormMatch: texts, or the JSON words and numbers. For a
	// text also a JSON number, true or null counts, which some applications take
	// for it.
	Values []string `json:"values,omitempty"`

	// Not is as in FormMatch, for a body that is one JSON value with the field
	// exactly at Pointer: not in a batch, and not in the query or a form as well.
	Not []string `json:"not,omitempty"`
}

// CheckForm checks what is asked of a form against its limits.
func CheckForm(f FormMatch) error {
	switch {
	case strings.Trim(f.Name, " \t") != f.Name || f.Name == "" || len(f.Name) > MaxFieldText || !printable(f.Name):
		return fmt.Errorf("form %q must name a field in 1 to %d bytes of printable text, such as `form op withdraw pay`", f.Name, MaxFieldText)
	case strings.ContainsAny(f.Name, "[]&;=%+"):
		return fmt.Errorf("form %q must be the field's name decoded and without its subscript: `form user` is also user[role]", f.Name)
	}
	return checkBoth("form", f.Name, f.Values, f.Not)
}

// CheckJSON checks what is asked of a JSON body against its limits.
func CheckJSON(j JSONMatch) error {
	if err := checkPointer("json", j.Pointer); err != nil {
		return err
	}
	return checkBoth("json", j.Pointer, j.Values, j.Not)
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

func checkBoth(setting, name string, values, not []string) error {
	if err := checkPlaceholder(setting, name); err != nil {
		return err
	}
	if len(values) > 0 && len(not) > 0 {
		return fmt.Errorf("%s %s names values that are meant and, with not, values that are harmless: keep one of the lists", setting, name)
	}
	for _, v := range values {
		if err := checkStars(setting, name, v); err != nil {
			return err
		}
	}
	for _, v := range not {
		if strings.Contains(v, "*") {
			return fmt.Errorf("%s %s: the harmless value %q must be written out, without a star: a pattern would exempt what nobody has looked at", setting, name, v)
		}
	}
	if err := checkValues(setting, name, values, strings.EqualFold, "case makes no difference, remove one of them"); err != nil {
		return err
	}
	same := func(a, b string) bool { return a == b }
	return checkValues(setting, name+" not", not, same, "keep one of them")
}

// checkStars refuses a star that is no prefix or suffix: as a literal one it would
// match nothing that its author means.
func checkStars(setting, name, v string) error {
	switch text := bare(v); {
	case !strings.Contains(v, "*"):
		return nil
	case text == "":
		return fmt.Errorf("%s %s: the value %q is any value: leave it out, and the field has to be there whatever it holds", setting, name, v)
	case strings.Contains(text, "*"):
		return fmt.Errorf("%s %s: in the value %q a star may stand at the end, for anything that follows (delete*), at the beginning, for anything before, and nowhere else", setting, name, v)
	}
	return nil
}

// bare is a value without the stars at its ends.
func bare(v string) string { return strings.TrimSuffix(strings.TrimPrefix(v, "*"), "*") }

func checkValues(setting, name string, values []string, same func(a, b string) bool, why string) error {
	if len(values) > MaxValues {
		return fmt.Errorf("%s %s names more than %d values", setting, name, MaxValues)
	}
	for i, v := range values {
		switch {
		case len(v) > MaxFieldText || !printable(v):
			return fmt.Errorf("%s %s: value %q must be at most %d bytes of printable text", setting, name, v, MaxFieldText)
		case strings.TrimSpace(v) != v:
			return fmt.Errorf("%s %s: value %q must not begin or end with a space: values are compared without the spaces around them", setting, name, v)
		case slices.ContainsFunc(values[:i], func(w string) bool { return same(v, w) }):
			return fmt.Errorf("%s %s names the value %q twice: %s", setting, name, v, why)
		}
		if err := checkPlaceholder(setting, v); err != nil {
			return err
		}
	}
	return nil
}

// CheckShow checks the fields that a challenge shows against their limits.
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
			return fmt.Errorf("show names %s twice: remove one of them", f)
		}
	}
	return nil
}

// CheckShowLabels checks that each label is one of a field that is shown.
func CheckShowLabels(fields []string, labels map[string]string) error {
	for _, f := range slices.Sorted(maps.Keys(labels)) {
		if !slices.Contains(fields, f) {
			return fmt.Errorf("show_labels has a label for %s, which show does not name", f)
		}
		if l := labels[f]; strings.TrimSpace(l) == "" || len(l) > MaxLabel || !printable(l) {
			return fmt.Errorf("the label of %s in show must be 1 to %d bytes of printable text, such as `%s \"Amount\"`", f, MaxLabel, f)
		}
	}
	return nil
}

// checkFields checks all that a rule asks of fields against its limits.
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
	for i, f := range r.Form {
		if err := CheckForm(f); err != nil {
			return at(err, "form[%d]", i)
		}
		if err := twice("form", f.Name); err != nil {
			return at(err, "form[%d]", i)
		}
	}
	for i, j := range r.JSON {
		if err := CheckJSON(j); err != nil {
			return at(err, "json[%d]", i)
		}
		if err := twice("json", j.Pointer); err != nil {
			return at(err, "json[%d]", i)
		}
	}
	if err := CheckShow(r.Show); err != nil {
		return at(err, "show")
	}
	return at(CheckShowLabels(r.Show, r.ShowLabels), "show_labels")
}
