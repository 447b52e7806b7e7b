package backendapi

import (
	"encoding/json"
	"errors"
	"unicode/utf8"
)

// errLenient tells that a body is not what scanLenient reads.
var errLenient = errors.New("not one flat object of strings and numbers")

// scalar is a member's value: a string, or the digits of a number as they were
// written.
type scalar struct {
	text   string
	number bool
}

// scanLenient reads a body as the document of the secrets dialect writes it: one
// object of strings and numbers, where a number may begin with zeros (a code is
// written 021589) and a comma may stand after the last member. That is not JSON,
// and it is taken in that dialect only.
//
// All else is as strict as elsewhere: nothing that could be read in two ways is
// read. Repeated names, other types, signs, fractions, exponents, text that is
// not UTF-8 and anything after the object are refused. What both this and
// encoding/json read, they read alike.
func scanLenient(body []byte) (map[string]scalar, error) {
	if len(body) > maxBody || !utf8.Valid(body) {
		return nil, errLenient
	}
	s := lenientScanner{rest: body}
	if !s.take('{') {
		return nil, errLenient
	}
	got := make(map[string]scalar)
	for !s.take('}') {
		name, ok := s.text()
		if _, twice := got[name]; !ok || twice || !s.take(':') {
			return nil, errLenient
		}
		value, ok := s.value()
		if !ok {
			return nil, errLenient
		}
		got[name] = value
		if !s.take(',') && s.peek() != '}' {
			return nil, errLenient
		}
	}
	if s.peek(); len(s.rest) > 0 {
		return nil, errLenient
	}
	return got, nil
}

// lenientScanner is what is left to read.
type lenientScanner struct{ rest []byte }

// peek gives the next byte after white space (RFC 8259 section 2) without taking
// it; 0 at the end, which no token begins with.
func (s *lenientScanner) peek() byte {
	for len(s.rest) > 0 {
		switch s.rest[0] {
		case ' ', '\t', '\n', '\r':
			s.rest = s.rest[1:]
		default:
			return s.rest[0]
		}
	}
	return 0
}

// take takes the byte where it is the next one.
func (s *lenientScanner) take(b byte) bool {
	if s.peek() != b {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

func (s *lenientScanner) value() (scalar, bool) {
	if s.peek() == '"' {
		text, ok := s.text()
		return scalar{text: text}, ok
	}
	n := 0
	for n < len(s.rest) && '0' <= s.rest[n] && s.rest[n] <= '9' {
		n++
	}
	digits := string(s.rest[:n])
	s.rest = s.rest[n:]
	return scalar{text: digits, number: true}, n > 0
}

// text takes a string. Its end is found here; its escapes are encoding/json's to
// read.
func (s *lenientScanner) text() (string, bool) {
	if s.peek() != '"' {
		return "", false
	}
	for i := 1; i < len(s.rest); i++ {
		switch s.rest[i] {
		case '\\':
			i++ // whatever is escaped does not end the string
		case '"':
			var text string
			err := json.Unmarshal(s.rest[:i+1], &text)
			s.rest = s.rest[i+1:]
			return text, err == nil
		}
	}
	return "", false
}
