package badgerstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"github.com/dgraph-io/badger/v4"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// The stored form, version 1. Numbers are big-endian.
//
//	"r" key              entry: form[1] = 1 | kind[1] | version[8] | checksum[4] | rest
//	                     kind 0: rest is the value
//	                     kind 1: rest is blob[16] | size[4] | checksum[4] of the value, which is in chunks
//	"c" blob index[2]    chunk: chunkSize bytes of a large value, the last one fewer
//	"o" blob             owner of a blob: chunks[2] | key, for finding blobs that nothing refers to
//	"s"                  sequence: form[1] = 2 | the last version given out[8], written with every commit
//	"i"                  birth: see there
//
// Form 2 of the sequence says that there is a log of ours; without it, in 8 bytes, there was none. Versions
// before refuse a database with it, rather than go on without what is in the log.
//
// Checksums are CRC-32C. An entry's is over its key, and its row without the checksum. Badger has checksums
// too, but what fails one is absent to its readers, and dropped by its compactions; to ours it is an error.
const (
	rowForm = 1

	kindInline = 0
	kindBlob   = 1

	rowPrefix = 'r'

	sumOffset  = 1 + 1 + 8
	headerSize = sumOffset + 4
	blobRest   = len(blobID{}) + 4 + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var sequenceKey = []byte("s")

// A blobID names the chunks of one large value. It is random and never used again.
type blobID [16]byte

// A row is the stored form of an entry, decoded but for its value.
type row struct {
	version store.Version
	kind    byte
	value   []byte // kindInline; shares memory with what was decoded
	blob    blobID // kindBlob
	size    int    // kindBlob
	sum     uint32 // kindBlob: of the value

	expiresAt uint64 // as in change, where it was read from Badger
}

func rowKey(key []byte) []byte {
	return append(append(make([]byte, 0, 1+len(key)), rowPrefix), key...)
}

func chunkKey(id blobID, index int) []byte {
	k := append(append(make([]byte, 0, 1+len(id)+2), 'c'), id[:]...)
	return binary.BigEndian.AppendUint16(k, uint16(index))
}

func ownerKey(id blobID) []byte {
	return append(append(make([]byte, 0, 1+len(id)), 'o'), id[:]...)
}

// inlineRow is an entry with its value. It is complete once finishRow gave it a version.
func inlineRow(value []byte) []byte {
	r := make([]byte, headerSize, headerSize+len(value))
	r[0], r[1] = rowForm, kindInline
	return append(r, value...)
}

// blobRow is an entry whose value is in chunks. It is complete once finishRow gave it a version.
func blobRow(id blobID, value []byte) []byte {
	r := make([]byte, headerSize, headerSize+blobRest)
	r[0], r[1] = rowForm, kindBlob
	r = append(r, id[:]...)
	r = binary.BigEndian.AppendUint32(r, uint32(len(value)))
	return binary.BigEndian.AppendUint32(r, crc32.Checksum(value, castagnoli))
}

// finishRow puts the version and the checksum into a row for Badger's key.
func finishRow(key, encoded []byte, v store.Version) {
	binary.BigEndian.PutUint64(encoded[2:sumOffset], uint64(v))
	binary.BigEndian.PutUint32(encoded[sumOffset:headerSize], rowSum(key, encoded))
}

func rowSum(key, encoded []byte) uint32 {
	sum := crc32.Update(0, castagnoli, key)
	sum = crc32.Update(sum, castagnoli, encoded[:sumOffset])
	return crc32.Update(sum, castagnoli, encoded[headerSize:])
}

// decodeRow reads the row under Badger's key.
func decodeRow(key, encoded []byte) (row, error) {
	if len(encoded) < headerSize || encoded[0] != rowForm {
		return row{}, fmt.Errorf("%w: entry of an unknown form", ErrDamaged)
	}
	if binary.BigEndian.Uint32(encoded[sumOffset:headerSize]) != rowSum(key, encoded) {
		return row{}, fmt.Errorf("%w: entry with a wrong checksum", ErrDamaged)
	}
	r := row{kind: encoded[1], version: store.Version(binary.BigEndian.Uint64(encoded[2:sumOffset]))}
	rest := encoded[headerSize:]
	switch {
	case r.kind == kindInline:
		r.value = rest
	case r.kind == kindBlob && len(rest) == blobRest:
		r.blob = blobID(rest)
		r.size = int(binary.BigEndian.Uint32(rest[len(r.blob):]))
		r.sum = binary.BigEndian.Uint32(rest[len(r.blob)+4:])
		if r.size > store.MaxValue {
			return row{}, fmt.Errorf("%w: entry over the limit", ErrDamaged)
		}
	default:
		return row{}, fmt.Errorf("%w: entry of an unknown kind", ErrDamaged)
	}
	return r, nil
}

func encodeOwner(chunks int, key []byte) []byte {
	return append(binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(key)), uint16(chunks)), key...)
}

func decodeOwner(encoded []byte) (chunks int, key []byte, err error) {
	if len(encoded) < 3 {
		return 0, nil, fmt.Errorf("%w: owner of an unknown form", ErrDamaged)
	}
	return int(binary.BigEndian.Uint16(encoded)), encoded[2:], nil
}

const (
	sequenceForm = 2
	sequenceRow  = 1 + 8
)

func encodeSequence(ts uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{sequenceForm}, ts)
}

func readSequence(txn *badger.Txn) (uint64, error) {
	encoded, err := get(txn, sequenceKey)
	switch {
	case errors.Is(err, badger.ErrKeyNotFound):
		return 0, nil
	case err != nil:
		return 0, err
	case len(encoded) == 8: // made before there was a log
		return binary.BigEndian.Uint64(encoded), nil
	case len(encoded) != sequenceRow || encoded[0] != sequenceForm:
		return 0, fmt.Errorf("%w: sequence of an unknown form", ErrDamaged)
	}
	return binary.BigEndian.Uint64(encoded[1:]), nil
}

// get reads one of Badger's entries. The slice is the caller's.
func get(txn *badger.Txn, key []byte) ([]byte, error) {
	item, err := getItem(txn, key)
	if err != nil {
		return nil, err
	}
	return item.ValueCopy(nil)
}

func getItem(txn *badger.Txn, key []byte) (*badger.Item, error) {
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, err
	}
	if err != nil {
		// Badger puts the key in the text, and errors end up in logs.
		return nil, errors.New(strings.ReplaceAll(err.Error(), strconv.Quote(string(key)), "the key"))
	}
	return item, nil
}
