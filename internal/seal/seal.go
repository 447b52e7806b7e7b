// Package seal keeps secrets at rest: it seals records with an AEAD under keys that live outside the
// database, and reads and writes those keys.
//
// It promises that an envelope opens only under the key and the associated data it was sealed with, whole
// and unchanged. Callers pass as associated data the full key of the record that the envelope is stored
// under; then anyone who can write to the database, but has no key, can neither read a secret, nor make one,
// nor move one from one row to another. Putting an older envelope of the same row back is not detected.
//
//	key, err := seal.LoadFile("/etc/step_up/key")
//	ring, err := seal.NewRing(key)
//	envelope := ring.Seal(secret, recordKey)
//	secret, err := ring.Open(envelope, recordKey)
//
// Rotation is a new primary key: new envelopes are sealed under it, and those of older keys of the ring still
// open. [Ring.IsCurrent] tells which ones are worth sealing again.
//
// The package hides lengths no more than a cipher does, keeps no counters, and does not wipe memory.
package seal

import (
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/chacha20poly1305"
)

// The stored form of an envelope, version 1, all of it but the ciphertext in the clear:
//
//	version[1] = 1 | key id[4] | nonce[24] | XChaCha20-Poly1305 ciphertext and tag[16]
//
// Nonces are random: with 24 bytes a key may seal 2^80 records before a repetition is worth a thought.
// Version and key id are not in the associated data. They choose the key, so a changed one fails to open.
const (
	envelopeVersion = 1
	headerSize      = 1 + len(KeyID{})
	nonceSize       = chacha20poly1305.NonceSizeX

	// Overhead is how many bytes an envelope is longer than its plaintext.
	Overhead = headerSize + nonceSize + chacha20poly1305.Overhead
)

var (
	// ErrUnknownKey reports that an envelope names a key that is not in the ring: it was retired too early, or
	// the database belongs to another key.
	ErrUnknownKey = errors.New("sealed with a key that is not configured")

	// ErrOpen reports that an envelope is truncated, altered, of another version, or stands where it was not
	// sealed for. Which of these is not told apart.
	ErrOpen = errors.New("sealed record does not open")

	// ErrRing reports that keys cannot be used together: one is missing, given twice, or of another database.
	ErrRing = errors.New("keys do not fit together")
)

// A Ring seals with one primary key and opens with that and any number of older ones. It is immutable, and
// safe for concurrent use.
type Ring struct {
	store   StoreID
	primary KeyID
	aeads   func() map[KeyID]cipher.AEAD // a function for the reason that Key.m is one
}

// NewRing makes a ring. All keys must belong to the same database, and no two may be the same; else ErrRing.
func NewRing(primary Key, older ...Key) (*Ring, error) {
	aeads := make(map[KeyID]cipher.AEAD, 1+len(older))
	r := &Ring{store: primary.StoreID(), primary: primary.ID(), aeads: func() map[KeyID]cipher.AEAD { return aeads }}
	for _, k := range append([]Key{primary}, older...) {
		if k.IsZero() {
			return nil, fmt.Errorf("%w: one is missing", ErrRing)
		}
		if k.StoreID() != r.store {
			return nil, fmt.Errorf("%w: %s belongs to database %s, %s to database %s", ErrRing, primary, r.store, k, k.StoreID())
		}
		if _, ok := aeads[k.ID()]; ok {
			return nil, fmt.Errorf("%w: %s is given twice", ErrRing, k)
		}
		aead, err := chacha20poly1305.NewX(k.m().derive(purposeSeal, chacha20poly1305.KeySize))
		if err != nil {
			return nil, fmt.Errorf("preparing %s: %w", k, err)
		}
		aeads[k.ID()] = aead
	}
	return r, nil
}

// StoreID names the database that the ring's keys belong to.
func (r *Ring) StoreID() StoreID { return r.store }

// PrimaryID names the key that Seal uses.
func (r *Ring) PrimaryID() KeyID { return r.primary }

// Seal makes an envelope of plaintext, Overhead bytes longer, that opens only together with the same aad.
func (r *Ring) Seal(plaintext, aad []byte) []byte {
	out := make([]byte, headerSize+nonceSize, Overhead+len(plaintext))
	out[0] = envelopeVersion
	copy(out[1:], r.primary[:])
	nonce := out[headerSize:]
	rand.Read(nonce) // never fails: crypto/rand ends the process instead
	return r.aeads()[r.primary].Seal(out, nonce, plaintext, aad)
}

// Front is how many bytes of an envelope lie before its ciphertext.
const Front = headerSize + nonceSize

// SealInPlace is Seal of what is in buf behind its first Front bytes. The envelope takes the place of buf, and no
// copy is made where the capacity of buf has room for Overhead-Front bytes more.
func (r *Ring) SealInPlace(buf, aad []byte) []byte {
	buf[0] = envelopeVersion
	copy(buf[1:], r.primary[:])
	nonce := buf[headerSize:Front]
	rand.Read(nonce) // never fails: crypto/rand ends the process instead
	return r.aeads()[r.primary].Seal(buf[:Front], nonce, buf[Front:], aad)
}

// OpenInPlace is Open, but what was sealed takes the place of the envelope. After an error the envelope is lost.
func (r *Ring) OpenInPlace(envelope, aad []byte) ([]byte, error) {
	if len(envelope) < Overhead {
		return nil, ErrOpen
	}
	return r.open(envelope[Front:Front], envelope, aad)
}

// Open returns what was sealed. The errors are ErrUnknownKey and ErrOpen; neither is to be taken for an
// absent record.
func (r *Ring) Open(envelope, aad []byte) ([]byte, error) { return r.open(nil, envelope, aad) }

func (r *Ring) open(dst, envelope, aad []byte) ([]byte, error) {
	if len(envelope) < Overhead || envelope[0] != envelopeVersion {
		return nil, ErrOpen
	}
	aead, ok := r.aeads()[KeyID(envelope[1:headerSize])]
	if !ok {
		return nil, ErrUnknownKey
	}
	plaintext, err := aead.Open(dst, envelope[headerSize:Front], envelope[Front:], aad)
	if err != nil {
		return nil, ErrOpen
	}
	return plaintext, nil
}

// IsCurrent reports whether envelope names the primary key; if not, it is worth sealing again. It does not
// report whether the envelope opens.
func (r *Ring) IsCurrent(envelope []byte) bool {
	return len(envelope) >= Overhead && envelope[0] == envelopeVersion && KeyID(envelope[1:headerSize]) == r.primary
}

// String names the ring's keys without their secrets.
func (r *Ring) String() string {
	return fmt.Sprintf("seal.Ring(primary=%s, keys=%d)", r.primary, len(r.aeads()))
}

// Format is String for every verb and flag.
func (r *Ring) Format(f fmt.State, _ rune) { io.WriteString(f, r.String()) }
