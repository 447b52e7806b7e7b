package procstore

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A frame is what the two processes exchange, in both directions:
//
//	uint32 length of what follows, big-endian
//	uint8  kind
//	uint64 id of the call, zero where the frame belongs to none
//	...    payload
const (
	frameHead = 4 + 1 + 8

	// maxFrame is one Apply of the largest number of the largest ops, which
	// the contract allows, and one List of as much. A longer frame is
	// something that is no frame.
	maxFrame = 1100 << 20

	// eager is how much of a payload is allocated before it has come: what is
	// no frame must not cost a gigabyte.
	eager = 1 << 20
)

type kind uint8

// What the gateway sends.
const (
	kindHello    kind = iota + 1 // JSON of hello; the first frame
	kindGet                      // a key
	kindList                     // see appendList
	kindApply                    // see appendApply
	kindAccept                   // AcceptFence
	kindCancel                   // nobody waits any longer for the call with this id
	kindClose                    // close the database and end
	kindDump                     // see dumpFrame
	kindSnapshot                 // begin the snapshot of that name
	kindRelease                  // end the snapshot of that name
)

// What the child sends.
const (
	kindOpened kind = iota + 64 // JSON of opened: the database is in use
	kindFailed                  // an error: it is not, or no longer; the child ends
	kindStatus                  // JSON of status: something about it changed
	kindAnswer                  // to a call, see appendResult
	kindClosed                  // an error or nothing: it is closed; the child ends
)

var errNonsense = errors.New("the two processes of the database do not understand each other")

// newFrame begins a frame whose payload will have about size bytes.
func newFrame(k kind, id uint64, size int) []byte {
	b := make([]byte, frameHead, frameHead+size)
	b[4] = byte(k)
	binary.BigEndian.PutUint64(b[5:], id)
	return b
}

func setID(frame []byte, id uint64) { binary.BigEndian.PutUint64(frame[5:], id) }

// finish writes the length of a frame, and returns an error if it is over the
// limit.
func finish(frame []byte) ([]byte, error) {
	n := len(frame) - 4
	if n > maxFrame {
		return nil, fmt.Errorf("%d bytes in one call", n)
	}
	binary.BigEndian.PutUint32(frame, uint32(n))
	return frame, nil
}

// readFrame reads one frame. The payload belongs to the caller.
func readFrame(r io.Reader) (k kind, id uint64, payload []byte, err error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, 0, nil, err
	}
	n := int64(binary.BigEndian.Uint32(head[:])) - (frameHead - 4)
	if n < 0 || n > maxFrame {
		return 0, 0, nil, fmt.Errorf("%w: a frame of %d bytes", errNonsense, n)
	}
	payload = make([]byte, min(n, eager))
	for got := int64(0); got < n; {
		if got == int64(len(payload)) {
			grown := make([]byte, min(n, 4*got))
			copy(grown, payload)
			payload = grown
		}
		m, err := io.ReadFull(r, payload[got:])
		if err != nil {
			return 0, 0, nil, fmt.Errorf("reading a frame: %w", io.ErrUnexpectedEOF)
		}
		got += int64(m)
	}
	return kind(head[4]), binary.BigEndian.Uint64(head[5:]), payload, nil
}

// hasFrame reports whether a whole frame is in the buffer.
func hasFrame(r *bufio.Reader) bool {
	n := r.Buffered()
	if n < 4 {
		return false
	}
	head, err := r.Peek(4)
	return err == nil && uint64(n) >= 4+uint64(binary.BigEndian.Uint32(head))
}

// A parser takes fields off a payload. After the first that is not there it
// returns zero values and has failed.
type parser struct {
	rest   []byte
	failed bool
}

// take returns the next n bytes, which cannot grow into what follows them.
func (p *parser) take(n int) []byte {
	if p.failed || n < 0 || n > len(p.rest) {
		p.failed = true
		return nil
	}
	b := p.rest[:n:n]
	p.rest = p.rest[n:]
	return b
}

func (p *parser) uint8() uint8 {
	if b := p.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (p *parser) uint16() uint16 {
	if b := p.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (p *parser) uint32() uint32 {
	if b := p.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (p *parser) uint64() uint64 {
	if b := p.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// short takes bytes with their length in 16 bits before them.
func (p *parser) short() []byte { return p.take(int(p.uint16())) }

// long takes bytes with their length in 32 bits before them.
func (p *parser) long() []byte { return p.take(int(p.uint32())) }

// end returns an error unless everything was there and nothing is left.
func (p *parser) end() error {
	if p.failed || len(p.rest) > 0 {
		return errNonsense
	}
	return nil
}

func appendShort(b, s []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
	return append(b, s...)
}
