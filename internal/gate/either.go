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
	asked bool // of these rules
}

// maxEither bounds how often a request is looked through for the values of several
// rules together. Beyond, the rules behind count too.
const maxEither = 8

func (e *either) add(rl *rule) {
	if len(rl.Fields) == 1 && (len(e.rules) == 0 || e.takes(rl)) {
		e.rules, e.asked = append(e.rules, rl), false
	}
}

// takes reports whether a rule may be one more.
func (e *either) takes(rl *rule) bool {
	return len(rl.Fields) == 1 && e.rules[0].Fields[0].Alike(&rl.Fields[0])
}

// decided reports whether the rules decide together, so that next need not be
// looked at. It puts that off while next may be one more of them.
func (d *decision) decided(e *either, next *rule) bool {
	if len(e.rules) < 2 || e.asked || next.Observe {
		return false
	}
	if e.takes(next) {
		return false
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
	fields := make([]*readings.Field, len(e.rules))
	for i, rl := range e.rules {
		fields[i] = &rl.Fields[0]
	}
	field := readings.AnyOf(fields)
	decide := b.fields().InEvery(&field, e.rules[0].places[0], &b.peek) == readings.Yes
	b.eithers = append(b.eithers, eitherVerdict{slices.Clone(e.rules), decide})
	return decide
}

// eitherVerdict is what was found of some rules together.
type eitherVerdict struct {
	rules  []*rule
	decide bool
}
