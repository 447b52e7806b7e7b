package wal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
)

// Contents is what a log was found to hold.
type Contents struct {
	// Found reports whether there is a log at all.
	Found bool
	ID    ID
	// Start is the sequence after which the log begins, Last its last one.
	Start, Last uint64
	// Torn reports whether the log ends in something that is no record: one
	// that was being written, or that was damaged since. TornAt is the sequence
	// that it names, which may be damaged itself. Anyone who knows that it was
	// acknowledged can tell.
	Torn   bool
	TornAt uint64
}

// Read reads the log in dir without changing it, and calls each, where it is not
// nil, with every record in order. The payload is good until each returns. A log
// that is not what was written is an [ErrDamaged] that names the file.
func Read(dir string, each func(sequence uint64, payload []byte) error) (Contents, error) {
	names, err := segmentNames(dir)
	if err != nil {
		return Contents{}, err
	}
	var c Contents
	for i, name := range names {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return Contents{}, fmt.Errorf("reading the log: %w", err)
		}
		if err := c.segment(name, data, i == len(names)-1, each); err != nil {
			return Contents{}, err
		}
	}
	return c, nil
}

func damaged(name, format string, args ...any) error {
	return fmt.Errorf("%w: %s: %s", ErrDamaged, name, fmt.Sprintf(format, args...))
}

// segment reads one segment, which must go on where the one before ended.
func (c *Contents) segment(name string, data []byte, final bool, each func(uint64, []byte) error) error {
	if len(data) < headerSize || [8]byte(data) != magic || binary.BigEndian.Uint32(data[32:]) != crc32.Checksum(data[:32], castagnoli) ||
		!isZero(data[36:headerSize]) {
		return damaged(name, "it has no valid header")
	}
	id, previous := ID(data[8:24]), binary.BigEndian.Uint64(data[24:])
	switch {
	case name != segmentName(previous):
		return damaged(name, "it belongs under another name")
	case !c.Found:
		*c = Contents{Found: true, ID: id, Start: previous, Last: previous}
	case id != c.ID:
		return damaged(name, "it belongs to another database")
	case previous != c.Last:
		return damaged(name, "it goes on after record %d, and the segment before it ends with %d", previous, c.Last)
	}
	at := headerSize
	for {
		sequence, payload, ok := parse(id, data[at:], c.Last)
		if !ok {
			break
		}
		if each != nil {
			if err := each(sequence, payload); err != nil {
				return err
			}
		}
		c.Last = sequence
		at += recordHead + len(payload)
	}
	c.Torn = !isZero(data[at:])
	if !c.Torn || !final {
		return nil // a later segment tells where this one ends
	}
	if len(data)-at >= recordHead {
		c.TornAt = binary.BigEndian.Uint64(data[at+16:])
	}
	return c.tail(name, data[at:])
}

// tail tells a record that was being written when the power failed from damage:
// nothing that is valid can come after the former, and only zeros once it ends.
func (c *Contents) tail(name string, rest []byte) error {
	for at := 1; at+recordHead < len(rest); at++ {
		// Most of the offsets are told by the length, without a checksum.
		if _, _, ok := parseAny(c.ID, rest[at:]); ok {
			return damaged(name, "what follows record %d does not read, and there are valid records after it", c.Last)
		}
	}
	if end := recordHead + MaxPayload; len(rest) > end && !isZero(rest[end:]) {
		return damaged(name, "what follows record %d does not read, and is longer than a record", c.Last)
	}
	return nil
}

// parse reads the record at the beginning of data, which must follow last.
func parse(id ID, data []byte, last uint64) (sequence uint64, payload []byte, ok bool) {
	previous, sequence, payload, ok := record(id, data)
	return sequence, payload, ok && previous == last
}

func parseAny(id ID, data []byte) (sequence uint64, payload []byte, ok bool) {
	_, sequence, payload, ok = record(id, data)
	return sequence, payload, ok
}

func record(id ID, data []byte) (previous, sequence uint64, payload []byte, ok bool) {
	if len(data) < recordHead {
		return 0, 0, nil, false
	}
	length := binary.BigEndian.Uint32(data)
	if length == 0 || length > MaxPayload || int(length) > len(data)-recordHead {
		return 0, 0, nil, false
	}
	previous, sequence = binary.BigEndian.Uint64(data[8:]), binary.BigEndian.Uint64(data[16:])
	if sequence <= previous {
		return 0, 0, nil, false
	}
	data = data[:recordHead+int(length)]
	if binary.BigEndian.Uint32(data[4:]) != id.sum(data) {
		return 0, 0, nil, false
	}
	return previous, sequence, data[recordHead:], true
}

var zeros [4096]byte

func isZero(data []byte) bool {
	for len(data) > len(zeros) {
		if !bytes.Equal(data[:len(zeros)], zeros[:]) {
			return false
		}
		data = data[len(zeros):]
	}
	return bytes.Equal(data, zeros[:len(data)])
}
