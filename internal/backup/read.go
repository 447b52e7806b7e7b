package backup

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// Reader reads a backup. What it returns is not known to be whole, or to be what was
// written, until Next has returned io.EOF.
type Reader struct {
	Head Head

	in   *bufio.Reader
	hash hash.Hash
	sum  Sum
	tag  []byte
	last []byte // key
	err  error  // of the last Next
}

// NewReader reads the head of a backup.
func NewReader(r io.Reader) (*Reader, error) {
	x := &Reader{in: bufio.NewReaderSize(r, 64<<10), hash: sha256.New()}
	begin, err := x.take(len(magic) + 1)
	if err != nil && !errors.Is(err, ErrCut) {
		return nil, err
	}
	switch {
	case err != nil || string(begin[:len(magic)]) != magic:
		return nil, ErrNoBackup
	case begin[len(magic)] != version:
		return nil, ErrNewer
	}
	kind, err := x.take(1)
	if err == nil && kind[0] == kindError {
		return nil, x.givenUp()
	}
	var text []byte
	if err == nil && kind[0] == kindHead {
		text, err = x.text(maxHead)
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &x.Head); err != nil {
		return nil, fmt.Errorf("%w: its head cannot be read", ErrAltered)
	}
	return x, nil
}

// Next returns the next row; io.EOF: there are no more, and all were what was written.
func (x *Reader) Next() (store.Op, error) {
	if x.err != nil {
		return store.Op{}, x.err
	}
	op, err := x.next()
	x.err = err
	return op, err
}

func (x *Reader) next() (op store.Op, err error) {
	kind, err := x.take(1)
	if err != nil {
		return op, err
	}
	switch kind[0] {
	case kindRow:
		return x.row()
	case kindEnd:
		return op, x.end()
	case kindError:
		return op, x.givenUp()
	}
	return op, fmt.Errorf("%w: after row %d", ErrAltered, x.sum.Rows)
}

func (x *Reader) row() (op store.Op, err error) {
	head, err := x.take(2 + 4 + 8)
	if err != nil {
		return op, err
	}
	key, value, expires := int(binary.BigEndian.Uint16(head)), int(binary.BigEndian.Uint32(head[2:])), int64(binary.BigEndian.Uint64(head[6:]))
	if key == 0 || key > store.MaxKey || value > store.MaxValue || expires < 0 {
		return op, fmt.Errorf("%w: row %d has %d and %d bytes", ErrAltered, x.sum.Rows+1, key, value)
	}
	if op.Key, err = x.take(key); err != nil {
		return op, err
	}
	if op.Value, err = x.take(value); err != nil {
		return op, err
	}
	if bytes.Compare(op.Key, x.last) <= 0 {
		return op, fmt.Errorf("%w: row %d is out of order", ErrAltered, x.sum.Rows+1)
	}
	if expires > 0 {
		op.Expires = time.Unix(expires, 0)
	}
	x.last = op.Key
	x.sum.Rows++
	x.sum.Bytes += int64(key + value)
	return op, nil
}

// end returns io.EOF, unless something is not what was written.
func (x *Reader) end() error {
	counts, err := x.take(8 + 8)
	if err != nil {
		return err
	}
	x.sum.Digest = [32]byte(x.hash.Sum(nil))
	digest, err := x.take(len(x.sum.Digest))
	if err != nil {
		return err
	}
	length, err := x.take(2)
	if err != nil {
		return err
	}
	n := int(binary.BigEndian.Uint16(length))
	if n > maxTag {
		return fmt.Errorf("%w: its tag has %d bytes", ErrAltered, n)
	}
	if x.tag, err = x.take(n); err != nil {
		return err
	}
	switch _, err := x.in.ReadByte(); {
	case err == nil:
		return fmt.Errorf("%w: something follows its end", ErrAltered)
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("reading the backup: %w", err)
	case !bytes.Equal(digest, x.sum.Digest[:]):
		return fmt.Errorf("%w: its SHA-256 is not that of what is in it", ErrAltered)
	case binary.BigEndian.Uint64(counts) != uint64(x.sum.Rows), binary.BigEndian.Uint64(counts[8:]) != uint64(x.sum.Bytes):
		return fmt.Errorf("%w: it has %d rows and names another number", ErrAltered, x.sum.Rows)
	}
	return io.EOF
}

// Sum returns what was read so far, and once Next has returned io.EOF the digest of it.
func (x *Reader) Sum() Sum { return x.sum }

func (x *Reader) givenUp() error {
	text, err := x.text(maxError)
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: %s", ErrGivenUp, strings.ToValidUTF8(string(text), "?"))
}

func (x *Reader) text(most int) ([]byte, error) {
	length, err := x.take(4)
	if err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(length)
	if n > uint32(most) {
		return nil, fmt.Errorf("%w: a text of %d bytes", ErrAltered, n)
	}
	return x.take(int(n))
}

// take reads and hashes n bytes, for which room is made once they are there.
func (x *Reader) take(n int) ([]byte, error) {
	b := make([]byte, min(n, 64<<10))
	for got := 0; ; {
		m, err := io.ReadFull(x.in, b[got:])
		got += m
		switch {
		case errors.Is(err, io.EOF) && n > 0, errors.Is(err, io.ErrUnexpectedEOF):
			return nil, ErrCut
		case err != nil && !errors.Is(err, io.EOF):
			return nil, fmt.Errorf("reading the backup: %w", err)
		case got == n:
			x.hash.Write(b)
			return b, nil
		}
		b = append(b, make([]byte, min(n-got, got))...)
	}
}
