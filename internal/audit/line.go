package audit

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
)

// MaxLine bounds a line, in bytes with its end. What is longer is none.
const MaxLine = 64 << 10

// Hash is a SHA-256.
type Hash [sha256.Size]byte

// MarshalText returns the hash in base64url.
func (h Hash) MarshalText() ([]byte, error) { return encode(h[:]), nil }

// UnmarshalText reads what MarshalText returns.
func (h *Hash) UnmarshalText(text []byte) error { return decode(h[:], text) }

// String returns the hash in base64url.
func (h Hash) String() string { return string(encode(h[:])) }

// Salt hides what an erased entry was.
type Salt [16]byte

// MarshalText returns the salt in base64url.
func (s Salt) MarshalText() ([]byte, error) { return encode(s[:]), nil }

// UnmarshalText reads what MarshalText returns.
func (s *Salt) UnmarshalText(text []byte) error { return decode(s[:], text) }

// Chain is the random id of a chain.
type Chain [8]byte

// MarshalText returns the id in hexadecimal.
func (c Chain) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, c[:]), nil }

// UnmarshalText reads what MarshalText returns.
func (c *Chain) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(c)) {
		return errors.New("audit: a chain's id has 16 hexadecimal digits")
	}
	_, err := hex.Decode(c[:], text)
	return err
}

// String returns the id in hexadecimal.
func (c Chain) String() string { return hex.EncodeToString(c[:]) }

func encode(raw []byte) []byte { return base64.RawURLEncoding.AppendEncode(nil, raw) }

func decode(into, text []byte) error {
	if len(text) != base64.RawURLEncoding.EncodedLen(len(into)) {
		return fmt.Errorf("audit: %d characters in the place of %d bytes", len(text), len(into))
	}
	_, err := base64.RawURLEncoding.Decode(into, text)
	return err
}

// Line is one line of the log.
type Line struct {
	// Number is that of the line in what was read, from 1.
	Number int
	Chain  Chain
	Seq    uint64
	// Prev is the hash of the line before, Hash that of this one.
	Prev, Hash Hash
	// Erased reports that the entry was erased; Entry is zero then.
	Erased bool
	Entry  Entry

	salt  Salt
	entry []byte // as it stands in the line
	leaf  Hash
}

// stored is the form of a line.
type stored struct {
	V     int             `json:"v"`
	Chain Chain           `json:"chain"`
	Seq   uint64          `json:"seq"`
	Prev  Hash            `json:"prev"`
	Salt  *Salt           `json:"salt,omitempty"`
	Entry json.RawMessage `json:"entry,omitempty"`
	Leaf  *Hash           `json:"leaf,omitempty"`
	Hash  Hash            `json:"hash"`
}

// next makes the line of an entry that follows last in a chain, and its text.
func next(last Head, e Entry) (l Line, text []byte, err error) {
	e.bound()
	l = Line{Chain: last.Chain, Seq: last.Seq + 1, Prev: last.Hash, Entry: e}
	if l.entry, err = marshal(e); err != nil {
		return l, nil, err
	}
	rand.Read(l.salt[:]) // never fails: crypto/rand ends the program instead
	l.leaf = leafOf(l.salt, l.entry)
	l.Hash = l.sum()
	text, err = l.text()
	return l, text, err
}

// head is the line's place.
func (l *Line) head() Head { return Head{l.Chain, l.Seq, l.Hash} }

func leafOf(s Salt, entry []byte) Hash {
	h := sha256.New()
	h.Write([]byte("step-up audit entry 1\x00"))
	h.Write(s[:])
	h.Write(entry)
	return Hash(h.Sum(nil))
}

func (l *Line) sum() Hash {
	h := sha256.New()
	h.Write([]byte("step-up audit line 1\x00"))
	h.Write(l.Chain[:])
	var seq [8]byte
	binary.BigEndian.PutUint64(seq[:], l.Seq)
	h.Write(seq[:])
	h.Write(l.Prev[:])
	h.Write(l.leaf[:])
	return Hash(h.Sum(nil))
}

// text is the line as it is written, with its end.
func (l *Line) text() ([]byte, error) {
	s := stored{V: Version, Chain: l.Chain, Seq: l.Seq, Prev: l.Prev, Hash: l.Hash}
	if l.Erased {
		s.Leaf = &l.leaf
	} else {
		s.Salt, s.Entry = &l.salt, l.entry
	}
	text, err := marshal(s)
	return append(text, '\n'), err
}

// erase takes the entry out.
func (l *Line) erase() { l.Erased, l.Entry, l.entry, l.salt = true, Entry{}, nil, Salt{} }

// marshal is JSON without the escapes that are for HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// Reasons why a text is no line.
var (
	errForm    = errors.New("this is no line of an audit log")
	errVersion = errors.New("the line has a version that this program does not know: use a newer one")
	errHash    = errors.New("the line does not have the hash that it says")
)

// prefix begins each line.
var prefix = []byte(`{"v":`)

// IsLine reports whether a text looks like a line; Parse tells whether it is one.
func IsLine(text []byte) bool { return bytes.HasPrefix(text, prefix) }

// Parse reads a line, with or without its end. A line that was altered by itself, so
// that its hash or its spelling is another, is refused.
func Parse(text []byte) (Line, error) {
	text = bytes.TrimSuffix(text, []byte("\n"))
	if !IsLine(text) || len(text) >= MaxLine {
		return Line{}, errForm
	}
	var s stored
	if json.Unmarshal(text, &s) != nil {
		return Line{}, errForm
	}
	l := Line{Chain: s.Chain, Seq: s.Seq, Prev: s.Prev, Hash: s.Hash}
	switch whole := s.Salt != nil && s.Entry != nil; {
	case s.V != Version:
		return Line{}, errVersion
	case s.Seq == 0, whole == (s.Leaf != nil):
		return Line{}, errForm
	case whole:
		l.salt, l.entry = *s.Salt, s.Entry
		l.leaf = leafOf(l.salt, l.entry)
	default:
		l.Erased, l.leaf = true, *s.Leaf
	}
	if again, err := l.text(); err != nil || !bytes.Equal(bytes.TrimSuffix(again, []byte("\n")), text) {
		return Line{}, errForm
	}
	if sum := l.sum(); subtle.ConstantTimeCompare(sum[:], l.Hash[:]) != 1 {
		return Line{}, errHash
	}
	if !l.Erased && json.Unmarshal(l.entry, &l.Entry) != nil {
		return Line{}, errForm
	}
	return l, nil
}
