package ceremony

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
)

// recoveryAlphabet is Crockford's base32 in lower case: five bits a character,
// and none that is taken for another.
const recoveryAlphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// recoveryLen is the characters of a recovery code: 50 random bits.
const recoveryLen = 10

// giveRecoveryCodes replaces the account's recovery codes by new ones.
func (s *Service) giveRecoveryCodes(db *records.DB, a *records.Account) []string {
	codes := make([]string, s.set.RecoveryCodes)
	a.RecoveryCodes = make([]records.RecoveryCode, s.set.RecoveryCodes)
	for i := range codes {
		raw := make([]byte, recoveryLen)
		rand.Read(raw) // never fails: crypto/rand ends the program instead
		for j := range raw {
			raw[j] = recoveryAlphabet[raw[j]%32]
		}
		codes[i] = string(raw[:recoveryLen/2]) + "-" + string(raw[recoveryLen/2:])
		a.RecoveryCodes[i].Hash = recoveryHash(db, a, string(raw))
	}
	return codes
}

func recoveryHash(db *records.DB, a *records.Account, code string) []byte {
	h := db.Holder(grants.Subject{Tenant: a.Tenant, User: a.User})
	mac := db.MAC("recovery code", h[:], []byte(code))
	return mac[:]
}

// Recover uses up the account's recovery code, and fails with [ErrInvalidCode]
// where it is none or was used (S04). It is what a recovery Factor does with the
// database that keys the codes' digests.
func Recover(db *records.DB, a *records.Account, code string, now time.Time) error {
	hash := recoveryHash(db, a, foldRecoveryCode(code))
	found := -1
	for i := range a.RecoveryCodes {
		if subtle.ConstantTimeCompare(a.RecoveryCodes[i].Hash, hash) == 1 {
			found = i
		}
	}
	if found < 0 || !a.RecoveryCodes[found].UsedAt.IsZero() {
		return ErrInvalidCode
	}
	a.RecoveryCodes[found].UsedAt = now
	return nil
}

// foldRecoveryCode reads a code that was [Answer.typed] in any case, with the
// letters that are taken for digits; or one as it is shown.
func foldRecoveryCode(code string) string {
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

// ErrHasCodes tells that the subject was given recovery codes already.
var ErrHasCodes = errors.New("recovery codes were given already")

// FirstRecoveryCodes gives recovery codes to a subject that a server enrolled
// without any, on a server's behalf; with renew set, to any, in the place of those
// it has. Of who enrolled in a browser the first ones are no server's to have
// (S14): that fails with [ErrManageRequired]. Other errors: [ErrNotFound],
// [ErrNotEnrolled] and [ErrHasCodes].
func (s *Service) FirstRecoveryCodes(ctx context.Context, p Principal, renew Renewal) ([]string, error) {
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return nil, err
	}
	var codes []string
	err = again(func() error {
		row, err := db.Accounts.Find(ctx, db.Holder(p.Subject), nil)
		switch {
		case err != nil:
			return err
		case row.Version == 0:
			return ErrNotFound
		case row.Value.State != records.StateEnrolled:
			return ErrNotEnrolled
		case len(row.Value.RecoveryCodes) > 0 && renew == FirstOnly:
			return ErrHasCodes
		case renew == FirstOnly && !slices.ContainsFunc(row.Value.Authenticators, func(a records.Authenticator) bool { return a.Enrolment != "" }):
			return ErrManageRequired
		}
		account := cloneAccount(row.Value)
		codes = s.giveRecoveryCodes(db, &account)
		put, err := db.Accounts.Update(row, account, never)
		if err != nil {
			return err
		}
		return db.Apply(ctx, put)
	})
	s.reportChange(ctx, p, "recovery_codes", "", err)
	if err != nil {
		return nil, err
	}
	return codes, nil
}

// Renewal tells whether recovery codes may take the place of others.
type Renewal bool

// Whether they may.
const (
	FirstOnly Renewal = false
	Renew     Renewal = true
)
