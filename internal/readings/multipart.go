package readings

import (
	"encoding/binary"
	"slices"
	"strings"
)

// Limits on a body: parts that bear a name looked for, and parameters that
// might be names at all (a file's part has two; Go parses 1,000 parts).
const (
	maxParts     = 16
	maxPartNames = 2000
	maxPartName  = 256 // bytes of a name that are looked at
)

// multipart reads multipart/form-data without regard to its boundary, on
// which parsers differ: every header block with a Content-Disposition counts,
// and in it whatever looks like a name parameter. So it finds more than any
// one parser would, and never less.
func (w *walk) multipart(body string) {
	low := lowerASCII(body)
	var parts map[int32]int // that bear a name
	names := 0
	blank := blankLines{text: low}
	var later []int32 // chains of which nothing can be told behind this header block
	for at := 0; !w.unsure; {
		i := strings.Index(low[at:], "content-disposition")
		if i < 0 {
			return
		}
		before := low[at : at+i]
		at += i
		// Names are looked for up to the farther of both ends.
		strict, lenient := blank.after(at)
		end := max(strict, lenient)
		if end < 0 {
			end = len(low)
		}
		coded, known := false, false // the value may be something else than its bytes
		for from := at; ; {
			j := strings.Index(low[from:end], "name")
			if j < 0 {
				break
			}
			from += j + len("name")
			if names++; names > maxPartNames {
				w.unsure = true
				return
			}
			if !w.partNamed(body[from:end]) {
				if w.exhausted() {
					return
				}
				continue
			}
			if parts == nil {
				parts = make(map[int32]int)
			}
			if lenient >= 0 && from > lenient-2 || strict >= 0 && from > strict-4 {
				// Behind what ends the header to some.
				strict, lenient = blank.after(from)
				if !w.spend(costKept + len(low) - from) {
					w.unsure = true
					return
				}
			}
			if !known {
				known = true
				coded = encodedPart(low[at:end]) || encodedBefore(before)
			}
			for _, h := range w.hits {
				if parts[h.called]++; parts[h.called] > maxParts || lenient < 0 || coded {
					w.doubt(w.chainOf(h))
					continue
				}
				told := w.partValue(h, body[lenient:])
				if strict >= 0 && strict != lenient {
					was := w.known
					w.known = true
					told = w.partValue(h, body[strict:]) && told
					w.known = was
				}
				if !told {
					later = append(later, w.chainOf(h))
				}
			}
		}
		for _, chain := range later {
			w.doubt(chain)
		}
		later = later[:0]
		at = end
	}
}

// blankLines finds where part headers end.
type blankLines struct {
	text string
	// lf reports that no CRLF pair is left, and none that no blank line is: not to
	// be searched for again and again.
	lf, none bool
}

// after returns where the text goes on behind the first blank line after at,
// for parsers that want CRLF and for those that take a bare LF; -1 for none.
func (b *blankLines) after(at int) (strict, lenient int) {
	s := b.text[at:]
	strict, lenient = -1, -1
	if !b.lf {
		if i := strings.Index(s, "\r\n\r\n"); i >= 0 {
			strict = at + i + 4
		} else {
			b.lf = true
		}
	}
	if b.none {
		return strict, lenient
	}
	for i := 0; ; i++ {
		j := strings.IndexByte(s[i:], '\n')
		if j < 0 {
			b.none = true
			return strict, lenient
		}
		if i += j; strings.HasPrefix(s[i+1:], "\n") {
			return strict, at + i + 2
		} else if strings.HasPrefix(s[i+1:], "\r\n") {
			return strict, at + i + 3
		}
	}
}

// encodedPart reports whether a part's value may be something else than its
// bytes.
func encodedPart(head string) bool {
	return strings.Contains(head, "base64") || strings.Contains(head, "quoted-printable") || strings.Contains(head, "charset")
}

// encodedBefore is encodedPart for headers in front of the Content-Disposition:
// what is before it, up to a blank line, ends with them.
func encodedBefore(before string) bool {
	before = before[strings.LastIndex(before, "\n\r\n")+1:]
	before = before[strings.LastIndex(before, "\n\n")+1:]
	return strings.Contains(before, "content-t") && encodedPart(before)
}

// partNamed reports whether the parameter whose value follows the word "name"
// in s could be a name looked for; hits are then those that it could be.
func (w *walk) partNamed(s string) bool {
	const space = " \t\r\n"
	s = strings.TrimLeft(s, space)
	if ext, ok := strings.CutPrefix(s, "*"); ok { // RFC 8187, or the pieces of RFC 2231
		if ext != "" && '0' <= ext[0] && ext[0] <= '9' {
			w.unsure = true
			return false
		}
		s = strings.TrimLeft(ext, space)
	}
	s, ok := strings.CutPrefix(s, "=")
	if !ok {
		return false
	}
	s = strings.TrimLeft(s, space)
	s = s[:min(len(s), maxPartName)]
	token := s
	if i := strings.IndexAny(s, ";,\r\n"); i >= 0 {
		token = s[:i]
	}
	if strings.HasPrefix(token, "=?") || strings.HasPrefix(token, `"=?`) { // RFC 2047
		w.unsure = true
		return false
	}
	w.partHits = w.partHits[:0]
	if bare := strings.Trim(token, `"'`+space); w.cannotBegin(bare) && strings.IndexByte(bare, '\'') < 0 && !nests(s) {
		w.hits = w.hits[:0]
		return false
	}
	if !w.spend(costName + 8*len(s)) {
		w.unsure = true
		return false
	}
	if i := strings.LastIndexByte(token, '\''); i >= 0 {
		w.partCalled(strings.Trim(token[i+1:], `"`)) // utf-8''name
	}
	w.partCalled(strings.Trim(token, `"'`))
	if i := strings.IndexAny(token, " \t"); i >= 0 {
		w.partCalled(strings.Trim(token[:i], `"'`))
	}
	if quote := strings.TrimLeft(s, `"'`); len(quote) != len(s) {
		if i := strings.IndexAny(quote, `"'`); i >= 0 {
			w.partCalled(quote[:i])
		}
		// With quoted pairs: \" does not end it, and \m is an m.
		if end := strings.IndexByte(quote, '"'); end < 0 || strings.IndexByte(quote[:end], '\\') >= 0 {
			var b strings.Builder
			for i := 0; i < len(quote) && quote[i] != '"'; i++ {
				if quote[i] == '\\' && i+1 < len(quote) {
					i++
				}
				b.WriteByte(quote[i])
			}
			w.partCalled(b.String())
		} else {
			w.partCalled(quote[:end])
		}
	}
	w.hits = append(w.hits[:0], w.partHits...)
	return len(w.hits) > 0
}

// cannotBegin reports whether no name begins as a part's does, in all its readings.
func (w *walk) cannotBegin(name string) bool {
	return len(name) >= 2 && nameClass[name[0]]|nameClass[name[1]] == 0 && name[0] != '\\' && name[1] != '\\' &&
		!strings.ContainsAny(name[:2], `"'`) && !w.t.names.begins(name[:2])
}

// partCalled adds the names of one reading of a part's name.
func (w *walk) partCalled(name string) {
	if name == "" || !w.named(name) {
		return
	}
	for _, h := range w.hits {
		if !slices.ContainsFunc(w.partHits, func(have hit) bool { return have.called == h.called }) {
			w.partHits = append(w.partHits, h)
		}
	}
}

// partValue keeps the value at the beginning of s. It is false where that may be the
// boundary, or a value that looks like one.
func (w *walk) partValue(h hit, s string) bool {
	switch i := strings.Index(s, "\n--"); {
	case strings.HasPrefix(s, "--"):
		return false
	case i >= 0:
		s = s[:i]
	}
	k := occurrenceKey{chain: w.chainOf(h), kind: partField, value: strings.TrimRight(s, "\r\n")}
	if w.plain {
		k.flags = plainForm
	}
	w.keep(k, "", h.name)
	return true
}

// lowerASCII is s with the letters of ASCII in lower case; s itself if it has no
// others. It goes over eight bytes at a time, since bodies pass through it whole.
func lowerASCII(s string) string {
	at := 0
	for ; at+8 <= len(s); at += 8 {
		w := uint64(s[at]) | uint64(s[at+1])<<8 | uint64(s[at+2])<<16 | uint64(s[at+3])<<24 |
			uint64(s[at+4])<<32 | uint64(s[at+5])<<40 | uint64(s[at+6])<<48 | uint64(s[at+7])<<56
		if capitals(w) != 0 {
			break
		}
	}
	for at < len(s) && lowerByte[s[at]] == s[at] {
		at++
	}
	if at == len(s) {
		return s
	}
	b := []byte(s)
	for ; at+8 <= len(b); at += 8 {
		if w := binary.LittleEndian.Uint64(b[at:]); capitals(w) != 0 {
			binary.LittleEndian.PutUint64(b[at:], w|capitals(w)>>2)
		}
	}
	for ; at < len(b); at++ {
		b[at] = lowerByte[b[at]]
	}
	return textOf(b)
}

// capitals returns the top bit of each byte of w that is a capital of ASCII.
func capitals(w uint64) uint64 {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	low := w &^ high
	return (low + (0x80-'A')*ones) &^ (low + (0x80-'Z'-1)*ones) &^ w & high
}

var lowerByte = func() (t [256]byte) {
	for c := range t {
		t[c] = byte(c)
		if 'A' <= c && c <= 'Z' {
			t[c] += 'a' - 'A'
		}
	}
	return t
}()
