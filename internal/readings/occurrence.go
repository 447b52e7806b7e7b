package readings

import "strings"

// occurrence is where a field occurs; n times in the same way.
type occurrence struct {
	occurrenceKey
	next int32 // the next of the same chain, 0 for none
	n    int32
	text int32 // of walk.texts
	// written is what the field is called there, name a reading of it, and known
	// that the occurrence is another reading of what stands before; for people.
	written, name string
	known         bool
}

// occurrenceKey is all by which occurrences are told apart.
type occurrenceKey struct {
	chain   int32
	section uint8
	kind    occurrenceKind
	flags   occurrenceFlags
	value   string
}

type occurrenceKind uint8

const (
	encodedField occurrenceKind = iota // its value is encoded
	partField                          // of multipart, with its value as it is
	wholePart                          // a part as Go's parser finds it, see walk.parts
	jsonText                           // a string
	jsonWord                           // a number, true, false or null
	jsonObject                         // or an array
	doubtful                           // nothing can be told of the field from here on
)

type occurrenceFlags uint8

const (
	byName    occurrenceFlags = 1 << iota // the name is written by the letter
	plainForm                             // written as its kind of form is
	letter                                // the pointer leads there by the letter
	ofBatch                               // but for an element of the array at the top
	below                                 // in what the pointer leads to
	plainPart                             // the part says nothing but its name
)

// chain are the occurrences of a node or a name, counted from 1.
type chain struct {
	first, last int32
	n           int32
	doubtful    bool
}

// value is a value that occurred, and its readings.
type value struct {
	raw    string
	levels []seen // decoded again and again; made where they are needed
	deep   bool   // it could be decoded further
	coded  bool   // it has an escape of JScript
}

// field keeps a field of a query or form.
func (w *walk) field(h hit, name, value string) {
	k := occurrenceKey{chain: w.chainOf(h), kind: encodedField, value: value}
	if spelled(name, w.t.called[h.called].name) {
		k.flags |= byName
	}
	if w.plain {
		k.flags |= plainForm
	}
	w.keep(k, name, h.name)
}

// chainOf returns the chain of a name.
func (w *walk) chainOf(h hit) int32 { return int32(len(w.t.nodes)) + h.called }

// valued reports whether the values of a chain are compared.
func (w *walk) valued(chain int32) bool {
	if n := chain - int32(len(w.t.nodes)); n >= 0 {
		return w.t.called[n].valued
	}
	return w.t.nodes[chain].valued
}

// keep adds an occurrence.
func (w *walk) keep(k occurrenceKey, written, name string) {
	c := &w.at[k.chain]
	if w.exhausted() || c.doubtful && (k.kind == encodedField || k.kind == partField) {
		return
	}
	k.section = w.section
	switch {
	case w.t.shows || w.valued(k.chain):
	case k.kind >= wholePart || strings.IndexByte(k.value, '%') < 0:
		k.value = "" // nobody compares it
	}
	limit := maxOccurrences
	if w.t.shows {
		// Where one field has too many the others may still be shown.
		if limit = maxListedOccurrences; c.n == maxShownOccurrences {
			k = occurrenceKey{chain: k.chain, section: w.section, kind: doubtful}
		} else if c.n > maxShownOccurrences {
			return
		}
	} else {
		if at, ok := w.alike(c, k); ok {
			w.kept[at-1].n++
			if !w.spend(costAlike) {
				w.unsure = true
			}
			return
		}
	}
	if len(w.kept) == limit || !w.spend(costKept+len(k.value)/4) {
		w.unsure = true
		return
	}
	w.kept = append(w.kept, occurrence{occurrenceKey: k, n: 1, written: written, name: name, known: w.known, text: w.textOf(c, k.value)})
	at := int32(len(w.kept))
	if c.first == 0 {
		c.first = at
	} else {
		w.kept[c.last-1].next = at
	}
	c.last = at
	c.n++
	if w.same != nil {
		w.same[k] = at
	}
	c.doubtful = c.doubtful || k.kind == doubtful
}

// doubt keeps that nothing can be told of a field from here on.
func (w *walk) doubt(chain int32) {
	w.keep(occurrenceKey{chain: chain, kind: doubtful}, "", "")
}

// maxListed is how many occurrences are gone through for one that is the same.
const maxListed = 8

// alike finds an occurrence that differs in nothing.
func (w *walk) alike(c *chain, k occurrenceKey) (int32, bool) {
	if w.same == nil && c.n > maxListed {
		w.same = make(map[occurrenceKey]int32, 4*maxListed)
		for i := range w.kept {
			w.same[w.kept[i].occurrenceKey] = int32(i + 1)
		}
	}
	if w.same != nil {
		at, ok := w.same[k]
		return at, ok
	}
	for at := c.first; at != 0; at = w.kept[at-1].next {
		if w.kept[at-1].occurrenceKey == k {
			return at, true
		}
	}
	return 0, false
}

// textOf returns the number of a text. Those of one node are often the same.
func (w *walk) textOf(c *chain, s string) int32 {
	n := 0
	for at := c.first; at != 0 && n < maxListed; at, n = w.kept[at-1].next, n+1 {
		if w.kept[at-1].value == s {
			return w.kept[at-1].text
		}
	}
	w.texts = append(w.texts, value{raw: s})
	return int32(len(w.texts) - 1)
}

// readingsOf lists a text as it is and decoded, again and again.
func (w *walk) readingsOf(t *value) []seen {
	if t.levels != nil {
		return t.levels
	}
	s := t.raw
	t.coded = unicodeEscaped(s)
	t.levels = make([]seen, 1, 2)
	t.levels[0].text = s
	for depth := 0; ; depth++ {
		if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
			return t.levels
		}
		if !w.spendDecoding(s) {
			t.deep = true
			return t.levels
		}
		next := decodeField(s)
		if next == s {
			return t.levels
		}
		if depth == maxDepth {
			t.deep = true
			return t.levels
		}
		s = next
		t.levels = append(t.levels, seen{text: s})
	}
}

// unicodeEscaped reports whether a text may have escapes of JScript, "%u002f".
func unicodeEscaped(s string) bool {
	at := strings.IndexByte(s, '%')
	if at < 0 {
		return false
	}
	for ; at+1 < len(s); at++ { // escapes stand close to each other
		if s[at] == '%' && s[at+1]|0x20 == 'u' {
			return true
		}
	}
	return false
}
