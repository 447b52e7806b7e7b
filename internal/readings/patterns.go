package readings

import (
	"math/bits"
	"strings"
)

// Set is a set of small numbers, such as the positions of rules in their list. Nil
// is the set of all.
type Set []uint64

// Next returns the least member from i on that is below n, and n if there is none.
func (s Set) Next(i, n int) int {
	if s == nil {
		return min(i, n)
	}
	for w := i >> 6; w < len(s); w++ {
		word := s[w]
		if w == i>>6 {
			word &= ^uint64(0) << (i & 63)
		}
		if word != 0 {
			return min(w<<6+bits.TrailingZeros64(word), n)
		}
	}
	return n
}

// With returns a set of its own with the members of both.
func (s Set) With(other Set) Set {
	if s == nil || other == nil {
		return nil
	}
	both := make(Set, max(len(s), len(other)))
	copy(both, s)
	for i, w := range other {
		both[i] |= w
	}
	return both
}

func (s Set) add(i int) { s[i>>6] |= 1 << (i & 63) }

// Patterns finds, among many patterns of paths, those that a path matches, in a
// time that does not grow with their number. A pattern is a whole path, or the
// beginning of paths if it ends in a star; both are simple (see SimplePath) and
// belong to a numbered rule. Rules with other patterns, or without any, are kept as
// those that may match whatever the path is.
type Patterns struct {
	n      int
	always Set
	exact  map[string]Set // with all that the path matches besides
	root   *beginning
}

// beginning is a node in the tree of beginnings, which stands for one that ends
// with label.
type beginning struct {
	label string
	rules Set // of this beginning and of those before it
	first []byte
	next  []*beginning
}

// NewPatterns makes the patterns of rules: each rule has its list, and nil stands
// for one that may match every path.
func NewPatterns(rules [][]string) *Patterns {
	p := &Patterns{n: len(rules), exact: make(map[string]Set)}
	empty := func() Set { return make(Set, (len(rules)+63)/64) }
	p.always = empty()
	p.root = &beginning{rules: empty()}
	for i, patterns := range rules {
		if patterns == nil {
			p.always.add(i)
		}
		for _, pattern := range patterns {
			start, more := strings.CutSuffix(pattern, "*")
			switch {
			case !SimplePath(start):
				p.always.add(i)
			case more:
				p.root.node(start, empty).rules.add(i)
			default:
				if p.exact[pattern] == nil {
					p.exact[pattern] = empty()
				}
				p.exact[pattern].add(i)
			}
		}
	}
	p.root.settle(p.always)
	for path, rules := range p.exact {
		p.exact[path] = rules.With(p.root.longest(path))
	}
	return p
}

// Of returns the rules that a path may match: those whose patterns it matches, and
// those that may match every path. Nil, for all, is returned for a path that is not
// simple. The set is shared and not to be changed.
func (p *Patterns) Of(path string) Set {
	if !SimplePath(path) {
		return nil
	}
	if rules, ok := p.exact[path]; ok {
		return rules
	}
	return p.root.longest(path)
}

// node returns the node for a beginning below b, made where there is none.
func (b *beginning) node(start string, empty func() Set) *beginning {
	if start == "" {
		return b
	}
	for i, n := range b.next {
		common := 0
		for common < len(n.label) && common < len(start) && n.label[common] == start[common] {
			common++
		}
		switch {
		case common == 0:
		case common == len(n.label):
			return n.node(start[common:], empty)
		default:
			// Both begin alike: that becomes a node before the two.
			fork := &beginning{label: n.label[:common], rules: empty(), first: []byte{n.label[common]}, next: []*beginning{n}}
			n.label = n.label[common:]
			b.next[i] = fork
			return fork.node(start[common:], empty)
		}
	}
	n := &beginning{label: start, rules: empty()}
	b.first, b.next = append(b.first, start[0]), append(b.next, n)
	return n
}

// settle adds to each node the rules of those before it.
func (b *beginning) settle(before Set) {
	b.rules = b.rules.With(before)
	for _, n := range b.next {
		n.settle(b.rules)
	}
}

// longest returns the rules of the longest beginning of a path.
func (b *beginning) longest(path string) Set {
	for path != "" {
		i := 0
		for i < len(b.first) && b.first[i] != path[0] {
			i++
		}
		if i == len(b.first) || !strings.HasPrefix(path, b.next[i].label) {
			break
		}
		b = b.next[i]
		path = path[len(b.label):]
	}
	return b.rules
}

// SimplePath reports of a path, or of the fixed part of a pattern, that cleaning,
// folding and decoding leave it as it is: lower-case ASCII without special
// characters, in which no segment begins or ends with a dot or is empty.
func SimplePath(path string) bool {
	if path == "" || path[0] != '/' {
		return false
	}
	slash := false
	for i := range len(path) {
		switch simple[path[i]] {
		case inSegment:
			slash = false
		case aDot:
			if slash {
				return false
			}
		case separator:
			if slash {
				return false
			}
			slash = true
		default:
			return false
		}
	}
	return true
}

const (
	special = iota
	inSegment
	aDot
	separator
)

var simple = func() (kinds [256]uint8) {
	for c := range kinds {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', strings.IndexByte("-_~,=@+", byte(c)) >= 0 && c < 0x80:
			kinds[c] = inSegment
		}
	}
	kinds['.'], kinds['/'] = aDot, separator
	return kinds
}()
