package readings

import (
	"slices"
	"strings"
)

// member passes the nodes that a member's name leads to.
func (j *jsonReader) member(on, nodes int, name string) {
	var class byte
	for i := 0; i < len(name); i++ {
		class |= nameClass[name[i]]
	}
	if class&oddByte != 0 && !j.w.spend(costEscaped+len(name)) {
		j.w.unsure = true
		return
	}
	for i := on; i < nodes; i++ {
		s := j.on[i]
		ix := &j.w.t.nodes[s.node].members
		if len(ix.entries) == 0 {
			continue
		}
		if class == 0 {
			if len(name) <= ix.longest {
				j.probe(nodes, s, name, hashName(name), name)
			}
			continue
		}
		if class == wideByte {
			if h, ok := ix.foldedHash(name, &j.w.effort); ok {
				j.probe(nodes, s, name, h, name)
			}
			continue
		}
		bare, _, _ := strings.Cut(name, "\x00")
		bare = strings.Trim(bare, blanks)
		for _, spelling := range [...]string{name, bare, withoutSubscript(bare)} {
			if h, ok := ix.foldedHash(spelling, &j.w.effort); ok {
				j.probe(nodes, s, spelling, h, name)
			}
		}
	}
}

// probe passes the nodes below s whose hash is that of one spelling of a member's
// name, if the name may be theirs.
func (j *jsonReader) probe(nodes int, s standing, spelling string, h uint32, name string) {
	ix := &j.w.t.nodes[s.node].members
	for at := h & uint32(len(ix.slots)-1); ix.slots[at] != 0; at = (at + 1) & uint32(len(ix.slots)-1) {
		e := &ix.entries[ix.slots[at]-1]
		if e.hash != h || slices.ContainsFunc(j.on[nodes:], func(s standing) bool { return s.node == e.node }) || !sameKey(name, e.name) {
			continue
		}
		flags := s.flags
		if name != e.name {
			flags = 0
		}
		if !j.w.spend(costMember) {
			j.w.unsure = true
		}
		j.pass(nodes, e.node, flags)
	}
}

// sameKey compares the name of a member with the one looked for as tolerantly as
// decoders do: without case (Go, Jackson and .NET where so set), up to a NUL
// (decoders in C), and as the names of form fields.
func sameKey(name, want string) bool {
	if strings.EqualFold(name, want) {
		return true
	}
	name, _, _ = strings.Cut(name, "\x00")
	name = strings.Trim(name, blanks)
	return strings.EqualFold(name, want) || sameName(name, want)
}
