package etcd

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/internal/store/remote"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// layout is where things are under the prefix P:
//
//	P k/KEY                    an entry: 0 and its value, or 1, an id and the size of a value in pieces
//	P c/LENGTH KEY ID NUMBER   a piece of the value of KEY that has the id
//	P n/RUN                    written by each change of the process that is called RUN
//	P w/meta                   the generation
//	P w/told                   names that were told; the watch has each state of it
//	P w/time/RUN               the time of the process
//
// What stands under w/ is watched.
type layout struct{ prefix string }

func layoutOf(prefix string) layout { return layout{PrefixOf(prefix)} }

// PrefixOf returns the prefix of [Options] as it stands before the keys: with a slash
// at its end, so that no other one begins with it.
func PrefixOf(prefix string) string {
	if prefix == "" {
		prefix = DefaultPrefix
	}
	return strings.TrimSuffix(prefix, "/") + "/"
}

func (l layout) entry(key []byte) string  { return l.prefix + "k/" + string(key) }
func (l layout) run(name string) string   { return l.prefix + "n/" + name }
func (l layout) watched() string          { return l.prefix + "w/" }
func (l layout) meta() string             { return l.prefix + "w/meta" }
func (l layout) told() string             { return l.prefix + "w/told" }
func (l layout) times() string            { return l.prefix + "w/time/" }
func (l layout) time(run string) string   { return l.times() + run }
func (l layout) key(entry []byte) []byte  { return entry[len(l.prefix)+len("k/"):] }
func (l layout) pieces() string           { return l.prefix + "c/" }
func (l layout) end(prefix string) string { return string(remote.PrefixEnd([]byte(prefix))) }

// pieceID tells the pieces of one value from those of all others.
type pieceID [16]byte

// pieceOf is what the keys of the pieces of a value begin with.
func (l layout) pieceOf(key []byte, id pieceID) string {
	b := binary.AppendUvarint([]byte(l.pieces()), uint64(len(key)))
	return string(append(append(b, key...), id[:]...))
}

// owner returns whose value a piece is of.
func (l layout) owner(piece []byte) (key []byte, id pieceID, ok bool) {
	rest, ok := bytes.CutPrefix(piece, []byte(l.pieces()))
	n, used := binary.Uvarint(rest)
	if !ok || used <= 0 || n > store.MaxKey || len(rest) != used+int(n)+len(id)+1 {
		return nil, id, false
	}
	rest = rest[used:]
	copy(id[:], rest[n:])
	return rest[:n:n], id, true
}

// The first byte of an entry.
const (
	inline = iota
	inPieces
)

func encodeInline(value []byte) string { return "\x00" + string(value) }

func encodePointer(id pieceID, size int) string {
	return string(binary.BigEndian.AppendUint32(append([]byte{inPieces}, id[:]...), uint32(size)))
}

// decode returns an entry's value, or where its pieces are.
func decode(b []byte) (value []byte, id pieceID, size int, err error) {
	switch {
	case len(b) >= 1 && b[0] == inline:
		return append([]byte{}, b[1:]...), id, 0, nil
	case len(b) == 1+len(id)+4 && b[0] == inPieces:
		copy(id[:], b[1:])
		size = int(binary.BigEndian.Uint32(b[1+len(id):]))
		if size <= store.MaxValue {
			return nil, id, size, nil
		}
	}
	return nil, id, 0, fmt.Errorf("%w: an entry of %d bytes is not in the form of the gateway", store.ErrDamaged, len(b))
}
