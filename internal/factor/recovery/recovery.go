// Package recovery is the step-up by a recovery code, a look-up secret that is
// good for once (NIST SP 800-63B section 3.1.2). When codes are given, what vouches
// for them, and that they may only add, is package ceremony's.
package recovery

import (
	"crypto/rand"
	"crypto/subtle"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
)

// Factor takes the account's unused recovery codes.
type Factor struct{}

// alphabet is Crockford's base32 in lower case: five bits a character, and none
// that is taken for another.
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// length is the characters of a recovery code: 50 random bits.
const length = 10

// Method is grants.RecoveryCode.
func (Factor) Method() grants.Methods { return grants.RecoveryCode }

// Serves is false: recovery codes come with an authenticator.
func (Factor) Serves(string) bool { return false }

// Begin refuses: see Serves.
func (Factor) Begin(ceremony.Setup, *records.Pending) error { return ceremony.ErrMethodNotAccepted }

// Show refuses: see Serves.
func (Factor) Show(*records.DB, *records.Account, string, *records.Pending, *ceremony.Enrollment) error {
	return ceremony.ErrMethodNotAccepted
}

// Finish refuses: see Serves.
func (Factor) Finish(*records.DB, *records.Account, *records.Pending, ceremony.Attempt) (a records.Authenticator, p ceremony.Proof, err error) {
	return a, p, ceremony.ErrMethodNotAccepted
}

// Ready reports whether the account has a recovery code left.
func (Factor) Ready(a *records.Account, _ string) bool { return a.RecoveryCodesLeft() > 0 }

// Ask has nothing to ask with.
func (Factor) Ask(*records.DB, *records.Account, string, string) (ceremony.Asked, error) {
	return ceremony.Asked{}, nil
}

// List makes n codes, as they are shown, and keeps a keyed digest of each.
func (Factor) List(db *records.DB, a *records.Account, n int) (codes []string, kept []records.RecoveryCode) {
	codes, kept = make([]string, n), make([]records.RecoveryCode, n)
	for i := range codes {
		raw := make([]byte, length)
		rand.Read(raw) // never fails: crypto/rand ends the program instead
		for j := range raw {
			raw[j] = alphabet[raw[j]%32]
		}
		codes[i] = string(raw[:length/2]) + "-" + string(raw[length/2:])
		kept[i].Hash = digest(db, a, string(raw))
	}
	return codes, kept
}

// Match uses up the code, and fails with [ceremony.ErrInvalidCode] where it is none
// or was used (S04).
func (Factor) Match(db *records.DB, a *records.Account, try ceremony.Attempt) (ceremony.Proof, error) {
	hash, found := digest(db, a, fold(try.Answer)), -1
	for i := range a.RecoveryCodes {
		if subtle.ConstantTimeCompare(a.RecoveryCodes[i].Hash, hash) == 1 {
			found = i
		}
	}
	if found < 0 || !a.RecoveryCodes[found].UsedAt.IsZero() {
		return ceremony.Proof{}, ceremony.ErrInvalidCode
	}
	a.RecoveryCodes[found].UsedAt = try.Now
	return ceremony.Proof{Method: grants.RecoveryCode}, nil
}

func digest(db *records.DB, a *records.Account, code string) []byte {
	h := db.Holder(grants.Subject{Tenant: a.Tenant, User: a.User})
	mac := db.MAC("recovery code", h[:], []byte(code))
	return mac[:]
}

// fold reads a code in any case, with the letters that are taken for digits, and
// as it is shown.
func fold(code string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case '-':
			return -1
		case 'o', 'O':
			return '0'
		case 'i', 'I', 'l', 'L':
			return '1'
		}
		return r
	}, strings.ToLower(code))
}

var _ ceremony.Lister = Factor{}
