// Package mark keeps, outside a database, how far the database has come: the
// sequence of its last acknowledged change. A database that is behind its mark
// is an older copy of itself.
//
// A mark is written after the change was made durable, and is not synced for
// each: it may be behind by what the operating system had not yet written when
// the power failed, and is exact after a mere kill.
//
// The file has two slots, written in turn, at the offsets 0 and 4096; the valid
// one with the higher count is the mark:
//
//	"SUM" 1 | database[16] | sequence[8] | time[8] | previous start[8] | start[8] | count[8] | checksum[4]
//
// Numbers are big-endian, the time is in nanoseconds since 1970, the checksum is
// CRC-32C.
package mark

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"time"
)

const (
	slotSize   = 64
	slotOffset = 4096
)

var (
	magic      = [4]byte{'S', 'U', 'M', 1}
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// A Start is the random id of one opening of a database.
type Start [8]byte

// A Mark is how far a database has come.
type Mark struct {
	Database [16]byte
	Sequence uint64
	Time     time.Time
	// Previous and Start are the ids of the last two openings. The database gets
	// Start after the mark did, so it has one of the two.
	Previous, Start Start
}

// A File holds one mark. Write must not be called concurrently with itself;
// Sync may be.
type File struct {
	f     *os.File
	count uint64
}

// Read returns the mark in the file at path. found is false where there is no
// such file, or no valid mark in it.
func Read(path string) (m Mark, found bool, err error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return Mark{}, false, nil
	}
	if err != nil {
		return Mark{}, false, fmt.Errorf("opening the mark: %w", err)
	}
	defer f.Close()
	m, count, err := read(f)
	return m, count > 0, err
}

// Open opens the file at path for writing, making it and its directory where
// they are missing.
func Open(path string) (*File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("making the mark's directory: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the mark: %w", err)
	}
	file := &File{f: f}
	if _, file.count, err = read(f); err == nil {
		err = file.fill()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return file, nil
}

// fill makes the file as long as it will ever be, so that a full disk refuses
// to make a mark and not to write it.
func (f *File) fill() error {
	info, err := f.f.Stat()
	if err != nil {
		return fmt.Errorf("examining the mark: %w", err)
	}
	if missing := slotOffset + slotSize - info.Size(); missing > 0 {
		if _, err := f.f.WriteAt(make([]byte, missing), info.Size()); err != nil {
			return fmt.Errorf("making the mark: %w", err)
		}
	}
	return f.Sync()
}

// read returns the newer of the two slots, and its count; 0 where none is valid.
func read(f *os.File) (m Mark, count uint64, err error) {
	for slot := range int64(2) {
		var b [slotSize]byte
		if _, err := f.ReadAt(b[:], slot*slotOffset); err != nil && !errors.Is(err, io.EOF) {
			return Mark{}, 0, fmt.Errorf("reading the mark: %w", err)
		}
		if n := binary.BigEndian.Uint64(b[52:]); n > count && [4]byte(b[:]) == magic && binary.BigEndian.Uint32(b[60:]) == crc32.Checksum(b[:60], castagnoli) {
			count = n
			m = Mark{
				Database: [16]byte(b[4:]), Sequence: binary.BigEndian.Uint64(b[20:]), Time: time.Unix(0, int64(binary.BigEndian.Uint64(b[28:]))),
				Previous: Start(b[36:]), Start: Start(b[44:]),
			}
		}
	}
	return m, count, nil
}

// Write writes the mark, without waiting for the disk.
func (f *File) Write(m Mark) error {
	f.count++
	var b [slotSize]byte
	copy(b[:], magic[:])
	copy(b[4:], m.Database[:])
	binary.BigEndian.PutUint64(b[20:], m.Sequence)
	binary.BigEndian.PutUint64(b[28:], uint64(m.Time.UnixNano()))
	copy(b[36:], m.Previous[:])
	copy(b[44:], m.Start[:])
	binary.BigEndian.PutUint64(b[52:], f.count)
	binary.BigEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	if _, err := f.f.WriteAt(b[:], int64(f.count%2)*slotOffset); err != nil {
		return fmt.Errorf("writing the mark: %w", err)
	}
	return nil
}

// Sync makes the mark durable.
func (f *File) Sync() error {
	if err := f.f.Sync(); err != nil {
		return fmt.Errorf("syncing the mark: %w", err)
	}
	return nil
}

// Close closes the file.
func (f *File) Close() error { return f.f.Close() }
