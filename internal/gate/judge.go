package gate

import (
	"errors"
	"slices"
)

var (
	// errAmbiguous reports that the readings of a request ask for different
	// actions.
	errAmbiguous = errors.New("the request can be read in ways that need different proofs")
	// errHidden reports that a reading lies under the gateway's own prefix.
	errHidden = errors.New("a reading of the request is one of the gateway's own pages")
)

// match is what one rule says of one reading of a request.
type match struct {
	rule *rule // nil with unruled
	says says
	// ifBody marks a rule that would say so only if the body had its fields, where
	// nobody knows the body (see body.unknown). Such a match decides nothing.
	ifBody bool
	// near marks a rule that names a neighbour of the path, see Rule.Near. It may
	// decide.
	near         bool
	method, path string // the reading; the method is "?" for one that is not known
}

// says is what a rule says of a reading.
type says uint8

const (
	unruled   says = iota // no rule decides the reading
	decides               // the first enforced rule of the reading
	mayDecide             // it cannot be told; the next match of the reading tells what else
	observes              // it would decide or might, were it enforced
	excepts               // it would decide but for its exceptions
)

// matches are all matches of one request: those of one reading side by side, in
// the order of the rules. The first is kept apart, since most requests have no
// other and it then costs no allocation.
type matches struct {
	n     int
	first match
	more  []match
}

func (m *matches) add(one match) {
	if m.n == 0 {
		m.first = one
	} else {
		m.more = append(m.more, one)
	}
	m.n++
}

func (m *matches) at(i int) *match {
	if i == 0 {
		return &m.first
	}
	return &m.more[i-1]
}

// judgment is what all matches of a request come to.
type judgment struct {
	// rule is the one whose demand the request must satisfy; nil where there is
	// none.
	rule *rule
	// also are further rules whose demands must be satisfied too: it cannot be
	// told which of several actions the request is, or it is all of them.
	also []*rule
	// untold reports that the judgment may differ once more of a large body is
	// looked through.
	untold bool
	// observed are the observing rules that would have decided a reading, each
	// once.
	observed []*rule
	// excepted reports that a rule would have decided but for its exceptions.
	excepted bool
}

// judge is the whole decision: a pure function of the matches. Readings without a
// rule do not count where others have one. Two readings that ask for different
// actions are ambiguous, since a grant for one would open the other's resource to
// anyone who makes the application read it so.
//
// Where it cannot be told from the fields which rule decides, the request needs the
// grants for all that may, which open no more together than each for itself: a form
// may send a field twice (a checkbox with its default), a batch may be several
// actions, and an upload may be larger than what was looked through (tooLarge). The
// only error is errAmbiguous.
func judge(all *matches, tooLarge bool) (judgment, error) {
	var (
		j     judgment
		maybe []*rule
	)
	for i := range all.n {
		m := all.at(i)
		if m.ifBody {
			continue
		}
		switch m.says {
		case decides:
			if j.rule == nil {
				j.rule = m.rule
			} else if !sameAction(j.rule, m.rule) {
				return judgment{}, errAmbiguous
			}
		case mayDecide:
			maybe = append(maybe, m.rule)
		case observes:
			if !slices.Contains(j.observed, m.rule) {
				j.observed = append(j.observed, m.rule)
			}
		case excepts:
			j.excepted = true
		}
	}
	if len(maybe) == 0 {
		return j, nil
	}
	if j.rule != nil {
		maybe = append(maybe, j.rule)
	}
	j.rule, j.untold = maybe[0], tooLarge
	for _, rl := range maybe[1:] {
		known := func(other *rule) bool { return sameAction(other, rl) }
		if !known(j.rule) && !slices.ContainsFunc(j.also, known) {
			j.also = append(j.also, rl)
		}
	}
	return j, nil
}

func sameAction(a, b *rule) bool { return a.Demand.Action == b.Demand.Action }
