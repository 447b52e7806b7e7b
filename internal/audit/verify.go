package audit

import (
	"errors"
	"fmt"
	"io"
	"slices"
)

// FaultKind says what is wrong with a log.
type FaultKind string

// The kinds of faults.
const (
	Altered   FaultKind = "altered"   // the line, or the one before it, is not as it was written
	Removed   FaultKind = "removed"   // lines are missing before this one
	Inserted  FaultKind = "inserted"  // the line is not of this place: it was put in, or another log begins
	Reordered FaultKind = "reordered" // the lines before this one stand after it
	TornLine  FaultKind = "torn"      // the line is cut off, and no later one says that the gateway found it so
	Truncated FaultKind = "truncated" // lines are missing at the end: the head that is known from elsewhere is not there
)

// Fault is the first thing that is wrong with a log.
type Fault struct {
	Kind FaultKind `json:"kind"`
	// Input is the place of the log among those that were read, from 0, and Line the
	// number of the line in it, from 1.
	Input int `json:"-"`
	Line  int `json:"line,omitempty"`
	// Detail is a sentence for people.
	Detail string `json:"detail"`
}

// Report is what [Verify] found.
type Report struct {
	// Lines are those that were read, Erased those among them without their entry,
	// Interrupted those that the gateway itself found torn.
	Lines       int `json:"lines"`
	Erased      int `json:"erased"`
	Interrupted int `json:"interrupted"`
	// Lost is how many lines the gateway says that it could not write.
	Lost int `json:"lost"`
	// First and Last are the first and the last line; zero if there is none.
	First Head `json:"first"`
	Last  Head `json:"last"`
	// Fault is nil if nothing is wrong.
	Fault *Fault `json:"fault,omitempty"`
}

// Verify reads logs that follow each other and reports the first fault. known are
// heads that are known from elsewhere: each must be there.
func Verify(logs []io.Reader, known ...Head) (Report, error) {
	v := verifier{known: known, seen: make([]bool, len(known))}
	for i, log := range logs {
		r, err := NewReader(log)
		if err != nil {
			return v.report, err
		}
		v.input = i
		for {
			l, err := r.Next()
			var bad *BadLine
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil && !errors.As(err, &bad) {
				return v.report, err
			}
			if bad != nil {
				v.bad(bad)
			} else {
				v.line(&l)
			}
		}
	}
	v.end()
	return v.report, nil
}

type verifier struct {
	report Report
	known  []Head
	seen   []bool
	input  int

	// spans are texts that are no lines, until a record says that the gateway found
	// them so.
	spans []span
	// gap is the first line that is missing where some are, until a later line shows
	// that they were moved.
	gap uint64
}

func (v *verifier) fault(kind FaultKind, line int, format string, args ...any) {
	if v.report.Fault == nil {
		v.report.Fault = &Fault{Kind: kind, Input: v.input, Line: line, Detail: fmt.Sprintf(format, args...)}
	}
}

// bad notes a text that is no line. A record may say that the gateway found it so.
func (v *verifier) bad(b *BadLine) {
	v.report.Lines++
	if v.report.Fault != nil {
		return
	}
	last := len(v.spans) - 1
	if last < 0 || v.spans[last].closed {
		f := Fault{Kind: Altered, Input: v.input, Line: b.Number, Detail: b.Err.Error()}
		if b.Torn {
			f.Kind = TornLine
		}
		v.spans = append(v.spans, span{fault: f})
		last++
	}
	v.spans[last].add(b.text)
	if len(v.spans) > maxSpans {
		v.report.Fault = &v.spans[0].fault
	}
}

// torn takes the text from the list that a record tells of.
func (v *verifier) torn(l *Line) {
	i := slices.IndexFunc(v.spans, func(s span) bool { return s.is(&l.Entry) })
	if i < 0 {
		v.fault(Removed, l.Number, "the torn text is missing that this line tells of")
		return
	}
	v.spans = slices.Delete(v.spans, i, i+1)
	v.report.Interrupted++
}

func (v *verifier) line(l *Line) {
	v.report.Lines++
	if l.Erased {
		v.report.Erased++
	}
	if v.report.Fault != nil {
		if v.gap > 0 && l.Seq == v.gap && l.Chain == v.report.Last.Chain {
			v.report.Fault.Kind, v.report.Fault.Detail = Reordered, fmt.Sprintf("line %d of the chain stands before line %d", l.Seq+1, l.Seq)
			v.gap = 0
		}
		return
	}
	isRecord := !l.Erased && l.Entry.Event == EventLog
	if isRecord && Record(l.Entry.Outcome) == Torn {
		v.torn(l)
	}
	if isRecord && Record(l.Entry.Outcome) == Lost {
		v.report.Lost += l.Entry.LeftOut
	}
	for i := range v.spans {
		v.spans[i].closed = true
	}
	if v.follows(l); v.report.Fault != nil && len(v.spans) > 0 {
		v.report.Fault, v.gap = &v.spans[0].fault, 0 // it was the line that is missing
	}
	for i, h := range v.known {
		if h.Chain == l.Chain && h.Seq == l.Seq {
			v.seen[i] = true
			if h.Hash != l.Hash {
				v.fault(Altered, l.Number, "line %d of the chain is another one than was known", l.Seq)
			}
		}
	}
	if v.report.Fault != nil {
		return
	}
	v.report.Last = l.head()
	if v.report.First.Seq == 0 {
		v.report.First = v.report.Last
	}
}

// follows compares a line with the one before it.
func (v *verifier) follows(l *Line) {
	last := v.report.Last
	switch {
	case last.Seq == 0:
		if l.Seq == 1 && l.Prev != (Hash{}) {
			v.fault(Altered, l.Number, "the first line of a chain names one before it")
		}
	case l.Chain != last.Chain:
		v.fault(Inserted, l.Number, "another chain, %s, begins here: what became of chain %s after line %d is not known", l.Chain, last.Chain, last.Seq)
	case l.Seq == last.Seq+1 && l.Prev != last.Hash:
		v.fault(Altered, l.Number, "the line before this one is not the one that this one follows")
	case l.Seq > last.Seq+1:
		v.gap = last.Seq + 1
		v.fault(Removed, l.Number, "lines %d to %d of the chain are missing", last.Seq+1, l.Seq-1)
	case l.Seq <= last.Seq:
		v.fault(Inserted, l.Number, "line %d of the chain stands after line %d", l.Seq, last.Seq)
	}
}

func (v *verifier) end() {
	if v.report.Fault == nil && len(v.spans) > 0 {
		v.report.Fault = &v.spans[0].fault
		if v.spans[0].closed {
			v.report.Fault.Kind = Inserted // nothing is missing in its place
		}
	}
	for i, h := range v.known {
		if !v.seen[i] {
			v.fault(Truncated, 0, "line %d of chain %s is not there: the log ends at line %d", h.Seq, h.Chain, v.report.Last.Seq)
		}
	}
}
