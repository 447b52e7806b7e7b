package ceremony

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/internal/store"
)

// Answer is what a person gives to pass a challenge.
type Answer struct {
	Method grants.Methods
	Code   string
}

// maxAnswer bounds an answer, in bytes.
const maxAnswer = 128

// Won is a passed challenge: the grant, and the token that nobody will be told
// again.
type Won struct {
	Challenge Challenge
	ID        grants.ID
	Grant     grants.Grant
	Token     grants.Token
}

// GrantID is how a grant is named to its holder; it is no secret.
func GrantID(id grants.ID) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// shortID names a grant in the audit log.
func shortID(id grants.ID) string { return GrantID(id)[:12] }

// Verify holds an answer against p's challenge and issues the grant. The
// attempt is counted before the answer is looked at (S05); the grant, what the
// answer burns and the end of the challenge are one Apply (S04).
//
// It fails with [ErrNotFound], [ErrExpired], [ErrNotEnrolled],
// [ErrMethodNotAccepted], [ErrAuthenticatorTooNew], a [WrongCode] or a [Wait].
func (s *Service) Verify(ctx context.Context, p Principal, id string, a Answer) (Won, error) {
	won, err := s.verify(ctx, p, id, a)
	// Of the id only what was found is told: what a client sends in its place
	// may be anything.
	e := Event{Kind: "verify", Outcome: "passed", Method: a.Method.String(), Object: won.Challenge.ID, Action: won.Challenge.Demand.Action.String()}
	if err != nil {
		e.Outcome, e.Cause = "refused", causeOf(err)
		won = Won{Challenge: won.Challenge} // a token that was not stored, or may not be, is nobody's
	}
	s.report(ctx, p, e)
	return won, err
}

func (s *Service) verify(ctx context.Context, p Principal, id string, a Answer) (Won, error) {
	if a.Code == "" || len(a.Code) > maxAnswer {
		return Won{}, &Field{Name: "code", Detail: "must have 1 to 128 characters"}
	}
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return Won{}, err
	}
	holder := db.Holder(p.Subject)
	factor := s.factor(a.Method)
	row, err := s.findChallenge(ctx, db, p, id)
	if err != nil {
		return Won{}, err
	}
	c, err := challengeOf(db, row)
	if err != nil {
		return Won{}, err
	}
	if factor == nil || !s.accepts(&c, a.Method) {
		return Won{Challenge: c}, ErrMethodNotAccepted
	}
	if account, err := db.Accounts.Find(ctx, holder, nil); err != nil {
		return Won{Challenge: c}, err
	} else if account.Value.State != records.StateEnrolled {
		return Won{Challenge: c}, ErrNotEnrolled
	}
	attempt, err := s.count(ctx, db, p, holder, a.Method)
	if err != nil {
		return Won{Challenge: c}, err
	}
	won := Won{Challenge: c}
	err = again(func() error {
		// Everything is read anew: whoever was first may have used this code,
		// passed this challenge or removed the authenticator.
		row, err := s.findChallenge(ctx, db, p, id)
		if err != nil {
			return err
		}
		account, err := db.Accounts.Get(ctx, holder, nil)
		if err != nil {
			return err
		}
		burned, proof, err := s.match(db, factor, account.Value, c.Operation, a.Code)
		if err != nil {
			return err
		}
		put, err := db.Accounts.Update(account, burned, time.Time{})
		if err != nil {
			return err
		}
		forgive, err := s.forgive(ctx, db, attempt, holder, proof.Method)
		if err != nil {
			return err
		}
		remember, err := s.remember(ctx, db, p, holder)
		if err != nil {
			return err
		}
		issue, err := s.issue(db, p, &won, row.Value.Request, proof)
		if err != nil {
			return err
		}
		return db.Apply(ctx, append(remember, put, forgive, issue, db.Challenges.Delete(row))...)
	})
	if errors.Is(err, ErrInvalidCode) {
		b, berr := s.budget(ctx, db, p, holder)
		if berr != nil {
			return won, berr
		}
		return won, &WrongCode{AttemptsLeft: b.left()}
	}
	return won, err
}

// match asks the factor, on a copy of the account that it may mark, and holds
// the proof against what S14 demands for the operation.
func (s *Service) match(db *records.DB, f Factor, a records.Account, op Operation, code string) (records.Account, Proof, error) {
	now := s.now()
	a = cloneAccount(a)
	proof, err := f.Match(db, &a, code, now)
	if err != nil {
		return a, proof, err
	}
	if used := a.Find(proof.Authenticator); used != nil {
		used.LastUsedAt = now
		if op.needsAge() && now.Sub(used.CreatedAt) < minAge && hasOlder(&a, now) {
			return a, proof, ErrAuthenticatorTooNew
		}
	}
	return a, proof, nil
}

func hasOlder(a *records.Account, now time.Time) bool {
	return slices.ContainsFunc(a.Authenticators, func(x records.Authenticator) bool { return now.Sub(x.CreatedAt) >= minAge })
}

// cloneAccount copies all that a change to an account writes to.
func cloneAccount(a records.Account) records.Account {
	a.Authenticators = slices.Clone(a.Authenticators)
	for i := range a.Authenticators {
		if t := a.Authenticators[i].TOTP; t != nil {
			c := *t
			a.Authenticators[i].TOTP = &c
		}
	}
	a.RecoveryCodes = slices.Clone(a.RecoveryCodes)
	return a
}

// issue makes the grant that answers the challenge in won, and gives the op that
// stores it.
func (s *Service) issue(db *records.DB, p Principal, won *Won, request []byte, proof Proof) (store.Op, error) {
	binding := grants.Binding{Session: p.Session}
	copy(binding.Request[:], request)
	d := won.Challenge.Demand
	won.Grant, won.Token = grants.Issue(d, db.Holder(p.Subject), binding, proof.Method, s.now())
	won.ID = won.Token.ID()
	return db.PutGrant(won.ID, won.Grant, d.Action, proof.Authenticator)
}

// causeOf is the word for an error in the audit log. It never holds an input.
func causeOf(err error) string {
	var w *Wait
	switch {
	case errors.As(err, &w) && w.Disabled:
		return "disabled"
	case errors.Is(err, ErrTooManyAttempts):
		return "too_many_attempts"
	case errors.Is(err, ErrInvalidCode):
		return "invalid_code"
	case errors.Is(err, ErrExpired):
		return "expired"
	case errors.Is(err, ErrNotFound):
		return "not_found"
	case errors.Is(err, ErrNotEnrolled):
		return "not_enrolled"
	case errors.Is(err, ErrVoided):
		return "voided"
	case errors.Is(err, ErrInviteRequired):
		return "invite_required"
	case errors.Is(err, ErrEnrolmentDenied):
		return "enrolment_denied"
	case errors.Is(err, ErrManageRequired):
		return "manage_required"
	case errors.Is(err, ErrMethodNotAccepted):
		return "method_not_accepted"
	case errors.Is(err, ErrAuthenticatorTooNew):
		return "authenticator_too_new"
	case errors.Is(err, ErrLimit):
		return "limit"
	case errors.Is(err, ErrInvalid):
		return "invalid_request"
	}
	return "store_error"
}
