package readings

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
)

// Verdict answers whether a request holds what is looked for.
type Verdict uint8

// The verdicts.
const (
	No Verdict = iota
	Yes
	CannotTell // it may: to be taken for Yes where Yes is what protects
)

// Limits on a field to look for.
const (
	MaxPointer = 512 // bytes
	maxTokens  = 16  // of a pointer
)

// ErrField tells that a field cannot be looked for; its text says why.
var ErrField = errors.New("not a field to look for")

// Field is a field of a request, and what it has to hold. Make it with
// [FormField] or [JSONField].
//
// Many applications take their parameters from the query, from a form and from
// JSON alike (Rails, Laravel, Express), so each kind of field is looked for in
// all three: whoever sends the other kind must not walk around a rule.
type Field struct {
	names  []string // in a query or form; compared as sameName does
	path   []string // in JSON, from the top
	values []string // any of these; none: the field is there at all
	text   string
}

// FormField is the field of that name in query and form, and the member of that
// name of a JSON object. The name stands without subscripts: "user" is
// "user[role]" too. Where there are values it has to hold one of them; see
// [Field.In].
func FormField(name string, values ...string) (Field, error) {
	switch {
	case strings.Trim(name, blanks) != name || name == "":
		return Field{}, fieldError("a field's name must not be empty nor begin or end with a space")
	case len(name) > MaxPointer:
		return Field{}, fieldError("a field's name must be at most " + strconv.Itoa(MaxPointer) + " bytes")
	case strings.ContainsAny(name, "[]&;=%+\x00"):
		return Field{}, fieldError("a field's name must be written decoded and without subscript: `user` is also user[role]")
	}
	return Field{names: []string{name}, path: []string{name}, values: values, text: name}, nil
}

// JSONField is what a JSON pointer (RFC 6901) other than "" leads to, and the
// field of a query or form that would be called so: by the first of the
// pointer's names, whatever its subscripts, or by all of them joined with dots.
func JSONField(pointer string, values ...string) (Field, error) {
	if !strings.HasPrefix(pointer, "/") || len(pointer) > MaxPointer {
		return Field{}, fieldError("a JSON pointer must begin with a slash, such as /method, and have at most " + strconv.Itoa(MaxPointer) + " bytes")
	}
	f := Field{values: values, text: pointer}
	for token := range strings.SplitSeq(pointer[1:], "/") {
		for i := 0; i < len(token); i++ {
			if token[i] == '~' && (i+1 == len(token) || token[i+1] != '0' && token[i+1] != '1') {
				return Field{}, fieldError("in a JSON pointer ~ is written ~0, and a slash within a name ~1")
			}
		}
		f.path = append(f.path, strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~"))
	}
	if len(f.path) > maxTokens {
		return Field{}, fieldError("a JSON pointer may have at most " + strconv.Itoa(maxTokens) + " names")
	}
	f.names = []string{f.path[0]}
	if len(f.path) > 1 {
		f.names = append(f.names, strings.Join(f.path, "."))
	}
	return f, nil
}

// String is the name or pointer that the field was made with.
func (f *Field) String() string { return f.text }

type fieldErr struct{ text string }

func fieldError(text string) error       { return &fieldErr{text} }
func (e *fieldErr) Error() string        { return e.text }
func (e *fieldErr) Is(target error) bool { return target == ErrField }
func (f *Field) wants(value string) bool { return len(f.values) == 0 || anySame(value, f.values) }

// In tells whether some reading of the request has the field with one of its
// values. Values are compared without their case and the blanks around them, up
// to a NUL, and as numbers where the wanted one is a number: "7" is "07", "7.0"
// and, to those who read numbers from the beginning of a text, "7x". queries are
// raw queries to look into besides that of r.URL.
//
// The body is only read where the queries do not have the field already.
func (f *Field) In(r *http.Request, p *Peek, queries ...string) Verdict {
	q := fieldReader{names: f.names, want: f}
	if r.URL != nil {
		q.query(r.URL.RawQuery)
		q.hiddenQuery(r.URL.Path)
	}
	for _, one := range queries {
		q.query(one)
	}
	if q.hit {
		return Yes
	}
	p.find(f, &q)
	switch {
	case q.hit:
		return Yes
	case q.unsure:
		return CannotTell
	}
	return No
}

// anySame tells whether a value is one of those wanted.
func anySame(value string, wanted []string) bool {
	value, _, _ = strings.Cut(value, "\x00")
	value = strings.Trim(value, blanks)
	for _, w := range wanted {
		if strings.EqualFold(value, w) || sameNumber(value, w) {
			return true
		}
	}
	return false
}

// sameNumber tells whether want is a number and value begins with the same one,
// be it read to the end, as C's strtod does, or up to the first that is no digit.
func sameNumber(value, want string) bool {
	if _, all := numberAt(want); all == 0 || all != len(want) {
		return false
	}
	w, err := strconv.ParseFloat(want, 64)
	if err != nil {
		return false
	}
	whole, all := numberAt(value)
	for _, end := range [...]int{whole, all} {
		if v, err := strconv.ParseFloat(value[:end], 64); end > 0 && err == nil && v == w {
			return true
		}
	}
	return false
}

// numberAt gives how long the number is that s begins with: its whole part, and
// all of it; 0 for none.
func numberAt(s string) (whole, all int) {
	digits := func(at int) int {
		for at < len(s) && at < maxNumber && '0' <= s[at] && s[at] <= '9' {
			at++
		}
		return at
	}
	at := 0
	if s != "" && (s[0] == '-' || s[0] == '+') {
		at = 1
	}
	whole = digits(at)
	if whole == at {
		whole = 0
	}
	all = whole
	if at = max(whole, at); at < len(s) && s[at] == '.' {
		if end := digits(at + 1); end > at+1 || whole > 0 {
			all = end
		}
	}
	if all > 0 && all < len(s) && s[all]|0x20 == 'e' {
		at = all + 1
		if at < len(s) && (s[at] == '-' || s[at] == '+') {
			at++
		}
		if end := digits(at); end > at {
			all = end
		}
	}
	return whole, all
}

// maxNumber is how many bytes a number may have.
const maxNumber = 64
