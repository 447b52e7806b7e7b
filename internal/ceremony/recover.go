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
	"github.com/stepup-gateway/caddy-stepup/internal/store"
)

// recoveryAlphabet is Crockford's base32 in lower case: five bits a character,
// and none that is taken for another.
const recoveryAlphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// recoveryLen is the characters of a recovery code: 50 random bits.
const recoveryLen = 10

// replaceCodes replaces the account's recovery codes by new ones with the origin,
// and ends what the old ones may have begun: it voids the enrollments that are
// pending, and drops the grants that were won with a code, or by an authenticator
// that one vouched for, all but the one of the id. The first ops go with the
// change of the account, the late ones after it.
func (s *Service) replaceCodes(ctx context.Context, db *records.DB, p Principal, a *records.Account, o *records.Origin, but grants.ID) (codes []string, ops, late []store.Op, err error) {
	ops, err = dropsBut(ctx, db, p, but, func(g *records.GrantRow) bool {
		return grants.Methods(g.Methods|g.Origin)&grants.RecoveryCode != 0
	})
	n := min(len(ops), store.MaxOps/2)
	a.Set++
	return s.giveRecoveryCodes(db, a, o), ops[:n:n], ops[n:], err
}

// giveRecoveryCodes replaces the account's recovery codes by new ones with the
// origin.
func (s *Service) giveRecoveryCodes(db *records.DB, a *records.Account, o *records.Origin) []string {
	a.CodesGivenAt, a.CodesGeneration = s.now(), db.Generation()
	a.CodesOrigin = at(o, a.CodesGivenAt)
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
// it has, which ends what those began as the person's own renewal does.
// Of who enrolled in a browser the first ones are no server's to have
// (S14): that fails with [ErrManageRequired]. Other errors: [ErrNotFound],
// [ErrNotEnrolled] and [ErrHasCodes].
func (s *Service) FirstRecoveryCodes(ctx context.Context, p Principal, renew Renewal) ([]string, error) {
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return nil, err
	}
	var (
		codes []string
		late  []store.Op
	)
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
		case renew == FirstOnly && !slices.ContainsFunc(row.Value.Authenticators, func(a records.Authenticator) bool { return a.Enrollment != "" }):
			return ErrManageRequired
		}
		account := cloneAccount(row.Value)
		var ops []store.Op
		if codes, ops, late, err = s.replaceCodes(ctx, db, p, &account, s.serverOrigin(&account), grants.ID{}); err != nil {
			return err
		}
		put, err := db.Accounts.Update(row, account, never)
		if err != nil {
			return err
		}
		return db.Apply(ctx, append(ops, put)...)
	})
	if err == nil {
		err = applyInParts(ctx, db, late)
	}
	s.reportChange(ctx, p, "recovery_codes", "", err)
	if err != nil {
		return nil, err
	}
	return codes, nil
}

// serverOrigin is the origin of recovery codes that a server gives: where it
// completes an enrollment, that of the authenticator; for others nothing vouches
// but its API key.
func (s *Service) serverOrigin(a *records.Account) *records.Origin {
	if len(a.RecoveryCodes) == 0 && len(a.Authenticators) == 1 && a.Authenticators[0].Enrollment != "" {
		return a.Authenticators[0].Origin
	}
	return unvouched(s.now())
}

// Renewal tells whether recovery codes may take the place of others.
type Renewal bool

// Whether they may.
const (
	FirstOnly Renewal = false
	Renew     Renewal = true
)
