package readings

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Verdict answers whether a request holds what is looked for.
type Verdict uint8

// The verdicts.
const (
	No Verdict = iota
	Yes
	CannotTell // it may, or some readings do: to be taken for Yes where Yes is what protects
)

// Limits on a field to look for.
const (
	MaxPointer = 512 // bytes
	maxTokens  = 16  // of a pointer
)

// ErrField reports that a field cannot be looked for; its text says why.
var ErrField = errors.New("not a field to look for")

// Field is a field of a request, and what it has to hold. Make it with
// [FormField] or [JSONField].
//
// Many applications take their parameters from the query, from a form and from
// JSON alike (Rails, Laravel, Express), so each kind of field is looked for in
// all three: anyone who sends the other kind must not walk around a rule.
type Field struct {
	names  []string // in a query or form; compared as sameName does
	path   []string // in JSON, from the top
	values []wanted // any of these; none: the field is there at all
	not    bool     // values are those that are harmless; see Unless
	json   bool     // made with JSONField
	text   string
}

// FormField is the field of that name in query and form, and the member of that
// name of a JSON object. The name stands without subscripts: "user" is
// "user[role]" too. Where there are values it has to hold one of them; a star at
// the end of a value stands for anything that follows, at the beginning for
// anything before. See [Field.In].
func FormField(name string, values ...string) (Field, error) {
	switch {
	case strings.Trim(name, blanks) != name || name == "":
		return Field{}, fieldError("a field's name must not be empty nor begin or end with a space")
	case len(name) > MaxPointer:
		return Field{}, fieldError("a field's name must be at most " + strconv.Itoa(MaxPointer) + " bytes")
	case strings.ContainsAny(name, "[]&;=%+\x00"):
		return Field{}, fieldError("a field's name must be written decoded and without subscript: `user` is also user[role]")
	}
	f := Field{names: []string{name}, path: []string{name}, text: name}
	return f, f.want(values)
}

// JSONField is what a JSON pointer (RFC 6901) other than "" leads to, and the
// field of a query or form that would be called so: by the first of the
// pointer's names, whatever its subscripts, or by all of them joined with dots.
func JSONField(pointer string, values ...string) (Field, error) {
	if !strings.HasPrefix(pointer, "/") || len(pointer) > MaxPointer {
		return Field{}, fieldError("a JSON pointer must begin with a slash, such as /method, and have at most " + strconv.Itoa(MaxPointer) + " bytes")
	}
	f := Field{json: true, text: pointer}
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
	return f, f.want(values)
}

func (f *Field) want(values []string) error {
	f.values = make([]wanted, 0, len(values))
	for _, v := range values {
		w, err := wantedOf(v)
		if err != nil {
			return err
		}
		f.values = append(f.values, w)
	}
	return nil
}

// Unless returns the field turned around: [Field.In] then finds it in every
// request but those in which it certainly occurs once and is, byte for byte, one
// of the harmless values. A field of a form occurs in the query or in the form,
// one of JSON in a JSON body, at the pointer by the letter. A name or value in
// another spelling, a further occurrence anywhere, a body that cannot be read and
// a field that is not there are no exemption, so that the list fails on the side
// that asks. A star is no pattern here, and refused.
func (f Field) Unless(harmless ...string) (Field, error) {
	if len(harmless) == 0 || len(f.values) > 0 {
		return f, fieldError("a field has values that are meant, or values that are harmless")
	}
	for _, v := range harmless {
		if strings.Contains(v, "*") {
			return f, fieldError("a harmless value is compared by the letter, without stars: a pattern would exempt what nobody has looked at")
		}
		w := wanted{text: v}
		w.prepare()
		f.values = append(f.values, w)
	}
	f.not = true
	return f, nil
}

// Alike reports whether both are one field, and neither is turned around, so that
// they differ in the values at most.
func (f *Field) Alike(other *Field) bool {
	return !f.not && !other.not && slices.Equal(f.names, other.names) && slices.Equal(f.path, other.path)
}

// AnyOf returns the field with the values of all, which are alike.
func AnyOf(fields []*Field) Field {
	either := *fields[0]
	n, all := 0, true
	for _, f := range fields {
		n += len(f.values)
		all = all && len(f.values) > 0
	}
	either.values = nil
	if all {
		either.values = make([]wanted, 0, n)
	}
	for _, f := range fields {
		either.json = either.json && f.json
		if all {
			either.values = append(either.values, f.values...)
		}
	}
	return either
}

// String is the name or pointer that the field was made with.
func (f *Field) String() string { return f.text }

type fieldErr struct{ text string }

func fieldError(text string) error       { return &fieldErr{text} }
func (e *fieldErr) Error() string        { return e.text }
func (e *fieldErr) Is(target error) bool { return target == ErrField }

// wantsAny reports whether an application may take value for one of those named;
// see wanted.is.
func (f *Field) wantsAny(value *seen, e *effort) bool {
	for i := range f.values {
		if f.values[i].is(value, e) {
			return true
		}
	}
	return len(f.values) == 0
}

// wantsLoosely is wants for a JSON word or number that is none of those named.
func (f *Field) wantsLoosely(word string) bool {
	for i := range f.values {
		if f.values[i].loosely(word) {
			return true
		}
	}
	return false
}

// listed reports whether a decoded value is, by the letter, one of those named.
func (f *Field) listed(value string) bool {
	for i := range f.values {
		if f.values[i].text == value {
			return true
		}
	}
	return false
}

// listedRaw is listed for a value as it stands in a query or form.
func (f *Field) listedRaw(raw string) bool {
	for i := range f.values {
		if spelled(raw, f.values[i].text) {
			return true
		}
	}
	return false
}

// In reports whether the request has the field with one of its values, or, of a
// field turned around with [Field.Unless], not with a harmless one. Values are
// compared without their case and what may stand around them; see wanted.is.
// queries are raw queries to look into besides that of r.URL, such as that of the
// URL before it was rewritten.
//
// Of a field turned around, Yes is that no reading has a harmless value alone.
// Where one may have, In cannot tell: the rule asks, and the rules behind it,
// which may be those of the other reading, are looked at too.
//
// The body is only read where the queries do not decide.
func (f *Field) In(r *http.Request, p *Peek, queries ...string) Verdict {
	return f.in(false, r, p, queries)
}

// InEvery is [Field.In], but Yes only if every reading of the request has the
// field with one of its values. Where some have and others may not, it cannot tell:
// the rules behind, which may be those of another reading, are to be looked at too.
// It is certain of a field that is spelled, name and value, as it was configured,
// at every place where it occurs, and in every element of a JSON batch, of a request
// that can be read to its end.
//
// It reads the body, whatever the queries say.
func (f *Field) InEvery(r *http.Request, p *Peek, queries ...string) Verdict {
	return f.in(true, r, p, queries)
}

func (f *Field) in(every bool, r *http.Request, p *Peek, queries []string) Verdict {
	t := NewTable(*f)
	return t.Read(r, queries...).verdict(f, t.Place(f), p, every)
}
