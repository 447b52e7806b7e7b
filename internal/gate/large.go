package gate

// lookFurther decides again, by as much of the body as may be held, now that it is
// known who asks: before, it could not be told what a body holds that is larger
// than what is looked through of a stranger's. A body larger still may be several
// actions: those besides the rule that it gives are in v.also.
func (v *visit) lookFurther() (*rule, error) {
	limit := int(v.g.whole())
	if v.rule != nil && v.r.ContentLength > int64(limit) {
		return v.rule, nil // it would not be told then either
	}
	d := v.g.deciding(v.r, v.original)
	d.body.peek = v.peek(limit)
	j, err := d.decide(v.r, v.original, v.hinted)
	v.also = j.also
	return j.rule, err
}
