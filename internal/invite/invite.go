// Package invite makes invites: codes with which a user can enroll once, of which
// only a hash is stored.
package invite

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// Prefix begins every invite, so that one is told from a code.
const Prefix = "sui_"

// New makes an invite and its hash.
func New() (code string, hash [32]byte) {
	raw := make([]byte, 16)
	rand.Read(raw) // never fails: crypto/rand ends the program instead
	code = Prefix + base64.RawURLEncoding.EncodeToString(raw)
	return code, Hash(code)
}

// Hash returns the hash under which an invite is stored. It needs no key: an invite
// is 128 random bits.
func Hash(code string) [32]byte {
	return sha256.Sum256([]byte("step-up invite\x00" + strings.TrimSpace(code)))
}
