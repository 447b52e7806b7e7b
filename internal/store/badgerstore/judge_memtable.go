package badgerstore

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
)

// Badger's log of a memory table, as its version 4 writes it, is a header of 20
// bytes and entries:
//
//	meta[1] | user meta[1] | key length | value length | expires | key | value | checksum[4]
//
// with lengths and expiry as varints and a CRC-32C over all before it. Databases
// made before this package had a log of its own depend on it.
const (
	memtableHeader = 20
	maxEntryKey    = 1 << 16
)

// judgeMemtables reads Badger's own logs, and reports whether any has entries.
// Badger cuts a log off at the first entry that does not read; here one that
// valid entries follow is damage.
func judgeMemtables(dir string, names []string) (entries bool, err error) {
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return false, fmt.Errorf("reading %s: %w", name, err)
		}
		if len(data) <= memtableHeader {
			continue
		}
		at := memtableHeader
		for n := memtableEntry(data[at:]); n > 0; n = memtableEntry(data[at:]) {
			at += n
			entries = true
		}
		for later := at + 1; later < len(data); later++ {
			if memtableEntry(data[later:]) > 0 {
				return false, fmt.Errorf("%w: %s does not read at byte %d, and there are valid entries after it", ErrDamaged, name, at)
			}
		}
	}
	return entries, nil
}

// memtableEntry is the length of the valid entry at the beginning of data; 0
// where there is none.
func memtableEntry(data []byte) int {
	if len(data) < 2 {
		return 0
	}
	at := 2
	var lengths [3]uint64
	for i := range lengths {
		v, n := binary.Uvarint(data[at:])
		if n <= 0 {
			return 0
		}
		lengths[i], at = v, at+n
	}
	key, value := lengths[0], lengths[1]
	if key == 0 || key > maxEntryKey || value > uint64(len(data)) || uint64(at)+key+value+crc32.Size > uint64(len(data)) {
		return 0
	}
	end := at + int(key+value)
	if crc32.Checksum(data[:end], castagnoli) != binary.BigEndian.Uint32(data[end:]) {
		return 0
	}
	return end + crc32.Size
}
