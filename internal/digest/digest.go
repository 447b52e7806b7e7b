// Package digest writes texts into a hash so that no two lists of texts are
// written alike.
package digest

import (
	"encoding/binary"
	"hash"
	"io"
)

// Write writes a list of texts: how many there are, and each with its length
// before it. What several calls write is as unambiguous as what each does.
func Write(h hash.Hash, texts ...string) {
	var n [8]byte
	number := func(i int) {
		binary.BigEndian.PutUint64(n[:], uint64(i))
		h.Write(n[:])
	}
	number(len(texts))
	for _, t := range texts {
		number(len(t))
		io.WriteString(h, t)
	}
}
