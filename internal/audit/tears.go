package audit

import "bytes"

// tears are texts in a log that are no lines, which no record tells of yet.
type tears struct {
	texts [][]byte
	// unended reports that the last one has no end of a line, and open that no line
	// follows it.
	unended, open bool
}

// found notes what the log ends with.
func (t *tears) found(text []byte) {
	if len(text) > 0 {
		t.add(bytes.TrimSuffix(text, []byte("\n")))
		t.unended = text[len(text)-1] != '\n'
	}
}

// add notes a part of a line that was written at the end of the log.
func (t *tears) add(text []byte) {
	if t.open {
		last := &t.texts[len(t.texts)-1]
		*last = append(append(*last, '\n'), text...)
	} else {
		t.texts = append(t.texts, bytes.Clone(text))
	}
	t.unended, t.open = true, true
}

// lineFollows notes that a line was written.
func (t *tears) lineFollows() { t.open = false }

// take returns the texts that a line follows, and forgets them.
func (t *tears) take() [][]byte {
	if t.open {
		return nil
	}
	texts := t.texts
	t.texts = nil
	return texts
}
