// Package wal is a write-ahead log: an append-only sequence of opaque records,
// each durable once it is appended, which can be judged whole before anything
// is made of it.
//
// It is written with write(2) and one sync a record, never through a memory
// map, so that a full or failing disk is an error and not a signal. A record
// names the record before it, so that a missing one is seen, and what ends a
// log is told apart from what damaged it: only the record that was being
// written when the power failed may be incomplete, nothing valid can follow it.
//
// A log is a directory of segments, one file each:
//
//	header   magic[8] | id[16] | previous[8] | checksum[4] | zeros to 64 bytes
//	record   length[4] | checksum[4] | previous[8] | sequence[8] | payload
//	…
//	zeros    space for later records
//
// Numbers are big-endian. The length is that of the payload and at least one;
// checksums are CRC-32C, a record's over the log's id and all of the record but
// the checksum. Sequences grow strictly; previous is the sequence of the record
// before, in the first record of a segment the one that the header names. A
// segment's file is named by that number, in 16 hexadecimal digits and ".log".
package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

const (
	headerSize = 64
	recordHead = 4 + 4 + 8 + 8

	// MaxPayload bounds a record.
	MaxPayload = 4 << 20

	// segmentSize is where a segment ends and the next one begins.
	segmentSize = 8 << 20

	// growth is by how much a segment's file grows, in zeros, so that most
	// records change no metadata of the file and are durable with one sync.
	growth = 512 << 10
)

var (
	magic      = [8]byte{'S', 'T', 'E', 'P', 'W', 'A', 'L', '1'}
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// ErrNoSpace reports that there was no room for a record. Nothing was appended,
// and the log can still be appended to.
var ErrNoSpace = errors.New("no space for the log")

// ErrDamaged reports that a log is not what was written.
var ErrDamaged = errors.New("log is damaged")

// An ID tells the log of one database from those of all others.
type ID [16]byte

// A Log can be appended to. Its methods must not be called concurrently.
type Log struct {
	dir    string
	id     ID
	names  *os.File // the directory, for syncing names
	f      *os.File
	at     int64 // where the next record goes
	size   int64 // of the file
	last   uint64
	sealed []segment // earlier segments, in order
	name   string
	buf    []byte
	failed error
}

// segment is an earlier file of the log, and the last sequence in it.
type segment struct {
	name string
	last uint64
}

// asideSuffix ends the names of segments that were set aside.
const asideSuffix = ".aside"

// Begin begins a new segment after the record previous, and removes the segments
// that are there: all that they hold must be durable elsewhere. Where it is told
// to keep them it sets them aside under other names. It makes the directory if
// it is missing.
func Begin(dir string, id ID, previous uint64, keep bool) (*Log, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the log's directory: %w", err)
	}
	old, err := segmentNames(dir)
	if err != nil {
		return nil, err
	}
	names, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the log's directory: %w", err)
	}
	l := &Log{dir: dir, id: id, names: names, last: previous}
	if keep {
		for _, name := range old {
			if err := os.Rename(filepath.Join(dir, name), filepath.Join(dir, name+asideSuffix)); err != nil {
				return nil, errors.Join(fmt.Errorf("setting aside a segment of the log: %w", err), names.Close())
			}
		}
		old = nil
	}
	if err := l.rotate(); err != nil {
		return nil, errors.Join(err, names.Close())
	}
	for _, name := range old {
		if name == l.name {
			continue // replaced
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			return nil, errors.Join(fmt.Errorf("removing an old segment of the log: %w", err), l.Close())
		}
	}
	return l, nil
}

// Buffer returns an empty slice to append a payload to, for [Log.Append].
func (l *Log) Buffer() []byte {
	if cap(l.buf) < recordHead || cap(l.buf) > MaxPayload {
		l.buf = make([]byte, recordHead, 4<<10)
	}
	return l.buf[recordHead:recordHead]
}

// Append appends a record and makes it durable. The payload is what [Log.Buffer]
// returned, extended. With [ErrNoSpace] nothing was appended. After any other
// error it is not known whether the record will be found, and the log takes no
// more.
func (l *Log) Append(sequence uint64, payload []byte) error {
	if l.failed != nil {
		return l.failed
	}
	if len(payload) == 0 || len(payload) > MaxPayload || sequence <= l.last {
		return fmt.Errorf("appending to the log: record %d of %d bytes after record %d makes no sense", sequence, len(payload), l.last)
	}
	need := int64(recordHead + len(payload))
	if l.at > headerSize && l.at+need > segmentSize {
		if err := l.rotate(); err != nil {
			return err
		}
	}
	if err := l.grow(need); err != nil {
		return err
	}
	record := l.record(payload)
	binary.BigEndian.PutUint32(record, uint32(len(payload)))
	binary.BigEndian.PutUint64(record[8:], l.last)
	binary.BigEndian.PutUint64(record[16:], sequence)
	binary.BigEndian.PutUint32(record[4:], l.id.sum(record))
	_, err := l.f.WriteAt(record, l.at)
	if err == nil {
		err = syncData(l.f)
	}
	if err != nil {
		l.failed = fmt.Errorf("appending to the log: %w", err)
		return l.failed
	}
	l.at += need
	l.last = sequence
	return nil
}

// record is the buffer from its head on, with payload in it.
func (l *Log) record(payload []byte) []byte {
	if cap(l.buf) >= recordHead+len(payload) && &l.buf[:recordHead+1][recordHead] == &payload[0] {
		return l.buf[:recordHead+len(payload)]
	}
	l.buf = append(make([]byte, recordHead, recordHead+cap(payload)), payload...) // it outgrew the buffer
	return l.buf
}

// sum is the checksum of a record: of all but the checksum itself.
func (id ID) sum(record []byte) uint32 {
	sum := crc32.Update(0, castagnoli, id[:])
	sum = crc32.Update(sum, castagnoli, record[:4])
	return crc32.Update(sum, castagnoli, record[8:])
}

// grow makes room for need more bytes in the file.
func (l *Log) grow(need int64) error {
	if l.at+need <= l.size {
		return nil
	}
	size := (l.at + need + growth - 1) / growth * growth
	if _, err := l.f.WriteAt(make([]byte, size-l.size), l.size); err != nil {
		return spaceError("growing the log", err)
	}
	l.size = size
	return nil
}

// rotate begins the next segment. A failure leaves the one before in use.
func (l *Log) rotate() error {
	name := segmentName(l.last)
	path := filepath.Join(l.dir, name)
	fresh := path + ".new"
	f, err := os.OpenFile(fresh, os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	if err != nil {
		return spaceError("making a segment of the log", err)
	}
	head := make([]byte, growth)
	copy(head, magic[:])
	copy(head[8:], l.id[:])
	binary.BigEndian.PutUint64(head[24:], l.last)
	binary.BigEndian.PutUint32(head[32:], crc32.Checksum(head[:32], castagnoli))
	_, err = f.WriteAt(head, 0)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(fresh, path)
	}
	if err == nil {
		err = syncNames(l.names)
	}
	if err != nil {
		os.Remove(fresh)
		return errors.Join(spaceError("making a segment of the log", err), f.Close())
	}
	if l.f != nil {
		l.sealed = append(l.sealed, segment{l.name, l.last})
		l.f.Close() // synced with its last record
	}
	l.f, l.name, l.at, l.size = f, name, headerSize, growth
	return nil
}

// Prune removes the segments whose records are all durable elsewhere: those up to
// the sequence flushed.
func (l *Log) Prune(flushed uint64) error {
	for len(l.sealed) > 0 && l.sealed[0].last <= flushed {
		if err := os.Remove(filepath.Join(l.dir, l.sealed[0].name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("removing a segment of the log: %w", err)
		}
		l.sealed = l.sealed[1:]
	}
	return nil
}

// Sealed is the number of segments before the one that is appended to.
func (l *Log) Sealed() int { return len(l.sealed) }

// Close closes the log. What was appended is durable already.
func (l *Log) Close() error {
	l.failed = os.ErrClosed
	return errors.Join(l.f.Close(), l.names.Close())
}

func segmentName(previous uint64) string { return fmt.Sprintf("%016x.log", previous) }

// segmentNames lists the segments in dir in their order; none where there is no
// such directory. What a killed rotate left is none.
func segmentNames(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the log's directory: %w", err)
	}
	var names []string
	for _, e := range entries {
		var previous uint64
		if n, err := fmt.Sscanf(e.Name(), "%016x.log", &previous); err == nil && n == 1 && e.Name() == segmentName(previous) {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

func spaceError(doing string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || isQuota(err) || errors.Is(err, io.ErrShortWrite) {
		return fmt.Errorf("%w: %s: %w", ErrNoSpace, doing, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}
