package readings

import (
	"net/http"
	"slices"
)

// maxShown bounds how many occurrences of fields a request may have for a person
// to look through.
const maxShown = 32

// Shown is one occurrence of a field, decoded once.
type Shown struct{ Name, Value string }

// Show lists every occurrence of fields in the query and body of r, in the order
// of fields, as a person would read them. certain is false where the request may
// hold more than is listed. queries are as in [Field.In].
func Show(fields []Field, r *http.Request, p *Peek, queries ...string) (shown []Shown, certain bool) {
	t := NewShowTable(fields...)
	return t.Read(r, queries...).Shown(fields, p)
}

// NewShowTable makes a table of fields that are listed for people, with
// [Found.Shown].
func NewShowTable(fields ...Field) *Table {
	t := NewTable(fields...)
	t.shows, t.lists = true, true
	return t
}

// Shown is [Show] of some of the fields of a table, for a request that is read once
// for all of them. p is the same for all.
func (f *Found) Shown(fields []Field, p *Peek) (shown []Shown, certain bool) {
	f.readQueries()
	f.readBody(p)
	certain = !f.unsure
	for i := range fields {
		m := f.merge(f.t.Place(&fields[i]))
		for o, _ := m.one(); o != nil; o, _ = m.one() {
			one := Shown{Name: o.name, Value: o.value}
			switch {
			case o.kind == doubtful:
				certain = false
				continue
			case o.kind == wholePart:
				continue
			case o.kind == encodedField:
				one = Shown{Name: decodeField(o.written), Value: decodeField(o.value)}
			case o.kind >= jsonText:
				one.Name = fields[i].text
			}
			if o.known && slices.Contains(shown, one) {
				continue
			}
			if len(shown) == maxShown {
				return shown, false
			}
			shown = append(shown, one)
		}
	}
	return shown, certain
}
