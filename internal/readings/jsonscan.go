package readings

import (
	"strings"
	"unicode/utf8"
)

// What follows reads the letters of JSON (RFC 8259).

// skip reads a value in which nothing is looked for.
func (j *jsonReader) skip(depth int) bool {
	if depth == maxJSONDepth || j.at == len(j.s) {
		return false
	}
	c := j.s[j.at]
	switch c {
	default:
		j.w.left -= costWord
		return !j.w.exhausted() && j.word()
	case '"':
		return j.skipString()
	case '{', '[':
	}
	j.w.left -= costSkipped
	if j.w.exhausted() {
		return false
	}
	end := c + 2 // in ASCII
	j.at++
	if j.space(); j.next(end) {
		return true
	}
	for {
		if j.space(); c == '{' {
			if !j.skipString() {
				return false
			}
			if j.space(); !j.next(':') {
				return false
			}
			j.space()
		}
		if !j.skip(depth + 1) {
			return false
		}
		if j.at < len(j.s) && j.s[j.at] == ',' {
			j.at++
			continue
		}
		if j.space(); j.next(end) {
			return true
		}
		if !j.next(',') {
			return false
		}
	}
}

// skipString is str where nobody asks for the text.
func (j *jsonReader) skipString() bool {
	if !j.next('"') {
		return false
	}
	for j.at < len(j.s) {
		c := j.s[j.at]
		j.at++
		switch {
		case c == '"':
			return true
		case c < ' ':
			return false
		case c != '\\':
		case j.at == len(j.s):
			return false
		default:
			c = j.s[j.at]
			j.at++
			if c == 'u' {
				if _, ok := j.unicode(); !ok {
					return false
				}
			} else if shortEscapes[c] == 0 {
				return false
			}
		}
	}
	return false
}

// shortEscapes are what letters behind a backslash stand for.
var shortEscapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

func (j *jsonReader) space() {
	if j.at < len(j.s) && j.s[j.at] > ' ' {
		return
	}
	j.spaces()
}

func (j *jsonReader) spaces() {
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
	if !j.w.spend(costEscaped) {
		return "", false
	}
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
			if shortEscapes[c] == 0 {
				return "", false
			}
			b = append(b, shortEscapes[c])
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
	switch c := j.s[j.at]; {
	case isDigit(c):
		j.at++
		if c != '0' {
			j.digits()
		}
		if j.at == len(j.s) || j.s[j.at] == ',' {
			return true // most are whole
		}
	case c == '-':
		j.at++
		if !j.next('0') && !j.digits() {
			return false
		}
	case c == 't':
		return j.exactly("true")
	case c == 'f':
		return j.exactly("false")
	default:
		return j.exactly("null")
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

func (j *jsonReader) exactly(word string) bool {
	if !strings.HasPrefix(j.s[j.at:], word) {
		return false
	}
	j.at += len(word)
	return true
}

func (j *jsonReader) digits() bool {
	start := j.at
	for j.at < len(j.s) && '0' <= j.s[j.at] && j.s[j.at] <= '9' {
		j.at++
	}
	return j.at > start
}
