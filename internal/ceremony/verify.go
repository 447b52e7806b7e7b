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
	e := Event{Kind: "verify", Outcome: "passed", Method: a.Method.String(), Object: id, Action: won.Challenge.Demand.Action.String()}
	if err != nil {
		e.Outcome, e.Cause = "refused", causeOf(err)
		if errors.Is(err, ErrNotFound) {
			e.Object = "" // whatever was sent; nothing of ours
		}
	}
	s.report(ctx, p, e)
	return won, err
}

func (s *Service) verify(ctx context.Context, p Principal, id string, a Answer) (Won, error) {
	if a.Code == "" || len(a.Code) > maxAnswer {
		return Won{}, &Field{Name: "code", Detail: "must have 1 to 128 characters"}
	}
	db, err := s.open(ctx)
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
	if err := s.count(ctx, db, p, holder, a.Method); err != nil {
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
		end := db.Challenges.Delete(row)
		won.Grant, won.Token, err = s.issue(ctx, db, p, account, burned, c, proof, row.Value.Request, end)
		won.ID = won.Token.ID()
		return err
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

// issue makes the grant that answers c and applies it together with the burned
// account, the forgiven attempts, the remembered browser and the ops given.
func (s *Service) issue(ctx context.Context, db *records.DB, p Principal, read records.Row[records.Account], burned records.Account,
	c Challenge, proof Proof, request []byte, ops ...store.Op) (grants.Grant, grants.Token, error) {
	now, holder := s.now(), db.Holder(p.Subject)
	binding := grants.Binding{Session: p.Session}
	copy(binding.Request[:], request)
	grant, token := grants.Issue(c.Demand, holder, binding, proof.Method, now)
	putGrant, err := db.PutGrant(token.ID(), grant, c.Demand.Action, proof.Authenticator)
	if err != nil {
		return grant, token, err
	}
	burn, err := db.Accounts.Update(read, burned, time.Time{})
	if err != nil {
		return grant, token, err
	}
	forgive, err := s.forgive(ctx, db, p, holder, proof.Method)
	if err != nil {
		return grant, token, err
	}
	ops = append(ops, putGrant, burn, forgive)
	if p.Browser != [32]byte{} {
		until := now.Add(deviceTTL)
		remember, err := db.Devices.Set(holder, p.Browser[:], records.Device{Expires: until}, until)
		if err != nil {
			return grant, token, err
		}
		ops = append(ops, remember)
	}
	return grant, token, db.Apply(ctx, ops...)
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
