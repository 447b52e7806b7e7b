package audit

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
)

// headFile keeps the head of a chain outside of the log, so that a log whose end was
// cut off is noticed. It is written after each line, and synced after the log is.
//
// The file has two slots of slotSize bytes, written in turn: "CHAIN:NUMBER:HASH CRC",
// CRC being the CRC-32C of what stands before it in eight hexadecimal digits, and
// blanks up to the end of the line. The valid slot with the higher number counts.
type headFile struct {
	f    *os.File
	next int64
}

const slotSize = 128

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// openHead opens the file, making it and its directory if they are missing, and locks
// it. The head is zero if none is kept.
func openHead(path string) (*headFile, Head, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, Head{}, fmt.Errorf("making the directory of the audit log's head: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, Head{}, fmt.Errorf("opening the audit log's head: %w", err)
	}
	h := &headFile{f: f}
	kept, err := h.open()
	if err != nil {
		f.Close()
		return nil, Head{}, fmt.Errorf("opening the audit log's head %s: %w", path, err)
	}
	return h, kept, nil
}

func (h *headFile) open() (kept Head, err error) {
	if err := lockFile(h.f); err != nil {
		return kept, err
	}
	text, err := io.ReadAll(io.LimitReader(h.f, 2*slotSize+1))
	if err != nil {
		return kept, err
	}
	if len(text) > 2*slotSize || len(text) < 2*slotSize && len(bytes.TrimSpace(text)) > 0 {
		return kept, errHeadFile
	}
	if len(text) < 2*slotSize { // as long as it will ever be, so that a full disk refuses to make it and not to write it
		if _, err := h.f.WriteAt(bytes.Repeat([]byte(" "), 2*slotSize-len(text)), int64(len(text))); err != nil {
			return kept, err
		}
		return kept, h.f.Sync()
	}
	for slot := range 2 {
		if found, ok := readSlot(text[slot*slotSize:][:slotSize]); ok && found.Seq >= kept.Seq {
			kept, h.next = found, int64(1-slot)
		}
	}
	return kept, nil
}

var errHeadFile = errors.New("the file holds something else: name another one by `head`")

func readSlot(slot []byte) (Head, bool) {
	text, sum, found := bytes.Cut(bytes.TrimRight(slot, " \n"), []byte(" "))
	if !found || string(sum) != checksum(text) {
		return Head{}, false
	}
	h, err := ParseHead(string(text))
	return h, err == nil
}

func checksum(text []byte) string { return fmt.Sprintf("%08x", crc32.Checksum(text, castagnoli)) }

// write keeps a head, without waiting for the disk.
func (h *headFile) write(head Head) error {
	text := []byte(head.String())
	text = fmt.Appendf(text, " %s", checksum(text))
	slot := append(text, bytes.Repeat([]byte(" "), slotSize-1-len(text))...)
	if _, err := h.f.WriteAt(append(slot, '\n'), h.next*slotSize); err != nil {
		return fmt.Errorf("writing the audit log's head: %w", err)
	}
	h.next = 1 - h.next
	return nil
}
