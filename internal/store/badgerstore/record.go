package badgerstore

import (
	"encoding/binary"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// appendEntries appends the form that a commit has in the log, for each entry
//
//	deleted[1] | expires[8] | key length[2] | value length[4] | key | value
func appendEntries(payload []byte, entries map[string]*badger.Entry) []byte {
	for _, e := range entries {
		deleted := byte(0)
		if e.Value == nil {
			deleted = 1
		}
		payload = append(payload, deleted)
		payload = binary.BigEndian.AppendUint64(payload, e.ExpiresAt)
		payload = binary.BigEndian.AppendUint16(payload, uint16(len(e.Key)))
		payload = binary.BigEndian.AppendUint32(payload, uint32(len(e.Value)))
		payload = append(payload, e.Key...)
		payload = append(payload, e.Value...)
	}
	return payload
}

const entryHead = 1 + 8 + 2 + 4

// parseEntries reads what appendEntries wrote. The entries share no memory with
// payload.
func parseEntries(payload []byte) (map[string]*badger.Entry, error) {
	entries := make(map[string]*badger.Entry)
	for len(payload) > 0 {
		if len(payload) < entryHead {
			return nil, fmt.Errorf("%w: a record of the log of an unknown form", ErrDamaged)
		}
		keyLen, valueLen := int(binary.BigEndian.Uint16(payload[9:])), int(binary.BigEndian.Uint32(payload[11:]))
		if keyLen == 0 || payload[0] > 1 || len(payload)-entryHead-keyLen < valueLen {
			return nil, fmt.Errorf("%w: a record of the log of an unknown form", ErrDamaged)
		}
		e := &badger.Entry{ExpiresAt: binary.BigEndian.Uint64(payload[1:])}
		rest := append([]byte(nil), payload[entryHead:entryHead+keyLen+valueLen]...)
		e.Key = rest[:keyLen:keyLen]
		if payload[0] == 0 {
			e.Value = rest[keyLen:]
		}
		entries[string(e.Key)] = e
		payload = payload[entryHead+keyLen+valueLen:]
	}
	return entries, nil
}
