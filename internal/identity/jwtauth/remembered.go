package jwtauth

import (
	"crypto/sha256"
	"sync"
	"time"
)

// maxRemembered bounds the tokens that are remembered. Only good ones are, so
// nobody can fill it without an issuer.
const maxRemembered = 10_000

// remembered are tokens that were verified, by their digest, so that the many
// requests that one token comes with cost one verification. A token is good until
// it expires or the keys change, and neither is put off by being remembered.
type remembered struct {
	mu     sync.Mutex
	tokens map[[sha256.Size]byte]verified
}

type verified struct {
	claims Claims
	until  time.Time // when the token expires, with the leeway
	keys   uint64    // the generation of the keys that it was verified with
}

// get returns the claims of a token that would be verified now with the same result.
func (m *remembered) get(digest [sha256.Size]byte, keys uint64, now time.Time) (Claims, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, ok := m.tokens[digest]
	if !ok {
		return Claims{}, false
	}
	if t.keys != keys || !now.Before(t.until) {
		delete(m.tokens, digest)
		return Claims{}, false
	}
	return t.claims, true
}

func (m *remembered) put(digest [sha256.Size]byte, t verified) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.tokens == nil {
		m.tokens = make(map[[sha256.Size]byte]verified)
	}
	for other := range m.tokens {
		if len(m.tokens) < maxRemembered {
			break
		}
		delete(m.tokens, other)
	}
	m.tokens[digest] = t
}
