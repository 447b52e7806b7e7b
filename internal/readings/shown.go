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
	var all shownFields
	unsure := false
	for i := range fields {
		f := fieldReader{names: fields[i].names, show: &all}
		if r.URL != nil {
			f.query(r.URL.RawQuery)
			all.again(true)
			f.hiddenQuery(r.URL.Path)
		}
		all.again(true)
		for _, q := range queries {
			f.query(q)
		}
		all.again(false)
		p.find(&fields[i], &f)
		unsure = unsure || f.unsure
	}
	return all.list, !unsure
}

// shownFields collects the fields for Show.
type shownFields struct {
	list []Shown
	// known tells that what is added is another reading of what was there
	// before, and is left out where it is the same.
	known bool
}

// again sets known and gives what it was. It does nothing to a nil receiver.
func (s *shownFields) again(known bool) (was bool) {
	if s == nil {
		return false
	}
	was, s.known = s.known, known
	return was
}

// add tells whether there was room.
func (s *shownFields) add(name, value string) bool {
	one := Shown{Name: name, Value: value}
	if s.known && slices.Contains(s.list, one) {
		return true
	}
	if len(s.list) == maxShown {
		return false
	}
	s.list = append(s.list, one)
	return true
}
