package gate

import (
	"slices"

	"github.com/stepup-gateway/caddy-stepup/internal/readings"
)

// either are the rules that may decide one reading, each by other values of one
// field: if every value that the request has is one of theirs, then one of them
// decides, whichever value the application takes, and no rule behind does.
type either struct {
	rules []*rule
	field readings.Field // with the values of all
	asked bool           // of these rules
}

// maxEither bounds how often a request is looked through for the values of several
// rules together. Beyond, the rules behind count too.
const maxEither = 8

func (e *either) add(rl *rule) {
	if len(rl.Fields) != 1 {
		return
	}
	if len(e.rules) == 0 {
		e.rules, e.field = append(e.rules, rl), rl.Fields[0]
	} else if f, ok := e.field.Or(&rl.Fields[0]); ok {
		e.rules, e.field, e.asked = append(e.rules, rl), f, false
	}
}

// decided reports whether the rules decide together, so that next need not be
// looked at. It puts that off while next may be one more of them.
func (d *decision) decided(e *either, next *rule) bool {
	if len(e.rules) < 2 || e.asked || next.Observe {
		return false
	}
	if len(next.Fields) == 1 {
		if _, ok := e.field.Or(&next.Fields[0]); ok {
			return false
		}
	}
	e.asked = true
	return d.body.either(e)
}

func (b *body) either(e *either) bool {
	for i := range b.eithers {
		if known := &b.eithers[i]; slices.Equal(known.rules, e.rules) {
			return known.decide
		}
	}
	if len(b.eithers) == maxEither || b.unknown {
		return false
	}
	decide := b.fields().InEvery(&e.field, e.rules[0].places[0], &b.peek) == readings.Yes
	b.eithers = append(b.eithers, eitherVerdict{slices.Clone(e.rules), decide})
	return decide
}

// eitherVerdict is what was found of some rules together.
type eitherVerdict struct {
	rules  []*rule
	decide bool
}
