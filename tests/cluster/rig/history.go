// Package rig has what the fault rig of tests/cluster judges with and breaks links
// with: histories of what people asked of several gateways, the models that say
// which histories are possible (checked by porcupine for linearizability), and a
// relay for one link that can be cut, stalled and made to lose what it carries.
//
// A partition by a relay is one of the link between a gateway and a database
// server: it needs neither root nor network namespaces, so that the rig runs in a
// container. What it cannot show is a partition between machines that takes the
// clients away too, and packets that are lost one by one, which TCP hides.
//
// The tests of this package show that the models find a planted double spend, a
// planted code that is accepted again and a planted late revocation.
package rig

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// Outcome is what became of an operation.
type Outcome int

const (
	// Unknown is an operation without an answer, or with one that leaves open
	// whether it took place.
	Unknown Outcome = iota
	// Done is one that took place: a pass, an accepted code, a revocation.
	Done
	// Refused is one that did not, for a reason other than a fault.
	Refused
)

func (o Outcome) String() string { return [...]string{"unknown", "done", "refused"}[o] }

// Verb is what was asked.
type Verb int

const (
	// Use asks for what a grant, a code or a held request is good for.
	Use Verb = iota
	// Revoke takes it away.
	Revoke
)

// Op is one operation of a history.
type Op struct {
	Verb Verb
	// Of is what it is about: one grant, one authenticator app, one code.
	Of string
	// Step orders the codes of one app; other models do not look at it.
	Step int
	// At is where it was asked, for people.
	At      string
	Outcome Outcome
	// Began and Ended are on one monotonic clock.
	Began, Ended time.Duration
}

// History is what happened. Its methods may be called concurrently.
type History struct {
	start time.Time
	mu    sync.Mutex
	ops   []Op
}

// NewHistory returns an empty history that begins now.
func NewHistory() *History { return &History{start: time.Now()} }

// Now is the time of the history's clock.
func (h *History) Now() time.Duration { return time.Since(h.start) }

// Do records an operation that f carries out.
func (h *History) Do(op Op, f func() Outcome) Outcome {
	op.Began = h.Now()
	op.Outcome = f()
	op.Ended = h.Now()
	h.Add(op)
	return op.Outcome
}

// Add records an operation.
func (h *History) Add(op Op) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, op)
}

// Ops returns what was recorded so far.
func (h *History) Ops() []Op {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Op(nil), h.ops...)
}

// judging bounds how long one history is judged; none of the rig takes a second.
const judging = time.Minute

// Judge checks the history against the model. Where it is not possible, or cannot
// be judged, the error names two files in dir: the history as text, and drawn.
func (m Model) Judge(h *History, dir string) error {
	ops := h.Ops()
	model, events := m.model(), m.events(ops)
	result, info := porcupine.CheckOperationsVerbose(model, events, judging)
	if result == porcupine.Ok {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text := filepath.Join(dir, m.Name+".txt")
	drawn := filepath.Join(dir, m.Name+".html")
	if err := write(text, ops); err != nil {
		return err
	}
	if err := porcupine.VisualizePath(model, info, drawn); err != nil {
		return err
	}
	return fmt.Errorf("the history of %s is judged %s: see %s and %s", m.Name, result, text, drawn)
}

func write(path string, ops []Op) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, op := range ops {
		verb := "use"
		if op.Verb == Revoke {
			verb = "revoke"
		}
		if _, err := fmt.Fprintf(f, "%v %v %s %s step %d at %s: %s\n", op.Began, op.Ended, verb, op.Of, op.Step, op.At, op.Outcome); err != nil {
			return err
		}
	}
	return f.Close()
}
