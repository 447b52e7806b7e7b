package rig

import (
	"fmt"
	"math"
	"time"

	"github.com/anishathalye/porcupine"
)

// Model says which histories of one kind of thing are possible. Each thing has a
// history of its own. Refusals are always possible: a failover voids what was not
// used. An operation of unknown outcome took place at any time after it began, or
// never.
type Model struct {
	Name string
	// once: a use that is done takes the thing away, for all uses.
	once bool
	// rising: a use that is done takes away its step and all below.
	rising bool
	// late is how long after a revocation a use may still be done.
	late time.Duration
}

// Once is the model of what is good for one use: a one-time grant, a recovery code,
// a held request. Something that nobody won is revoked before it is used.
func Once(name string) Model { return Model{Name: name, once: true} }

// Rising is the model of an authenticator app, of which a code is accepted once, and
// none that is older than an accepted one.
func Rising(name string) Model { return Model{Name: name, rising: true} }

// Standing is the model of a grant that is good until it is revoked, and for at most
// late more.
func Standing(name string, late time.Duration) Model { return Model{Name: name, late: late} }

// gone is the state of what is good no more. Other states are the last step that
// was accepted, from 0.
const gone = -1

type asked struct {
	of   string
	verb Verb
	step int
}

func (m Model) step(state int, in asked, out Outcome) []int {
	after, possible := state, state != gone
	switch {
	case in.verb == Revoke:
		after, possible = gone, true
	case m.once:
		after = gone
	case m.rising:
		after, possible = in.step, possible && in.step > state
	}
	switch {
	case out == Refused, out == Unknown && !possible:
		return []int{state}
	case out == Unknown:
		return []int{state, after}
	case !possible:
		return nil
	}
	return []int{after}
}

func (m Model) model() porcupine.Model {
	n := porcupine.NondeterministicModel{
		Init: func() []any { return []any{0} },
		Step: func(state, in, out any) (next []any) {
			for _, s := range m.step(state.(int), in.(asked), out.(Outcome)) {
				next = append(next, s)
			}
			return next
		},
		Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
			place := map[string]int{}
			var parts [][]porcupine.Operation
			for _, op := range all {
				of := op.Input.(asked).of
				i, ok := place[of]
				if !ok {
					i = len(parts)
					place[of] = i
					parts = append(parts, nil)
				}
				parts[i] = append(parts[i], op)
			}
			return parts
		},
		DescribeOperation: func(in, out any) string {
			a := in.(asked)
			verb := "use"
			if a.verb == Revoke {
				verb = "revoke"
			}
			return fmt.Sprintf("%s %s %d: %v", verb, a.of, a.step, out)
		},
	}
	return n.ToModel()
}

// events are the operations as porcupine takes them. What may be late is as if it
// had begun earlier. What changes nothing is left out: refusals, and uses without
// an answer where a use takes nothing away.
func (m Model) events(ops []Op) (all []porcupine.Operation) {
	for i, op := range ops {
		if op.Outcome == Refused || op.Outcome == Unknown && op.Verb == Use && !m.once && !m.rising {
			continue
		}
		call, end := op.Began, op.Ended
		if op.Verb == Use {
			call -= m.late
		}
		if op.Outcome == Unknown {
			end = math.MaxInt64
		}
		all = append(all, porcupine.Operation{
			ClientId: i, Call: int64(call), Return: int64(end),
			Input: asked{op.Of, op.Verb, op.Step}, Output: op.Outcome,
		})
	}
	return all
}
