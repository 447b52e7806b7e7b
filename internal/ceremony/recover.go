package ceremony

import (
	"context"
	"slices"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/cause"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/store"
)

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
func (s *Service) giveRecoveryCodes(db *records.DB, a *records.Account, o *records.Origin) (codes []string) {
	a.CodesGivenAt, a.CodesGeneration = s.now(), db.Generation()
	a.CodesOrigin = at(o, a.CodesGivenAt)
	a.RecoveryCodes = nil
	for _, f := range s.factors {
		if list, ok := f.(Lister); ok {
			codes, a.RecoveryCodes = list.List(db, a, s.set.RecoveryCodes)
		}
	}
	return codes
}

// ErrHasCodes tells that the subject was given recovery codes already.
var ErrHasCodes = cause.New(cause.HasCodes, "recovery codes were given already")

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
	err = records.Again(func() error {
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
		err = db.ApplyInParts(ctx, late)
	}
	s.reportChange(ctx, p, EventRecoveryCodes, "", "", err)
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
