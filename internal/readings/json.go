package readings

import (
	"slices"
	"unicode/utf8"
)

// maxJSONDepth is how deep JSON may be nested; what is deeper cannot be told.
const maxJSONDepth = 128

// jsonReader finds what decoders of JSON could find at the places of a table: every
// member of duplicate names, under names that differ in case, in each element of
// an array on the way (a batch) and each of several values in a row. It takes
// nothing but JSON by the letter of RFC 8259: where one decoder is more tolerant
// than others (comments, trailing commas, single quotes, broken UTF-8, a lone
// surrogate, an end that is missing) it cannot tell.
type jsonReader struct {
	w  *walk
	s  string
	at int
	// on are the nodes that the values which are being read stand at, those of one
	// value side by side, and under the nodes above of which they are a part.
	on    []standing
	under []int32
	batch bool // in an array at the top
}

// standing is a node that a value stands at. Elements of an array stand where the
// array does.
type standing struct {
	node   int32
	flags  occurrenceFlags
	passed bool // by a name or number; else it stands there as an element
}

// readJSON reads a body, or a part of one.
func (w *walk) readJSON(text string) {
	if w.json.nodes == nil {
		w.json.nodes = make([]jsonCount, len(w.t.nodes))
	}
	w.json.element++
	j := jsonReader{w: w, s: text, on: append(w.json.on[:0], standing{flags: letter}), under: w.json.under[:0]}
	j.read()
	w.json.on, w.json.under = j.on, j.under
	for _, at := range w.json.touched {
		w.json.nodes[at].inText = 0
	}
	w.json.touched = w.json.touched[:0]
}

func (j *jsonReader) read() {
	ok := utf8.ValidString(j.s)
	for n := 0; ok; n++ {
		if j.space(); j.at == len(j.s) {
			j.w.json.several = j.w.json.several || n > 1
			return
		}
		ok = j.value(0, 0, 0)
	}
	j.w.unsure = true
}

// value reads one value, which stands at the nodes from on, and under those from
// under. It is false where that is no JSON.
func (j *jsonReader) value(on, under, depth int) bool {
	if depth == maxJSONDepth || j.at == len(j.s) || j.w.exhausted() {
		return false
	}
	if on == len(j.on) && under == len(j.under) {
		return j.skip(depth)
	}
	j.w.left -= costValue
	start := j.at
	switch c := j.s[start]; {
	case c == '{' || c == '[':
		if !j.w.t.shows {
			j.found(on, under, jsonObject, "")
		}
		// What is at and under this is under it.
		end, nodes := len(j.under), len(j.on)
		j.under = append(j.under, j.under[under:end]...)
		for _, s := range j.on[on:nodes] {
			if s.passed && j.w.t.nodes[s.node].place && !slices.Contains(j.under[end:], s.node) {
				j.under = append(j.under, s.node)
			}
		}
		ok := false
		if c == '{' {
			ok = j.object(on, end, depth)
		} else {
			ok = j.array(on, end, depth)
		}
		j.under, j.on = j.under[:end], j.on[:nodes]
		if ok && j.w.t.shows {
			j.found(on, under, jsonObject, j.s[start:j.at])
		}
		return ok
	case c == '"' && !j.keeps(on, under):
		return j.skipString()
	case c == '"':
		text, ok := j.str()
		if ok {
			j.found(on, under, jsonText, text)
		}
		return ok
	}
	ok := j.word()
	if ok {
		j.found(on, under, jsonWord, j.s[start:j.at])
	}
	return ok
}

// keeps reports whether found would keep a value.
func (j *jsonReader) keeps(on, under int) bool {
	if under < len(j.under) {
		return true
	}
	for _, s := range j.on[on:] {
		if s.passed && j.w.t.nodes[s.node].place {
			return true
		}
	}
	return false
}

// found keeps a value at all nodes where it stands and those that it is under.
func (j *jsonReader) found(on, under int, kind occurrenceKind, text string) {
	w := j.w
	plain := occurrenceFlags(0)
	if w.plain {
		plain = plainForm
	}
	for _, s := range j.on[on:] {
		if !s.passed || !w.t.nodes[s.node].place {
			continue
		}
		w.keep(occurrenceKey{chain: s.node, kind: kind, flags: plain | s.flags, value: text}, "", "")
		if c := &w.json.nodes[s.node]; c.occurs != w.json.element {
			c.occurs = w.json.element
			if j.batch {
				c.elements++
			}
		}
	}
	if w.t.shows {
		return // it is shown with what it is in
	}
	for _, node := range j.under[under:] {
		if !slices.ContainsFunc(j.on[on:], func(s standing) bool { return s.passed && s.node == node }) {
			w.keep(occurrenceKey{chain: node, kind: kind, flags: plain | below, value: text}, "", "")
		}
	}
}

// pass adds a node to those of the value that comes next, which begin at on.
func (j *jsonReader) pass(on int, node int32, flags occurrenceFlags) {
	counts := &j.w.json
	c := &counts.nodes[node]
	if c.inText++; c.inText == 1 {
		counts.touched = append(counts.touched, node)
	} else {
		c.twice = true
	}
	if c.element != counts.element {
		c.element, c.inElement = counts.element, 0
	}
	if c.inElement++; c.inElement > 1 {
		c.twiceInOne = true
	}
	for i := on; i < len(j.on); i++ {
		if s := &j.on[i]; s.node == node {
			s.passed = true
			s.flags = both(s.flags, flags)
			return
		}
	}
	j.on = append(j.on, standing{node, flags, true})
}

// both are the flags of what is reached in two ways.
func both(a, b occurrenceFlags) occurrenceFlags {
	switch {
	case a&letter == 0:
		return b
	case b&letter == 0:
		return a
	}
	return a & b
}

func (j *jsonReader) object(on, under, depth int) bool {
	j.at++
	nodes := len(j.on)
	if j.space(); j.next('}') {
		return true
	}
	for {
		j.space()
		if nodes == on {
			if !j.skipString() {
				return false
			}
		} else {
			name, ok := j.str()
			if !ok {
				return false
			}
			j.member(on, nodes, name)
			j.w.left -= costValue
		}
		if j.space(); !j.next(':') {
			return false
		}
		if j.space(); !j.value(nodes, under, depth+1) {
			return false
		}
		j.on = j.on[:nodes]
		if j.space(); j.next('}') {
			return true
		}
		if !j.next(',') {
			return false
		}
	}
}

func (j *jsonReader) array(on, under, depth int) bool {
	j.at++
	w, nodes := j.w, len(j.on)
	if j.space(); j.next(']') {
		return true
	}
	j.batch = depth == 0 || j.batch
	numbered := -1 // the last element that may have a node
	for _, s := range j.on[on:nodes] {
		for _, e := range w.t.nodes[s.node].elements {
			numbered = max(numbered, e.n)
		}
	}
	for n := 0; ; n++ {
		if depth == 0 {
			w.json.element++
			w.json.elements++
		}
		if n > numbered && under == len(j.under) && j.at < len(j.s) && j.s[j.at] != '{' && j.s[j.at] != '[' {
			// Nothing can stand there.
			if j.space(); j.at < len(j.s) && j.s[j.at] != '{' && j.s[j.at] != '[' {
				if !j.skip(depth + 1) {
					return false
				}
				if j.at < len(j.s) && j.s[j.at] == ',' {
					j.at++
					j.space()
					continue
				}
				if j.space(); j.next(']') {
					return true
				}
				if !j.next(',') {
					return false
				}
				continue
			}
		}
		for _, s := range j.on[on:nodes] {
			flags := occurrenceFlags(0)
			if depth == 0 {
				flags = s.flags | ofBatch
			}
			j.on = append(j.on, standing{node: s.node, flags: flags})
		}
		for _, s := range j.on[on:nodes] {
			for _, e := range w.t.nodes[s.node].elements {
				if e.n == n {
					flags := s.flags
					if !e.letter {
						flags = 0
					}
					j.pass(nodes, e.node, flags)
				}
			}
		}
		if j.space(); !j.value(nodes, under, depth+1) {
			return false
		}
		j.on = j.on[:nodes]
		if j.space(); j.next(']') {
			return true
		}
		if !j.next(',') {
			return false
		}
	}
}
