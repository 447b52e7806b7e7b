package readings

import (
	"math/bits"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxJSONDepth is how deep JSON may be nested; what is deeper cannot be told.
const maxJSONDepth = 128

// jsonReader finds what decoders of JSON could find at a field's path: every
// member of duplicate names, under names that differ in case, in each element of
// an array on the way (a batch) and each of several values in a row. It takes
// nothing but JSON by the letter of RFC 8259: where one decoder is more tolerant
// than others (comments, trailing commas, single quotes, broken UTF-8, a lone
// surrogate, an end that is missing) it cannot tell.
type jsonReader struct {
	field *Field
	sink  *fieldReader
	s     string
	at    int
	// passed counts how often each place of the path was passed, of a field
	// turned around.
	passed [maxTokens + 1]int
}

// state is a set of places in a field's path: bit i is set where the first i
// names have been passed.
type state uint32

func (j *jsonReader) read(text string) {
	j.s, j.at = text, 0
	ok := utf8.ValidString(text)
	for n := 0; ok; n++ {
		if j.space(); j.at == len(j.s) {
			if n > 1 || j.twice() {
				j.sink.odd = true
			}
			return
		}
		ok = j.value(1, 1, 0)
	}
	j.sink.unsure = true
}

// twice reports whether a name on the path occurs more than once: a decoder that
// keeps one of them may keep the one without the field. Where the field must be
// certain its own name may, since all of its values are looked at.
func (j *jsonReader) twice() bool {
	for i, n := range j.passed {
		if n > 1 && !(j.sink.every && i == len(j.field.path)) {
			return true
		}
	}
	return false
}

// value reads one value that stands at the places of st; exact are those among
// them that the pointer leads to by the letter. It is false where that is no JSON.
func (j *jsonReader) value(st, exact state, depth int) bool {
	if depth == maxJSONDepth || j.at == len(j.s) {
		return false
	}
	start, end := j.at, state(1)<<len(j.field.path)
	found, ok := st&end != 0, false
	var text string
	switch c := j.s[j.at]; {
	case c == '{' || c == '[':
		switch {
		case !found:
		case j.sink.show != nil:
			st &^= end // all of it is shown
		case len(j.field.values) == 0:
			j.sink.hit = true
			j.sink.count.all++
			if exact&end != 0 && j.sink.plain {
				j.sink.count.exact++
			}
			st &^= end // what is in it does not matter
		default:
			// Of what is below none is the value by the letter, and there may
			// be nothing.
			j.sink.count.all++
			exact &^= end
		}
		if c == '{' {
			ok = j.object(st, exact, depth)
		} else {
			ok = j.array(st, exact, depth)
		}
		if !found || j.sink.show == nil {
			return ok
		}
		text = j.s[start:j.at]
	case c == '"':
		if text, ok = j.str(); ok && found {
			j.found(text, exact&end != 0, false)
		}
		return ok
	default:
		ok = j.word()
		text = j.s[start:j.at]
	}
	if ok && found {
		j.found(text, exact&end != 0, true)
	}
	return ok
}

// found takes a value at the end of the path. word is false for a string.
func (j *jsonReader) found(text string, exact, word bool) {
	if j.sink.show != nil {
		j.sink.unsure = j.sink.unsure || !j.sink.show.add(j.field.text, text)
		return
	}
	j.sink.count.all++
	if exact && j.sink.plain && j.sink.exactly(text) {
		j.sink.count.exact++
	}
	switch {
	case j.field.wants(text):
		j.sink.hit = true
	case word && j.field.wantsLoosely(text):
		j.sink.unsure = true
	}
}

func (j *jsonReader) object(st, exact state, depth int) bool {
	j.at++
	path := j.field.path
	if j.space(); j.next('}') {
		return true
	}
	for {
		j.space()
		name, ok := j.str()
		if !ok {
			return false
		}
		if j.space(); !j.next(':') {
			return false
		}
		inner := st >> len(path) << len(path) // what is below the end of the path stays there
		letter := state(0)
		for rest := st &^ inner; rest != 0; rest &= rest - 1 {
			if i := bits.TrailingZeros32(uint32(rest)); sameKey(name, path[i]) {
				inner |= 1 << (i + 1)
				j.passed[i+1]++
				if name == path[i] && exact&(1<<i) != 0 {
					letter |= 1 << (i + 1)
				}
			}
		}
		if j.space(); !j.value(inner, letter, depth+1) {
			return false
		}
		if j.space(); j.next('}') {
			return true
		}
		if !j.next(',') {
			return false
		}
	}
}

func (j *jsonReader) array(st, exact state, depth int) bool {
	j.at++
	path := j.field.path
	if j.space(); j.next(']') {
		return true
	}
	// The elements of a batch are requests, each of which must have the field.
	batch := j.sink.every && depth == 0 && (path[0] == "" || path[0][0] < '0' || path[0][0] > '9')
	for n := 0; ; n++ {
		inner, letter, before := st, state(0), j.sink.count.all
		if batch {
			letter = exact
		}
		for rest := st &^ (1 << len(path)); rest != 0; rest &= rest - 1 {
			if i := bits.TrailingZeros32(uint32(rest)); isIndex(path[i], n) {
				inner |= 1 << (i + 1)
				j.passed[i+1]++
				if exact&(1<<i) != 0 && path[i] == strconv.Itoa(n) {
					letter |= 1 << (i + 1)
				}
			}
		}
		if j.space(); !j.value(inner, letter, depth+1) {
			return false
		}
		if batch {
			j.sink.odd = j.sink.odd || j.sink.count.all == before || j.twice()
			j.passed = [maxTokens + 1]int{}
		}
		if j.space(); j.next(']') {
			return true
		}
		if !j.next(',') {
			return false
		}
	}
}

func isIndex(token string, n int) bool {
	if token == "" || token[0] < '0' || token[0] > '9' {
		return false
	}
	i, err := strconv.Atoi(token)
	return err == nil && i == n
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

func (j *jsonReader) space() {
	for j.at < len(j.s) {
		switch j.s[j.at] {
		case ' ', '\t', '\r', '\n':
			j.at++
		default:
			return
		}
	}
}

func (j *jsonReader) next(c byte) bool {
	if j.at < len(j.s) && j.s[j.at] == c {
		j.at++
		return true
	}
	return false
}

// str reads a string and decodes it.
func (j *jsonReader) str() (string, bool) {
	if !j.next('"') {
		return "", false
	}
	start := j.at
	for j.at < len(j.s) && j.s[j.at] >= ' ' {
		switch j.s[j.at] {
		case '"':
			j.at++
			return j.s[start : j.at-1], true
		case '\\':
			return j.escaped(start)
		}
		j.at++
	}
	return "", false
}

// escaped goes on with a string at its first escape.
func (j *jsonReader) escaped(start int) (string, bool) {
	b := append(make([]byte, 0, 64), j.s[start:j.at]...)
	for j.at < len(j.s) && j.s[j.at] >= ' ' {
		c := j.s[j.at]
		j.at++
		switch c {
		case '"':
			return string(b), true
		case '\\':
			if j.at == len(j.s) {
				return "", false
			}
			c = j.s[j.at]
			j.at++
			if c == 'u' {
				r, ok := j.unicode()
				if !ok {
					return "", false
				}
				b = utf8.AppendRune(b, r)
				continue
			}
			i := strings.IndexByte(`"\/bfnrt`, c)
			if i < 0 {
				return "", false
			}
			b = append(b, "\"\\/\b\f\n\r\t"[i])
		default:
			b = append(b, c)
		}
	}
	return "", false
}

// unicode reads what follows \u, and the second half of a surrogate pair.
func (j *jsonReader) unicode() (rune, bool) {
	high, ok := j.hex4()
	if !ok || high < 0xd800 || high > 0xdfff {
		return high, ok
	}
	if high > 0xdbff || !strings.HasPrefix(j.s[j.at:], `\u`) {
		return 0, false
	}
	j.at += 2
	low, ok := j.hex4()
	return 0x10000 + (high-0xd800)<<10 + (low - 0xdc00), ok && low >= 0xdc00 && low <= 0xdfff
}

func (j *jsonReader) hex4() (rune, bool) {
	if len(j.s)-j.at < 4 {
		return 0, false
	}
	r := rune(0)
	for range 4 {
		digit := unhex(j.s[j.at])
		if digit < 0 {
			return 0, false
		}
		r = r<<4 | rune(digit)
		j.at++
	}
	return r, true
}

// word reads a number, true, false or null.
func (j *jsonReader) word() bool {
	for _, w := range [...]string{"true", "false", "null"} {
		if strings.HasPrefix(j.s[j.at:], w) {
			j.at += len(w)
			return true
		}
	}
	j.next('-')
	if !j.next('0') && !j.digits() {
		return false
	}
	if j.next('.') && !j.digits() {
		return false
	}
	if j.next('e') || j.next('E') {
		if !j.next('+') {
			j.next('-')
		}
		return j.digits()
	}
	return true
}

func (j *jsonReader) digits() bool {
	start := j.at
	for j.at < len(j.s) && '0' <= j.s[j.at] && j.s[j.at] <= '9' {
		j.at++
	}
	return j.at > start
}
