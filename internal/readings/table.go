package readings

import (
	"slices"
	"strconv"
	"strings"
)

// Table holds where fields are to be looked for, so that a request is read once
// for all of them (rule S26): one index of the names in forms, and one tree of the
// names in JSON, of which every node is the beginning of some pointer. A field's
// place is its node; fields that differ in their values only share it. Make it with
// [NewTable]. It may be used by several goroutines.
type Table struct {
	nodes []node
	// names are those of the fields of queries and forms. They are counted behind
	// the nodes, since several nodes may have one.
	names  index
	called []called
	shows  bool // all occurrences are listed, see Show
	lists  bool // values are listed and not compared
	places []int32
}

// node is one node of the tree; the first is the root, which no field has.
type node struct {
	path     []string // the names from the root
	parent   int32
	members  index     // the nodes below, by the name of a member
	elements []element // those whose name is a number
	names    []int32   // of the fields whose path ends here, of Table.called
	place    bool      // a field's path ends here
	valued   bool      // some field here has values, so that those are kept
	counted  bool      // the first name is a number, so that an array at the top is no batch
}

// called is a name of fields of queries and forms.
type called struct {
	name   string
	valued bool // some field of the name has values
}

// element is a node that is reached by the number of an array's element.
type element struct {
	n      int
	node   int32
	letter bool // the number is spelled as JSON pointers are
}

// NewTable makes a table of the fields. [Table.Place] tells them apart.
func NewTable(fields ...Field) *Table {
	t := &Table{nodes: make([]node, 1, 1+2*len(fields))}
	for i := range fields {
		t.add(&fields[i])
	}
	t.names.build(hashName)
	for i := range t.nodes {
		t.nodes[i].members.build(hashFolded)
	}
	return t
}

func (t *Table) add(f *Field) {
	at := int32(0)
	for i, token := range f.path {
		next, ok := t.below(at, token)
		if !ok {
			next = int32(len(t.nodes))
			t.nodes = append(t.nodes, node{path: f.path[:i+1], parent: at, counted: f.path[0] != "" && isDigit(f.path[0][0])})
			t.nodes[at].members.add(token, next)
			if n, err := strconv.Atoi(token); err == nil && isDigit(token[0]) {
				t.nodes[at].elements = append(t.nodes[at].elements, element{n, next, token == strconv.Itoa(n)})
			}
		}
		at = next
	}
	n := &t.nodes[at]
	if !n.place {
		n.place = true
		t.places = append(t.places, at)
		for _, name := range f.names {
			n.names = append(n.names, t.call(name))
		}
	}
	n.valued = n.valued || len(f.values) > 0
	for _, i := range n.names {
		t.called[i].valued = t.called[i].valued || n.valued
	}
}

// call returns the number of a name.
func (t *Table) call(name string) int32 {
	for i := range t.called {
		if t.called[i].name == name {
			return int32(i)
		}
	}
	t.called = append(t.called, called{name: name})
	n := int32(len(t.called) - 1)
	t.names.add(name, n)
	return n
}

// tableOfNames makes a table of fields of forms whose values are listed.
func tableOfNames(names ...string) *Table {
	fields := make([]Field, len(names))
	for i, name := range names {
		fields[i] = Field{names: []string{name}, path: []string{name}, values: make([]wanted, 1)}
	}
	t := NewTable(fields...)
	t.lists = true
	return t
}

// read returns what is found where there is no request.
func (t *Table) read() *Found {
	return &Found{walk: walk{t: t, effort: newEffort(), at: make([]chain, t.chains())}, inQueries: true}
}

// below returns the node under a name, by the letter.
func (t *Table) below(at int32, token string) (int32, bool) {
	for _, e := range t.nodes[at].members.entries {
		if e.name == token {
			return e.node, true
		}
	}
	return 0, false
}

// Empty reports whether the table has no fields.
func (t *Table) Empty() bool { return len(t.places) == 0 }

// Place is where a field of a table is looked for; the zero value is nowhere.
type Place struct{ node int32 }

// Place returns the place of a field with which the table was made, or of one that
// has other values.
func (t *Table) Place(f *Field) Place {
	for _, at := range t.places {
		if slices.Equal(t.nodes[at].path, f.path) {
			return Place{at}
		}
	}
	return Place{}
}

// index finds the nodes that a name leads to. The hash is of a form of the name
// that is the same for all spellings which are compared as one, so that what it
// finds is still to be compared.
type index struct {
	entries []entry
	slots   []int32 // by hash, open; entries are counted from 1
	longest int
	// firsts are the first two bytes of the names, as nameByte has them.
	firsts map[[2]byte]bool
	first  [256]bool
	wide   bool // some name is not of ASCII
}

type entry struct {
	name string
	hash uint32
	node int32
}

func (ix *index) add(name string, to int32) {
	ix.entries = append(ix.entries, entry{name: name, node: to})
}

func (ix *index) build(hash func(string) uint32) {
	if len(ix.entries) == 0 {
		return
	}
	size := 4
	for size < 4*len(ix.entries) {
		size *= 2
	}
	ix.slots = make([]int32, size)
	ix.firsts = make(map[[2]byte]bool, len(ix.entries))
	for i := range ix.entries {
		e := &ix.entries[i]
		e.hash = hash(e.name)
		ix.longest = max(ix.longest, len(e.name))
		ix.wide = ix.wide || !isASCII(e.name)
		if len(e.name) > 0 {
			ix.first[nameByte[e.name[0]]] = true
		}
		if len(e.name) > 1 {
			ix.firsts[[2]byte{nameByte[e.name[0]], nameByte[e.name[1]]}] = true
		}
		at := e.hash & uint32(size-1)
		for ix.slots[at] != 0 {
			at = (at + 1) & uint32(size-1)
		}
		ix.slots[at] = int32(i + 1)
	}
}

// chains is how many chains of occurrences there are: those of the nodes, and behind
// them those of the names.
func (t *Table) chains() int { return len(t.nodes) + len(t.called) }

// begins reports whether some name begins as a text does that is not empty. What
// comes first in a name and needs no decoding comes first in all of its readings.
func (ix *index) begins(s string) bool {
	if len(s) == 1 {
		return ix.first[nameByte[s[0]]]
	}
	return ix.first[nameByte[s[0]]] && ix.firsts[[2]byte{nameByte[s[0]], nameByte[s[1]]}]
}

// foldedHash is hashFolded of a spelling that may be that of an entry.
func (ix *index) foldedHash(spelling string, e *effort) (uint32, bool) {
	switch {
	case isASCII(spelling):
		if len(spelling) > ix.longest {
			return 0, false
		}
		return hashName(spelling), true
	case !ix.wide && !(strings.IndexByte(spelling, 0xe2) >= 0 && strings.Contains(spelling, "\u212a") || strings.IndexByte(spelling, 0xc5) >= 0 && strings.Contains(spelling, "\u017f")):
		return 0, false // no other letters are the same as some of ASCII
	}
	return hashFolded(spelling), e.spend(costFolded * len(spelling))
}

// Of FNV-1a.
const (
	hashStart = 2166136261
	hashPrime = 16777619
)

// hashName hashes a name as sameName compares it.
func hashName(s string) uint32 {
	h := uint32(hashStart)
	for i := 0; i < len(s); i++ {
		h = (h ^ uint32(nameByte[s[i]])) * hashPrime
	}
	return h
}

// hashFolded hashes a name as sameKey compares it; for one of ASCII it is hashName.
func hashFolded(s string) uint32 {
	h := uint32(hashStart)
	for _, c := range s {
		if c = leastFold(c); c < 0x80 {
			h = (h ^ uint32(nameByte[byte(c)])) * hashPrime
		} else {
			h = (h ^ uint32(c)) * hashPrime
		}
	}
	return h
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// nameClass tells the bytes of a name that has one spelling only, which needs no
// search for others.
var nameClass = func() (t [256]byte) {
	for c := range t {
		if c >= 0x80 {
			t[c] = wideByte
		} else if strings.IndexByte("%+[]?\x00"+blanks, byte(c)) >= 0 {
			t[c] = oddByte
		}
	}
	return t
}()

const (
	oddByte  = 1 << iota // may be left out, or stand for another
	wideByte             // not of ASCII
)
