package audit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Person is whose lines are erased.
type Person struct {
	// Tenant is theirs; empty for every tenant.
	Tenant, User string
}

// concerns reports whether an entry tells of what the person did, or what was done
// for them.
func (p *Person) concerns(e *Entry) bool {
	return (p.Tenant == "" || e.Tenant == p.Tenant) && (e.User == p.User || e.ActorID == p.User)
}

// Erasure is what [Erase] did.
type Erasure struct {
	// Entries is how many were erased.
	Entries int `json:"entries"`
	// Unreadable is how many texts were blanked that are no lines: they were torn,
	// and it cannot be told whose they were.
	Unreadable int `json:"unreadable"`
}

// Erase copies a log without the entries that concern the person. The chain still
// verifies.
func Erase(w io.Writer, r io.Reader, who Person) (done Erasure, err error) {
	out := bufio.NewWriter(w)
	lines, err := NewReader(r)
	if err != nil {
		return done, err
	}
	if lines.Compressed {
		return done, errors.New("the log is compressed: decompress it first")
	}
	var torn span
	for {
		l, err := lines.Next()
		var bad *BadLine
		if errors.As(err, &bad) {
			torn.add(bad.text)
			continue
		}
		if len(torn.text) > 0 {
			text := bytes.TrimSuffix(torn.text, []byte("\n"))
			if !isBlanked(torn.text) {
				torn.text = blanked(len(text), digestOf(text))
			}
			done.Unreadable++
			out.Write(torn.text) // Flush tells of errors
			torn = span{}
		}
		if errors.Is(err, io.EOF) {
			return done, out.Flush()
		}
		if err != nil {
			return done, err
		}
		if !l.Erased && who.concerns(&l.Entry) {
			l.erase()
			done.Entries++
		}
		text, err := l.text()
		if err != nil {
			return done, err
		}
		if _, err := out.Write(text); err != nil {
			return done, fmt.Errorf("writing log: %w", err)
		}
	}
}
