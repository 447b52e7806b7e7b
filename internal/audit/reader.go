package audit

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
)

// A BadLine is the error for a line that is none. Reading goes on after it.
type BadLine struct {
	// Number is that of the line, from 1.
	Number int
	// Torn reports that the text ends without the end of a line.
	Torn bool
	Err  error

	text []byte // up to MaxLine, with its end
}

func (e *BadLine) Error() string { return fmt.Sprintf("line %d: %v", e.Number, e.Err) }

func (e *BadLine) Unwrap() error { return e.Err }

// errLong and errTorn are why a line is none.
var (
	errLong = errors.New("the line is longer than any that is written")
	errTorn = errors.New("the line has no end: writing it was interrupted, or it is being written")
)

// Reader reads the lines of a log as a stream, compressed with gzip or not. It does
// not check how lines follow each other; see [Verify].
type Reader struct {
	// Compressed reports whether the log is.
	Compressed bool

	src    *bufio.Reader
	number int
}

// NewReader returns a Reader of a whole log.
func NewReader(r io.Reader) (*Reader, error) {
	src := bufio.NewReaderSize(r, MaxLine)
	compressed := false
	if head, err := src.Peek(2); err == nil && head[0] == 0x1f && head[1] == 0x8b {
		plain, err := gzip.NewReader(src)
		if err != nil {
			return nil, fmt.Errorf("reading compressed log: %w", err)
		}
		src, compressed = bufio.NewReaderSize(plain, MaxLine), true
	}
	return &Reader{Compressed: compressed, src: src}, nil
}

// Next returns the next line. The error is a [*BadLine] for a text that is no line,
// after which reading goes on, and io.EOF at the end.
func (r *Reader) Next() (Line, error) {
	text, err := r.src.ReadSlice('\n')
	if len(text) == 0 && err != nil {
		return Line{}, ended(err)
	}
	r.number++
	bad := &BadLine{Number: r.number}
	if errors.Is(err, bufio.ErrBufferFull) {
		bad.text, bad.Err = append(bad.text, text...), errLong
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = r.src.ReadSlice('\n')
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return Line{}, ended(err)
		}
		bad.Torn = err != nil
		return Line{}, bad
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return Line{}, ended(err)
	}
	if err != nil {
		bad.text, bad.Torn, bad.Err = append(bad.text, text...), true, errTorn
		return Line{}, bad
	}
	l, perr := Parse(text)
	if perr != nil {
		bad.text, bad.Err = append(bad.text, text...), perr
		return Line{}, bad
	}
	l.Number = r.number
	return l, nil
}

func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	return fmt.Errorf("reading log: %w", err)
}
