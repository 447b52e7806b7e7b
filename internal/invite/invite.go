// Package invite makes invites: codes with which a user can enroll once, of which
// only a hash is stored. They are read out over the telephone, and typed in by hand.
package invite

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/internal/typed"
)

// alphabet is Crockford's base32: no letters that are taken for digits, or that make
// words.
const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// An invite is 120 random bits, written in groups:
//
//	7K3M-9QXR-T40V-2HPW-C8ND-6ZJE
const (
	bits      = 120
	length    = bits / 5
	groupSize = 4
)

// oldPrefix begins the invites of earlier versions, in base64url. They hold up to 30
// days, and are good as they were written.
const oldPrefix = "sui_"

// New makes an invite and its hash.
func New() (code string, hash [32]byte) {
	raw := make([]byte, bits/8)
	rand.Read(raw) // never fails: crypto/rand ends the program instead
	text := base32.NewEncoding(alphabet).EncodeToString(raw)
	var groups []string
	for ; text != ""; text = text[groupSize:] {
		groups = append(groups, text[:groupSize])
	}
	code = strings.Join(groups, "-")
	return code, Hash(code)
}

// Hash returns the hash under which an invite is stored, of any spelling of it: with
// the groups or without, in letters of either case, with O for 0 and I or L for 1. It
// needs no key: an invite is 120 random bits.
func Hash(code string) [32]byte {
	code = strings.TrimSpace(code)
	if !strings.HasPrefix(code, oldPrefix) {
		code = canonical(code)
	}
	return sha256.Sum256([]byte("step-up invite\x00" + code))
}

// canonical is the one spelling of an invite; what is none stays as it is.
func canonical(code string) string {
	var b strings.Builder
	for _, r := range strings.ToUpper(typed.Code(code)) {
		switch r {
		case 'O':
			r = '0'
		case 'I', 'L':
			r = '1'
		}
		if !strings.ContainsRune(alphabet, r) {
			return code
		}
		b.WriteRune(r)
	}
	if b.Len() != length {
		return code
	}
	return b.String()
}
