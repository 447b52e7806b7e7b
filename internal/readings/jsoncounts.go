package readings

// jsonCounts are how often the nodes were passed, in all JSON of a request.
type jsonCounts struct {
	nodes []jsonCount
	// touched are those that were passed in the text that is being read.
	touched  []int32
	element  int32 // of the array at the top, counted over all texts
	elements int32
	several  bool // some text is several values
	// on and under are for the next reader.
	on    []standing
	under []int32
}

type jsonCount struct {
	inText, inElement int32
	element           int32 // that inElement is of
	occurs            int32 // the element that the field occurred in last
	elements          int32 // in which the field occurs
	// twice reports that some text has the name more than once, and twiceInOne
	// that some element has.
	twice, twiceInOne bool
}

// odd reports whether a name on the way to a field occurs more than once: a decoder
// that keeps one of them may keep the one without the field. Where the field must
// be certain its own name may, since all of its values are looked at; and each
// element of a batch is a request, which must have the field.
func (c *jsonCounts) odd(w *walk, node int32, every bool) bool {
	if c.several {
		return true
	}
	if c.nodes == nil {
		return false
	}
	n := &w.t.nodes[node]
	batch := every && !n.counted
	if batch && c.nodes[node].elements != c.elements {
		return true
	}
	if every {
		node = n.parent
	}
	for ; node != 0; node = w.t.nodes[node].parent {
		if have := &c.nodes[node]; batch && have.twiceInOne || !batch && have.twice {
			return true
		}
	}
	return false
}
