package seal

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	secretSize   = 32
	checksumSize = 4

	// textPrefix names kind and version of a key in its text form, so that a secret scanner, and a reader
	// with a wrong file in hand, can tell what it is.
	textPrefix = "sukey1_"

	// Purposes of derivation. Changing one makes everything sealed before unreadable.
	purposeSeal = "step-up seal v1 xchacha20poly1305"
	purposeID   = "step-up key id v1"
)

// ErrKey reports that a text or a file is not a usable key: truncated, mistyped, or something else. What is
// wrapped around it says which; neither ever holds a part of the text.
var ErrKey = errors.New("not a valid key")

// A StoreID names one database. The database carries it and so does each of its keys, so that one put
// beside a stranger is told at the start instead of by unreadable records. It is not secret.
type StoreID [16]byte

func (id StoreID) String() string { return hex.EncodeToString(id[:]) }

// A KeyID names a key: the first four bytes of a hash of its secret. It stands in every envelope and is not
// secret.
type KeyID [4]byte

func (id KeyID) String() string { return hex.EncodeToString(id[:]) }

// A Key is the master secret of one database. It is never used itself, only what is derived from it.
//
// No way of printing, logging or marshalling it shows the secret; [Key.Text] is the one way out. The zero Key
// is no key, and nothing accepts it.
type Key struct {
	// Behind a function, since fmt prints what is in an unexported field of somebody's struct without asking
	// it how: plain fields always, and what a pointer points to for a verb that does not fit, like %s. Of a
	// function it can only print the address.
	m func() *material
}

type material struct {
	secret [secretSize]byte
	store  StoreID
	id     KeyID
}

// GenerateKey makes the first key of a new database, with a new StoreID.
func GenerateKey() Key {
	var store StoreID
	rand.Read(store[:]) // never fails: crypto/rand ends the process instead
	return generate(store)
}

// Successor makes a new key for the same database, for rotation: the primary of a Ring in which k is an
// older key.
func (k Key) Successor() Key { return generate(k.StoreID()) }

func generate(store StoreID) Key {
	var secret [secretSize]byte
	rand.Read(secret[:])
	return newKey(secret, store)
}

func newKey(secret [secretSize]byte, store StoreID) Key {
	m := &material{secret: secret, store: store}
	copy(m.id[:], m.derive(purposeID, len(m.id)))
	return Key{func() *material { return m }}
}

// derive is HKDF-SHA-256 (RFC 5869) with the StoreID as salt and the purpose as info.
func (m *material) derive(purpose string, size int) []byte {
	out, err := hkdf.Key(sha256.New, m.secret[:], m.store[:], purpose, size)
	if err != nil {
		// Only for a size over 8160 bytes, and sizes are constants of this package; or where FIPS mode
		// forbids the call, in which case going on would be wrong too.
		panic("seal: deriving key: " + err.Error())
	}
	return out
}

// IsZero reports whether k is no key at all.
func (k Key) IsZero() bool { return k.m == nil }

// ID names the key.
func (k Key) ID() KeyID {
	if k.IsZero() {
		return KeyID{}
	}
	return k.m().id
}

// StoreID names the database that the key belongs to.
func (k Key) StoreID() StoreID {
	if k.IsZero() {
		return StoreID{}
	}
	return k.m().store
}

// Equal tells in constant time whether both are the same key of the same database.
func (k Key) Equal(other Key) bool {
	if k.IsZero() || other.IsZero() {
		return k.IsZero() && other.IsZero()
	}
	a, b := k.m(), other.m()
	return subtle.ConstantTimeCompare(a.secret[:], b.secret[:]) == 1 && a.store == b.store
}

// Text is the key as it stands in a key file: "sukey1_" and 70 characters of base64url, in which a checksum
// lets ParseKey tell a truncated paste. It holds the secret. The zero Key has an empty text.
//
// Stored form, version 1, before base64url without padding:
//
//	secret[32] | store id[16] | first 4 bytes of SHA-256("sukey1_" | secret | store id)
func (k Key) Text() string {
	if k.IsZero() {
		return ""
	}
	m := k.m()
	raw := make([]byte, 0, secretSize+len(m.store)+checksumSize)
	raw = append(raw, m.secret[:]...)
	raw = append(raw, m.store[:]...)
	raw = append(raw, checksum(raw)...)
	return textPrefix + base64.RawURLEncoding.EncodeToString(raw)
}

func checksum(raw []byte) []byte {
	h := sha256.New()
	h.Write([]byte(textPrefix))
	h.Write(raw)
	return h.Sum(nil)[:checksumSize]
}

// ParseKey reads what Text wrote; white space around it is ignored. Every failure is an ErrKey.
func ParseKey(text string) (Key, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return Key{}, fmt.Errorf("%w: it is empty", ErrKey)
	}
	body, ok := strings.CutPrefix(text, textPrefix)
	if !ok {
		return Key{}, fmt.Errorf("%w: it does not begin with %q", ErrKey, textPrefix)
	}
	const size = secretSize + len(StoreID{}) + checksumSize
	if want := base64.RawURLEncoding.EncodedLen(size); len(body) != want {
		return Key{}, fmt.Errorf("%w: %d characters follow %q where %d should; was it cut off?", ErrKey, len(body), textPrefix, want)
	}
	var raw [size]byte
	// Strict, so that a key has one spelling only. Decode's own error tells a position, no content. Line
	// breaks, which it would skip, make the result too short.
	if n, err := base64.RawURLEncoding.Strict().Decode(raw[:], []byte(body)); err != nil || n != size {
		return Key{}, fmt.Errorf("%w: it holds characters that no key has", ErrKey)
	}
	payload, sum := raw[:size-checksumSize], raw[size-checksumSize:]
	if subtle.ConstantTimeCompare(sum, checksum(payload)) != 1 {
		return Key{}, fmt.Errorf("%w: its checksum is wrong; was it mistyped?", ErrKey)
	}
	if bytes.Equal(payload[:secretSize], make([]byte, secretSize)) {
		return Key{}, fmt.Errorf("%w: its secret is all zeros", ErrKey)
	}
	return newKey([secretSize]byte(payload[:secretSize]), StoreID(payload[secretSize:])), nil
}

// String names the key without its secret.
func (k Key) String() string {
	if k.IsZero() {
		return "seal.Key(none)"
	}
	return "seal.Key(id=" + k.ID().String() + ")"
}

// GoString is String.
func (k Key) GoString() string { return k.String() }

// Format is String for every verb and flag.
func (k Key) Format(f fmt.State, _ rune) { io.WriteString(f, k.String()) }

// MarshalJSON is String: a key that slipped into a config or a log is named there, not shown.
func (k Key) MarshalJSON() ([]byte, error) { return []byte(`"` + k.String() + `"`), nil }

// MarshalText is String, for the marshallers that ask for text.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

var _ fmt.Formatter = Key{}
