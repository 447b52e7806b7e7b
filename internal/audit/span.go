package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// span is text that is no line: one that was interrupted, or that was altered.
type span struct {
	fault  Fault
	text   []byte
	closed bool // a line followed
}

// maxSpan bounds the text that is kept of a span, in bytes, and maxSpans how many
// there may be before a record explains one.
const (
	maxSpan  = 2 * MaxLine
	maxSpans = 16
)

func (s *span) add(text []byte) {
	if len(s.text) <= maxSpan {
		s.text = append(s.text, text...)
	}
}

// is reports whether a record tells of the span. Its last end of a line does not
// count, since whoever found it may have written that.
func (s *span) is(e *Entry) bool {
	text := bytes.TrimSuffix(s.text, []byte("\n"))
	return len(text) == e.TornBytes && digestOf(text) == e.TornDigest || bytes.Equal(s.text, blanked(e.TornBytes, e.TornDigest))
}

func digestOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// blanked stands for a span in a log of which something was erased, since it cannot
// be told whose line it was.
func blanked(size int, digest string) []byte {
	return fmt.Appendf(nil, "{\"torn_bytes\":%d,\"torn_digest\":%q}\n", size, digest)
}

func isBlanked(text []byte) bool { return bytes.HasPrefix(text, []byte(`{"torn_bytes":`)) }
