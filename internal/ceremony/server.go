package ceremony

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/internal/typed"
)

// never is the expiry of records that do not end.
var never time.Time

// UserClient is the [Principal.Client] of a subject that uses the API with a
// token of its own. It may do there what its browser may.
const UserClient = "user"

// serverBrowser stands for the browser that API clients do not have: what they
// begin is found by them alone. It is the digest of no cookie.
var serverBrowser = sha256.Sum256([]byte("step-up: an API client is no browser"))

// ServerPrincipal is who a server acts for, with an API key's id or [UserClient],
// from an address.
func ServerPrincipal(who grants.Subject, client, address string) Principal {
	return Principal{Subject: who, Client: client, Browser: serverBrowser, Address: address}
}

// Shown is the name by which people know the subject.
func (p *Principal) Shown() string {
	if p.Name == "" || len(p.Name) > MaxUserID || !typed.IsPlain(p.Name) {
		return p.User
	}
	return p.Name
}

// isServer tells of a server with an API key.
func (p *Principal) isServer() bool { return p.Client != "" && p.Client != UserClient }

func sameText(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// Prove holds an answer that answers no challenge, and issues the grant that
// answers d. It is Verify for servers, which begin no challenge: the attempt is
// counted on the client's own budget before the answer is looked at (S05).
//
// It fails with [ErrNotFound] where nobody of that name ever enrolled,
// [ErrNotEnrolled], [ErrMethodNotAccepted], a [WrongCode] or a [Wait].
func (s *Service) Prove(ctx context.Context, p Principal, d grants.Demand, a Answer) (Won, error) {
	won, err := s.prove(ctx, p, d, "", a)
	return s.reportProof(ctx, p, d, a, won, err)
}

// ProveWith is [Service.Prove] by the authenticator that an enrollment became, and
// by no other.
func (s *Service) ProveWith(ctx context.Context, p Principal, d grants.Demand, enrollment string, a Answer) (Won, error) {
	won, err := s.prove(ctx, p, d, enrollment, a)
	return s.reportProof(ctx, p, d, a, won, err)
}

func (s *Service) reportProof(ctx context.Context, p Principal, d grants.Demand, a Answer, won Won, err error) (Won, error) {
	e := Event{Kind: EventVerify, Outcome: Passed, Method: a.Method.String(), Action: d.Action.String(), label: won.label}
	if err != nil {
		e.Outcome, e.Cause, e.label = Refused, causeOf(err), ""
		won = Won{} // a token that was not stored, or may not be, is nobody's
	}
	s.report(ctx, p, e)
	return won, err
}

func (s *Service) prove(ctx context.Context, p Principal, d grants.Demand, enrollment string, a Answer) (Won, error) {
	if err := a.check(); err != nil {
		return Won{}, err
	}
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return Won{}, err
	}
	account, err := s.enrolledAccount(ctx, db, p)
	if err != nil {
		return Won{}, err
	}
	factor, c := s.factor(a.Method), Challenge{Demand: d}
	if factor == nil || !d.Methods.Accepts(a.Method) || !factor.Ready(&account, "") {
		return Won{}, ErrMethodNotAccepted
	}
	if fit := s.fit(db, &account, &c); !factor.Ready(&fit, "") {
		return Won{}, s.blocked(db, &account, &c, a.Method)
	}
	if enrollment != "" {
		factor = only{factor, enrollment}
	}
	attempt, err := s.count(ctx, db, p, db.Holder(p.Subject), a.Method)
	if err != nil {
		return Won{}, err
	}
	won := Won{Challenge: c}
	err = records.Again(func() error {
		ops, err := s.win(ctx, db, p, factor, Attempt{Answer: a.typed()}, attempt, nil, &won)
		if err != nil {
			return err
		}
		return db.Apply(ctx, ops...)
	})
	return won, s.withAttemptsLeft(ctx, db, p, err)
}

// enrolledAccount gives p's account, [ErrNotFound] where there never was one and
// [ErrNotEnrolled] where it has no authenticator.
func (s *Service) enrolledAccount(ctx context.Context, db *records.DB, p Principal) (records.Account, error) {
	row, err := db.Accounts.Find(ctx, db.Holder(p.Subject), nil)
	switch {
	case err != nil:
		return row.Value, err
	case row.Version == 0:
		return row.Value, ErrNotFound
	case row.Value.State != records.StateEnrolled:
		return row.Value, ErrNotEnrolled
	}
	return row.Value, nil
}

// only is a factor that takes the proof of one enrollment alone.
type only struct {
	Factor
	enrollment string
}

func (o only) Match(db *records.DB, a *records.Account, try Attempt) (Proof, error) {
	proof, err := o.Factor.Match(db, a, try)
	if err != nil {
		return proof, err
	}
	if used := a.Find(proof.Authenticator); used == nil || used.Enrollment != o.enrollment {
		return proof, ErrInvalidCode
	}
	return proof, nil
}

// VerifyGrant tells with nil that token is p's grant for the action, won here or
// in a browser, and uses it up where it is good for once (S03). today is what a
// rule asks for the action, nil where none does: a grant that a rule asked for is
// not good beyond it. It fails with [ErrNoGrant] whatever is wrong (S02).
func (s *Service) VerifyGrant(ctx context.Context, p Principal, action grants.Action, today *grants.Demand, token string) error {
	pass, err := s.vouch(ctx, p, action, today, token)
	if err == nil && pass.Grant.Use == grants.OneTimeUse {
		_, err = s.Spend(ctx, &p, &pass)
		return err // spending reports
	}
	e := Event{Kind: EventGrant, Outcome: Vouched, Action: action.String(), Method: pass.Grant.Methods.String(), Object: shortID(pass.ID)}
	if errors.Is(err, ErrNoGrant) {
		e.Outcome, e.Cause, e.Object = Refused, grants.CauseOf(err), ""
	} else if err != nil {
		return err
	}
	s.report(ctx, p, e)
	return err
}

func (s *Service) vouch(ctx context.Context, p Principal, action grants.Action, today *grants.Demand, token string) (pass Pass, err error) {
	t, err := grants.ParseToken(token)
	if err != nil {
		return pass, ErrNoGrant
	}
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return pass, err
	}
	pass.ID = t.ID()
	holder, now := db.Holder(p.Subject), s.now()
	live, err := db.Grant(ctx, &holder, &pass.ID, now)
	if errors.Is(err, records.ErrNotFound) {
		return pass, ErrNoGrant
	}
	if err != nil {
		return pass, err
	}
	pass.Grant, pass.row = live.Grant, live.Row
	if err := pass.Grant.Vouch(action, today, &holder, now); err != nil {
		return pass, err
	}
	if live.Spent {
		return pass, grants.ErrSpent
	}
	return pass, nil
}
