package readings

import (
	"strings"
)

// walk reads queries and bodies for all fields of a table, as tolerantly as the
// most tolerant of parsers (rule S22), and keeps where they occur. What it makes
// of them is for Found.
type walk struct {
	t *Table
	// kept are the occurrences in their order, and at where those of each node and
	// name begin and end; see Table.chains.
	kept []occurrence
	at   []chain
	same map[occurrenceKey]int32
	// texts are the values that occurred.
	texts []value
	effort
	// unsure reports that there may be more, and odd that it cannot be told how
	// often an application finds a field.
	unsure, odd bool

	section  uint8 // where the walk is, see sections
	sections []section
	// plain reports that what is found is written as forms of its place are;
	// known that it is another reading of what was found before.
	plain, known bool

	hits []hit // of the name that was looked up last
	// partHits are those of all readings of a part's name, and parts how many
	// parts there are.
	partHits []hit
	parts    int
	fields   int // of forms, in all readings
	json     jsonCounts
}

// hit is a name that may be meant, as its number in Table.called, and as it was
// understood.
type hit struct {
	called int32
	name   string
}

// section is one reading of a query, or the body.
type section struct {
	kind sectionKind
	of   uint8 // again: the section that it is another reading of
}

type sectionKind uint8

const (
	sent    sectionKind = iota // the query
	again                      // another reading of a query
	hidden                     // what is a query to some, in the path
	further                    // another query that stands for the same
	inBody
)

// maxSections bounds the readings of queries.
const maxSections = 48

// begin enters a section.
func (w *walk) begin(s section) uint8 {
	if len(w.sections) == maxSections {
		w.unsure = true
		return w.section
	}
	w.sections = append(w.sections, s)
	w.section = uint8(len(w.sections) - 1)
	return w.section
}

// query reads the query of a URL. Besides the fields as they are sent it
// finds those that come to light where a component decodes before it splits, and
// where one skips further question marks and ends the query at a '#', as parsers
// in C do (http_parser, PHP's own server).
func (w *walk) query(q string, kind sectionKind) {
	if len(q) > maxQuery {
		w.unsure = true
		return
	}
	w.allow(len(q))
	was := w.known
	of := w.begin(section{kind: kind})
	w.urlencoded(q)
	other := func(q string) {
		w.known = true
		w.begin(section{kind: again, of: of})
		w.urlencoded(q)
		w.known = was
	}
	if strings.HasPrefix(q, "?") || strings.IndexByte(q, '#') >= 0 {
		bare, _, _ := strings.Cut(strings.TrimLeft(q, "?"), "#")
		other(bare)
	}
	for depth := 0; hidesSeparator(q); depth++ {
		if depth == maxDepth || !w.spendDecoding(q) {
			w.unsure = true
			return
		}
		q = string(decodeUnicode(nil, q))
		other(q)
	}
}

// hiddenQuery reads what is a query to those who decode a path before they
// look for the question mark. The path is decoded once.
func (w *walk) hiddenQuery(path string) {
	for depth := 0; ; depth++ {
		if _, q, ok := strings.Cut(path, "?"); ok {
			w.query(q, hidden)
			return
		}
		if strings.IndexByte(path, '%') < 0 {
			return
		}
		if !w.spendDecoding(path) {
			w.unsure = true
			return
		}
		next := string(decodeUnicode(nil, path))
		if next == path {
			return
		}
		if depth == maxDepth {
			w.unsure = true
			return
		}
		path = next
	}
}

// urlencoded reads application/x-www-form-urlencoded, with '&' alone as the
// separator and with ';' too.
func (w *walk) urlencoded(s string) {
	n := strings.Count(s, "&")
	if n >= maxPlain {
		w.odd = true
	}
	semicolons := strings.Count(s, ";")
	if w.fields += n + semicolons; w.fields > maxFields {
		w.unsure = true
		return
	}
	for s != "" && !w.unsure {
		var pair string
		pair, s, _ = strings.Cut(s, "&")
		w.pair(pair)
		if semicolons == 0 || strings.IndexByte(pair, ';') < 0 {
			continue
		}
		known, plain := w.known, w.plain
		w.known, w.plain = true, false // to most, it is part of another's value
		for rest, more := pair, true; more && !w.unsure; {
			var part string
			part, rest, more = strings.Cut(rest, ";")
			w.pair(part)
		}
		w.known, w.plain = known, plain
	}
}

func (w *walk) pair(p string) {
	name, value, _ := strings.Cut(p, "=")
	if name == "" || !w.named(name) {
		return
	}
	for _, h := range w.hits {
		w.field(h, name, value)
	}
}

// named looks up a raw name: hits are then the names that some reading of it is.
func (w *walk) named(raw string) bool {
	w.hits = w.hits[:0]
	at := 0
	for at < len(raw) && nameClass[raw[at]] == 0 {
		at++
	}
	if at == len(raw) {
		w.probe(raw, raw)
		return len(w.hits) > 0
	}
	if at > 0 && !w.t.names.begins(raw[:at]) && !nests(raw[at:]) {
		return false
	}
	if !w.spend(costName) {
		w.unsure = true
		return false
	}
	name := raw
	if len(name) > maxLongName {
		if w.tooLong(name[:maxLongName]) {
			return false
		}
		if !w.spendDecoding(name) {
			w.unsure = true
			return false
		}
	}
	for depth := 0; ; depth++ {
		w.sameAs(name, name)
		next := decodeField(name)
		if next == name {
			break
		}
		if depth == maxDepth || depth > 0 && !w.spend(costName) || !w.spendDecoding(name) {
			w.unsure = true
			return len(w.hits) > 0
		}
		name = next
	}
	// Classic ASP drops a percent sign that begins no escape.
	if strings.IndexByte(name, '%') >= 0 {
		w.sameAs(strings.ReplaceAll(name, "%", ""), name)
	}
	return len(w.hits) > 0
}

// nests reports whether a text may have escapes within escapes.
func nests(s string) bool {
	for {
		i := strings.IndexByte(s, '%')
		if i < 0 || i+2 >= len(s) {
			return false
		}
		if s[i+1]|0x20 == 'u' || s[i+1] == '2' && s[i+2] == '5' {
			return true
		}
		s = s[i+1:]
	}
}

// maxLongName is how much of a name is looked at where that already reports that it
// is longer than any that is looked for.
const maxLongName = 4 << 10

// tooLong reports whether no name that begins so can be one that is looked for,
// however it is decoded.
func (w *walk) tooLong(name string) bool {
	longer := func(s string) bool {
		s = strings.TrimLeft(s, blanks+"?\ufeff[]")
		if len(s) <= w.t.names.longest+1 {
			return false
		}
		s = s[:w.t.names.longest+2]
		return strings.IndexByte(blanks, s[len(s)-1]) < 0 && !strings.ContainsAny(s, "\x00[]")
	}
	for depth := 0; depth <= maxDepth; depth++ {
		if !longer(name) || !w.spendDecoding(name) {
			return false
		}
		next := decodeField(name)
		if next == name {
			return longer(strings.ReplaceAll(name, "%", ""))
		}
		name = next
	}
	return false
}

// sameAs looks up one reading of a name, which is understood as was.
func (w *walk) sameAs(name, was string) {
	name = strings.TrimPrefix(name, "\ufeff")
	if i := strings.IndexByte(name, 0); i >= 0 {
		name = name[:i]
	}
	if name == "" {
		return
	}
	name = trimBlanks(name)
	bare := name
	for bare != "" && (isBlank[bare[0]] || bare[0] == '?') {
		bare = bare[1:]
	}
	w.lookUp(bare, was)
	// The last of leading spaces may have become an underscore.
	if lead := len(name) - len(bare); lead > 0 {
		w.lookUp(name[lead-1:], was)
	}
}

// trimBlanks trims blanks at the end.
func trimBlanks(s string) string {
	for s != "" && isBlank[s[len(s)-1]] {
		s = s[:len(s)-1]
	}
	return s
}

var isBlank = [256]bool{' ': true, '\t': true, '\r': true, '\n': true, '\v': true, '\f': true}

// lookUp looks up a name as sameName compares it.
func (w *walk) lookUp(name, as string) {
	w.probe(name, as)
	if strings.IndexByte(name, '[') >= 0 || strings.IndexByte(name, ']') >= 0 {
		w.probe(withoutSubscript(name), as)
	}
}

func (w *walk) probe(name, as string) {
	ix := &w.t.names
	if len(name) > ix.longest || len(ix.slots) == 0 {
		return
	}
	h := hashName(name)
	for at := h & uint32(len(ix.slots)-1); ix.slots[at] != 0; at = (at + 1) & uint32(len(ix.slots)-1) {
		if e := &ix.entries[ix.slots[at]-1]; e.hash == h && equalNames(name, e.name) {
			w.hit(e.node, as)
		}
	}
}

func (w *walk) hit(at int32, name string) {
	for i := range w.hits {
		if w.hits[i].called == at {
			return
		}
	}
	w.hits = append(w.hits, hit{at, name})
}
