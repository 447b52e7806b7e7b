package badgerstore

import (
	"errors"
	"fmt"
	"io"
)

// The lock's file says whether the directory is in use, and which file it is: a copy of
// it is another one.
//
//	"open  " | "closed" | " " | number of the file in its file system, 20 digits | newline
//
// So a copy that was made while a process used the directory, or after one was killed,
// is told from the directory itself. It may lack what was acknowledged, and its mark may
// have been copied with it.
const (
	inUse     = "open  "
	closed    = "closed"
	useLength = len(inUse) + 1 + 20 + 1
)

func useOf(state string, number uint64) string { return fmt.Sprintf("%s %020d\n", state, number) }

// isCopy reports whether the directory is a copy of one that was in use. The lock must
// be held.
func (d *directory) isCopy() (bool, error) {
	number, ok := fileNumber(d.held)
	if !ok {
		return false, nil
	}
	var b [useLength]byte
	n, err := d.held.ReadAt(b[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("reading the lock of the database directory: %w", err)
	}
	text := string(b[:n])
	return n == useLength && text[:len(inUse)] == inUse && text != useOf(inUse, number), nil
}

// note says in the lock's file that the directory is in use, or closed.
func (d *directory) note(state string) error {
	number, ok := fileNumber(d.held)
	if !ok {
		return nil
	}
	_, err := d.held.WriteAt([]byte(useOf(state, number)), 0)
	if err == nil {
		err = d.held.Sync()
	}
	if err != nil {
		return fmt.Errorf("writing the lock of the database directory: %w", err)
	}
	return nil
}
