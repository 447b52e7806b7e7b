package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

var (
	// ErrJSON reports that a document is not JSON, or not UTF-8.
	ErrJSON = errors.New("not a JSON document")
	// ErrTwice reports that a document has two members of the name that was
	// asked for: readers differ in which one they take (RFC 8259 section 4).
	ErrTwice = errors.New("the JSON document has a member twice")
	// ErrNoName reports that a value is there which cannot be anybody's name, so
	// that something else was asked for than is meant: an object, a list with
	// something in it, true, a fraction.
	ErrNoName = errors.New("the JSON value is neither a text nor a whole number")
)

// Pointer says where in a JSON document something stands (RFC 6901).
type Pointer struct{ tokens []string }

// maxPointer bounds the depth of a pointer.
const maxPointer = 32

// ParsePointer reads a pointer such as /user/name.
func ParsePointer(s string) (Pointer, error) {
	if s == "" || s[0] != '/' || !utf8.ValidString(s) || strings.ContainsRune(s, utf8.RuneError) {
		return Pointer{}, fmt.Errorf("%q is no JSON pointer: write one beginning with a slash, such as /user/name", s)
	}
	tokens := strings.Split(s[1:], "/")
	if len(tokens) > maxPointer {
		return Pointer{}, fmt.Errorf("a JSON pointer goes at most %d levels down", maxPointer)
	}
	for i, t := range tokens {
		for rest := t; ; {
			_, after, tilde := strings.Cut(rest, "~")
			if !tilde {
				break
			}
			if after == "" || after[0] != '0' && after[0] != '1' {
				return Pointer{}, fmt.Errorf("%q is no JSON pointer: a tilde in a name is written ~0, a slash ~1", s)
			}
			rest = after
		}
		tokens[i] = strings.ReplaceAll(strings.ReplaceAll(t, "~1", "/"), "~0", "~")
	}
	return Pointer{tokens}, nil
}

// Member points at a member of the outermost object, whatever its name.
func Member(name string) Pointer { return Pointer{[]string{name}} }

// Find returns what stands there. It is not found where the way there ends early,
// in null or in a value that holds nothing.
func (p Pointer) Find(document []byte) (value json.RawMessage, found bool, err error) {
	if !utf8.Valid(document) || !json.Valid(document) {
		return nil, false, ErrJSON
	}
	value = bytes.TrimSpace(document)
	for _, token := range p.tokens {
		switch value[0] {
		case '{':
			value, err = member(value, token)
		case '[':
			value, err = element(value, token)
		default:
			return nil, false, nil
		}
		if err != nil || value == nil {
			return nil, false, err
		}
	}
	return value, true, nil
}

// member returns the value of an object's only member of that name, or nil.
func member(object json.RawMessage, name string) (value json.RawMessage, err error) {
	d := json.NewDecoder(bytes.NewReader(object))
	if _, err := d.Token(); err != nil {
		return nil, ErrJSON
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, ErrJSON
		}
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return nil, ErrJSON
		}
		if key != name {
			continue
		}
		if value != nil {
			return nil, ErrTwice
		}
		value = v
	}
	return value, nil
}

// element returns the element of an array that a pointer's token names, or nil.
func element(array json.RawMessage, token string) (json.RawMessage, error) {
	n, err := strconv.ParseUint(token, 10, 16)
	if err != nil || strconv.FormatUint(n, 10) != token {
		return nil, nil
	}
	var elements []json.RawMessage
	if err := json.Unmarshal(array, &elements); err != nil {
		return nil, ErrJSON
	}
	if n >= uint64(len(elements)) {
		return nil, nil
	}
	return elements[n], nil
}

// Name reads a value that names somebody: a text, or a whole number above zero,
// as it is written. It gives "" for what stands for nobody: null, false, 0, an
// empty text, list or object. Everything else is ErrNoName.
func Name(value json.RawMessage) (string, error) {
	value = bytes.TrimSpace(value)
	if len(value) == 0 {
		return "", nil
	}
	switch c := value[0]; {
	case c == '"':
		var s string
		if err := json.Unmarshal(value, &s); err != nil {
			return "", ErrJSON
		}
		if strings.ContainsRune(s, utf8.RuneError) {
			// What is no character becomes this one, in every name alike.
			return "", ErrNoName
		}
		return strings.TrimSpace(s), nil
	case c == '{' || c == '[':
		if len(bytes.TrimSpace(value[1:len(value)-1])) > 0 {
			return "", ErrNoName
		}
		return "", nil
	case bytes.Equal(value, []byte("null")), bytes.Equal(value, []byte("false")), bytes.Equal(value, []byte("0")):
		return "", nil
	case '1' <= c && c <= '9' && len(value) <= maxDigits && !bytes.ContainsAny(value, ".eE"):
		return string(value), nil
	}
	return "", ErrNoName
}

// maxDigits is as many as every number of 64 bits has.
const maxDigits = 19
