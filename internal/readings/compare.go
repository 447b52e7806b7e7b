package readings

import ()

// formPlain and jsonPlain report whether the field may be exact in a form, and in
// JSON.
func (c *comparison) formPlain() bool { return c.every || !c.field.json }
func (c *comparison) jsonPlain() bool { return c.every || c.field.json }

func (c *comparison) exactField(o *occurrence, name int, t *value) bool {
	if o.flags&plainForm == 0 || o.flags&byName == 0 || !c.formPlain() {
		return false
	}
	if c.every {
		return name == len(c.node.names)-1 && c.meantRaw(t)
	}
	return c.field.not && name == 0 && c.field.listedRaw(t.raw)
}

// partsExact reports whether the wanted field is in one part alone, or in several
// where each must have it, as browsers write it.
func (c *comparison) partsExact() bool {
	p := c.parts
	return (p.all == 1 || p.all > 1 && c.every) && p.all == p.exact && c.f.parts <= maxPlain
}

func (c *comparison) exactJSON(o *occurrence) bool {
	return o.flags&plainForm != 0 && o.flags&letter != 0 && c.jsonPlain() &&
		(o.flags&ofBatch == 0 || c.every && !c.node.counted)
}

// exactly reports whether a value that is not encoded is by the letter one of
// those that are meant, or harmless.
func (c *comparison) exactly(t *value) bool {
	if !c.every {
		return c.field.listed(t.raw)
	}
	return len(c.field.values) == 0 || c.charge(len(c.field.values)) && c.meant(t.raw)
}

// meant reports whether a decoded value is one of those named to every application:
// by the letter, but for what a star stands for.
func (c *comparison) meant(value string) bool {
	for i := range c.field.values {
		w := &c.field.values[i]
		if w.front && w.back && !c.f.spend(searching(value, w.text)) {
			c.unsure = true
			return false
		}
		if w.letter(value) {
			return true
		}
	}
	return len(c.field.values) == 0
}

// meantRaw is meant for a value as it stands in a query or form: it must be one
// of those named whether it is decoded once or more often.
func (c *comparison) meantRaw(t *value) bool {
	if len(c.field.values) == 0 {
		return true
	}
	if !c.charge(len(c.field.values)) {
		return false
	}
	for i := range c.field.values {
		if w := &c.field.values[i]; !w.front && !w.back && spelled(t.raw, w.text) {
			return true
		}
	}
	levels := c.f.readingsOf(t)
	return len(levels) <= 2 && !t.deep && !t.coded && c.meant(levels[len(levels)-1].text)
}

// charge counts comparisons.
func (c *comparison) charge(n int) bool {
	c.f.compared += n
	if c.f.compared > maxCompared {
		c.unsure = true
		return false
	}
	return true
}

// compare reports whether some reading of a value of a form is wanted.
func (c *comparison) compare(t *value) bool {
	levels := c.f.readingsOf(t)
	found := c.wants(t, levels, len(levels))
	c.hit = c.hit || found
	c.unsure = c.unsure || t.deep
	return found
}

// wants reports whether an application may take one of the first readings of a
// text for a value that is wanted.
func (c *comparison) wants(t *value, levels []seen, n int) bool {
	if len(c.field.values) == 0 {
		return true
	}
	if !c.charge(n*len(c.field.values)) || c.f.exhausted() {
		c.unsure = true
		return false
	}
	for i := range levels[:n] {
		if c.field.wantsAny(&levels[i], &c.f.effort) {
			return true
		}
	}
	c.unsure = c.unsure || c.f.exhausted()
	return false
}

// plain returns the text as it is.
func (t *value) plain() []seen {
	if t.levels == nil {
		t.levels = []seen{{text: t.raw}}
	}
	return t.levels
}
