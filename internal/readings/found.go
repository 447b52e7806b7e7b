package readings

import (
	"net/http"
)

// Found is what a request has of a table's fields. It is made once for all rules,
// by [Table.Read]; its methods say what it comes to for one field. It is for one
// goroutine.
type Found struct {
	walk
	r       *http.Request
	queries []string

	inQueries, inBody bool // read
	doubted           bool // by the queries, so that the body is not read
}

// Read returns what r has of the fields. queries are raw queries to look into
// besides that of r.URL, such as that of the URL before it was rewritten. Nothing is
// read before it is asked for.
func (t *Table) Read(r *http.Request, queries ...string) *Found {
	return &Found{walk: walk{t: t, effort: newEffort()}, r: r, queries: queries}
}

// In is [Field.In], of a field at a place of the table. p is the same for all fields.
func (f *Found) In(field *Field, at Place, p *Peek) Verdict { return f.verdict(field, at, p, false) }

// InEvery is [Field.InEvery], of a field at a place of the table. p is the same for
// all fields.
func (f *Found) InEvery(field *Field, at Place, p *Peek) Verdict {
	return f.verdict(field, at, p, true)
}

func (f *Found) verdict(field *Field, at Place, p *Peek, every bool) Verdict {
	if at.node == 0 {
		return CannotTell
	}
	f.readQueries()
	c := comparison{f: f, field: field, node: &f.t.nodes[at.node], every: every && !field.not}
	c.begin(at)
	c.over(false)
	c.unsure = c.unsure || f.doubted
	if c.hit && !field.not && !every {
		return Yes
	}
	if !c.unsure {
		f.readBody(p)
		if f.unsure && (every || field.not) {
			return CannotTell
		}
		c.begin(at)
		c.over(true)
		c.unsure = c.unsure || f.unsure
	}
	return c.verdict(at)
}

func (f *Found) readQueries() {
	if f.inQueries {
		return
	}
	f.inQueries = true
	f.at = make([]chain, f.t.chains())
	f.plain = true
	if f.r.URL != nil {
		f.query(f.r.URL.RawQuery, sent)
		f.known = true
		f.hiddenQuery(f.r.URL.Path)
	}
	if f.r.URL != nil || f.t.lists {
		f.known = true
		for _, q := range f.queries {
			f.query(q, further)
		}
	}
	f.known, f.doubted = false, f.unsure
}

func (f *Found) readBody(p *Peek) {
	if f.inBody {
		return
	}
	f.inBody = true
	f.begin(section{kind: inBody})
	f.body(p)
}

// count counts occurrences of a field, and those among them whose name and value
// are spelled exactly.
type count struct{ all, exact int }

// comparison compares the occurrences of one field with what it has to hold.
type comparison struct {
	f     *Found
	field *Field
	node  *node
	every bool
	hit   bool // some occurrence may be what is wanted
	// unsure reports that there may be more, and odd that some reading has others.
	unsure, odd bool
	next        merged
	counts      [maxSections]count
	parts       count // of Go's parser
}

// merged goes over the occurrences of a node and of its names in their order.
type merged struct {
	f    *Found
	next [3]int32 // of the first name, of the last, and of the node
}

func (f *Found) merge(at Place) (m merged) {
	m.f = f
	n := &f.t.nodes[at.node]
	for i, name := range n.names {
		if i == 0 || i == len(n.names)-1 {
			m.next[i] = f.at[len(f.t.nodes)+int(name)].first
		}
	}
	m.next[2] = f.at[at.node].first
	return m
}

// one returns the next occurrence and by which of the names it is, 0 for the first;
// nil at the end.
func (m *merged) one() (o *occurrence, name int) {
	least := int32(0)
	for i, at := range m.next {
		if at != 0 && (least == 0 || at < least) {
			least, name = at, i
		}
	}
	if least == 0 {
		return nil, 0
	}
	o = &m.f.kept[least-1]
	m.next[name] = o.next
	return o, name
}

func (c *comparison) begin(at Place) { c.next = c.f.merge(at) }

// over goes over the occurrences of the queries, or over those of the body.
func (c *comparison) over(body bool) {
	for {
		o, name := c.next.one()
		if o == nil {
			return
		}
		if in := c.f.sections[o.section].kind == inBody; in != body {
			if in {
				return
			}
			continue
		}
		if c.unsure && (!body || c.every || c.field.not) {
			return
		}
		// What follows a value that cannot be told is looked at in JSON alone.
		if !c.unsure || body && o.kind >= jsonText {
			c.one(o, name)
		}
	}
}

func (c *comparison) one(o *occurrence, name int) {
	n, t := &c.counts[o.section], &c.f.texts[o.text]
	switch o.kind {
	case encodedField:
		n.all += int(o.n)
		if (c.compare(t) || c.field.not) && c.exactField(o, name, t) {
			n.exact += int(o.n)
		}
	case partField:
		n.all += int(o.n)
		if (c.compare(t) || c.field.not) && o.flags&plainForm != 0 && c.formPlain() && c.partsExact() && c.exactly(t) {
			n.exact += int(o.n)
		}
	case wholePart:
		if (c.field.not || c.every) && !c.field.json && name == 0 {
			c.parts.all += int(o.n)
			if o.flags&plainPart != 0 && c.exactly(t) {
				c.parts.exact += int(o.n)
			}
		}
	case jsonText, jsonWord:
		if o.flags&below != 0 && len(c.field.values) == 0 {
			return
		}
		n.all += int(o.n)
		wanted := c.wants(t, t.plain(), 1)
		if (wanted || c.field.not) && c.exactJSON(o) && c.exactly(t) {
			n.exact += int(o.n)
		}
		switch {
		case wanted:
			c.hit = true
		case o.kind == jsonWord && c.field.wantsLoosely(t.raw):
			c.unsure = true
		}
	case jsonObject:
		switch {
		case len(c.field.values) > 0:
			// Of what is below none is the value by the letter, and there may
			// be nothing.
			n.all += int(o.n)
		case o.flags&below == 0:
			c.hit = true
			n.all += int(o.n)
			if c.exactJSON(o) {
				n.exact += int(o.n)
			}
		}
	case doubtful:
		c.unsure = true
	}
}

// verdict is what all occurrences come to.
func (c *comparison) verdict(at Place) Verdict {
	q := c.total(at)
	switch {
	case c.every && c.hit && (c.unsure || c.odd || q.all != q.exact):
		return CannotTell
	case c.field.not && !c.unsure && !c.odd && q == count{all: 1, exact: 1}:
		return No
	case c.field.not && (c.unsure || c.hit):
		return CannotTell
	case c.field.not || c.hit:
		return Yes
	case c.unsure:
		return CannotTell
	}
	return No
}

// total counts the occurrences in the query as it was sent and in the body, and
// notes where other readings have others.
func (c *comparison) total(at Place) (n count) {
	f := c.f
	c.odd = f.odd || f.json.odd(&f.walk, at.node, c.every)
	for i, s := range f.sections {
		have := c.counts[i]
		switch s.kind {
		case sent, inBody:
			n.all += have.all
			n.exact += have.exact
		case again:
			c.odd = c.odd || have != c.counts[s.of]
		case hidden:
			c.odd = c.odd || have.all > 0
		case further:
			c.odd = c.odd || have != c.counts[0]
		}
	}
	return n
}
