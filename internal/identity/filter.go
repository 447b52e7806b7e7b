package identity

// Filter tells of most names that a set of names has not got them, by their length
// and their ends. It heeds neither case nor which of the characters stands there
// that FoldName takes for one. The zero Filter is of the empty set.
type Filter [64]uint64

func (f *Filter) add(name string) {
	if name != "" {
		f[len(name)&63] |= ends(name)
	}
}

// AddAll adds the names of another set.
func (f *Filter) AddAll(other Filter) {
	for i, bits := range other {
		f[i] |= bits
	}
}

// May is false for names that are not in the set.
func (f *Filter) May(name string) bool {
	return name != "" && f[len(name)&63]&ends(name) != 0
}

// ends is a bit for the first and the last letter of a name.
func ends(name string) uint64 {
	return 1 << ((end(name[0]) + 3*end(name[len(name)-1])) & 63)
}

func end(c byte) byte {
	if c == '_' || c == '.' {
		c = '-'
	}
	return c & 31
}
