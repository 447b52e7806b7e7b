package ceremony

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/internal/typed"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// Answer is what a person gives to pass a challenge.
type Answer struct {
	Method grants.Methods
	Code   string
}

// maxAnswer bounds an answer that is typed, and maxBrowserAnswer one that an
// authenticator gives, in bytes.
const (
	maxAnswer        = 128
	maxBrowserAnswer = 16 << 10
)

// typed is the answer as factors take it. What a browser says is not typed, and
// stays.
func (a Answer) typed() string {
	if grants.KindOf(a.Method).Way == grants.ByBrowser {
		return a.Code
	}
	return typed.Code(a.Code)
}

func (a Answer) check() error {
	longest := maxAnswer
	if grants.KindOf(a.Method).Way == grants.ByBrowser {
		longest = maxBrowserAnswer
	}
	if a.Code == "" || len(a.Code) > longest {
		return &Field{Name: "code", Detail: fmt.Sprintf("must have 1 to %d characters", longest)}
	}
	return nil
}

// Won is a passed challenge: the grant, and the token that nobody will be told
// again.
type Won struct {
	Challenge Challenge
	ID        grants.ID
	Grant     grants.Grant
	Token     grants.Token

	// label is what the authenticator is called that gave the proof.
	label string
}

// GrantID is how a grant is named to its holder; it is no secret.
func GrantID(id grants.ID) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// shortID names a grant in the audit log.
func shortID(id grants.ID) string { return GrantID(id)[:12] }

// Verify holds an answer against p's challenge and issues the grant. The
// attempt is counted before the answer is looked at (S05); the grant, what the
// answer burns and the end of the challenge are one Apply (S04).
//
// It fails with [ErrNotFound], [ErrExpired], [ErrOpen], [ErrNotEnrolled],
// [ErrMethodNotAccepted], [ErrAuthenticatorTooNew], a [WrongCode] or a [Wait].
func (s *Service) Verify(ctx context.Context, p Principal, id string, a Answer) (Won, error) {
	won, err := s.verify(ctx, p, id, a)
	// Of the id only what was found is told: what a client sends in its place
	// may be anything.
	e := Event{Kind: EventVerify, Outcome: Passed, Method: a.Method.String(), Object: won.Challenge.ID, Action: won.Challenge.Demand.Action.String(), label: won.label}
	if err != nil {
		e.Outcome, e.Cause, e.label = Refused, causeOf(err), ""
		won = Won{Challenge: won.Challenge} // a token that was not stored, or may not be, is nobody's
	}
	s.report(ctx, p, e)
	return won, err
}

func (s *Service) verify(ctx context.Context, p Principal, id string, a Answer) (Won, error) {
	if err := a.check(); err != nil {
		return Won{}, err
	}
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return Won{}, err
	}
	holder := db.Holder(p.Subject)
	factor := s.factor(a.Method)
	row, c, err := s.challenge(ctx, db, p, id)
	if err != nil {
		return Won{}, err
	}
	if s.isOpen(&row.Value) {
		return Won{Challenge: c}, ErrOpen
	}
	if factor == nil || !s.accepts(&c, a.Method) {
		return Won{Challenge: c}, ErrMethodNotAccepted
	}
	account, err := db.Accounts.Find(ctx, holder, nil)
	if err != nil {
		return Won{Challenge: c}, err
	}
	if account.Value.State != records.StateEnrolled {
		return Won{Challenge: c}, ErrNotEnrolled
	}
	// Where nothing of the kind would do whatever the answer, none is looked at.
	if fit := s.fit(db, &account.Value, &c); !factor.Ready(&fit, c.Site) && factor.Ready(&account.Value, c.Site) {
		return Won{Challenge: c}, s.blocked(db, &account.Value, &c, a.Method)
	}
	attempt, err := s.count(ctx, db, p, holder, a.Method)
	if err != nil {
		return Won{Challenge: c}, s.unlessOpened(ctx, db, p, id, nil, a.Method, err)
	}
	won := Won{Challenge: c}
	err = records.Again(func() error {
		// Everything is read anew: whoever was first may have used this code,
		// passed this challenge or removed the authenticator.
		row, err := s.findChallenge(ctx, db, p, id)
		if err != nil {
			return err
		}
		if s.isOpen(&row.Value) {
			return s.unlessOpened(ctx, db, p, id, &attempt, a.Method, ErrOpen)
		}
		ops, err := s.win(ctx, db, p, factor, Attempt{Challenge: c.ID, Site: c.Site, Answer: a.typed()}, attempt, row.Value.Request, &won)
		if err != nil {
			return err
		}
		closing, err := s.closing(ctx, db, p, row, &won)
		if err != nil {
			return err
		}
		return db.Apply(ctx, append(ops, closing...)...)
	})
	if errors.Is(err, ErrInvalidCode) {
		err = s.unlessOpened(ctx, db, p, id, &attempt, a.Method, err)
	}
	return won, s.withAttemptsLeft(ctx, db, p, err)
}

// win gives the ops by which a right answer passes the challenge in won: what it
// burns, what it forgives, and the grant.
func (s *Service) win(ctx context.Context, db *records.DB, p Principal, f Factor, try Attempt, c counted, request []byte, won *Won) ([]store.Op, error) {
	holder := db.Holder(p.Subject)
	account, err := db.Accounts.Get(ctx, holder, nil)
	if err != nil {
		return nil, err
	}
	burned, proof, wrong := s.match(db, f, account.Value, &won.Challenge, try)
	bars := isBar(wrong)
	if wrong != nil && !bars && !errors.Is(wrong, ErrCloned) {
		return nil, wrong
	}
	put, err := db.Accounts.Update(account, burned, time.Time{})
	if err != nil {
		return nil, err
	}
	if wrong != nil && !bars {
		return nil, cmp.Or(db.Apply(ctx, put), wrong) // the suspicion is kept
	}
	forgive, err := s.forgive(ctx, db, c, holder, f.Method())
	if err != nil {
		return nil, err
	}
	if bars {
		// The answer is right, so it was no wrong attempt, and is used up.
		return nil, cmp.Or(db.Apply(ctx, put, forgive), wrong)
	}
	remember, err := s.remember(ctx, db, p, holder)
	if err != nil {
		return nil, err
	}
	issue, err := s.issue(db, p, won, request, proof)
	return append(remember, put, forgive, issue), err
}

// withAttemptsLeft adds to ErrInvalidCode how many wrong answers are left.
func (s *Service) withAttemptsLeft(ctx context.Context, db *records.DB, p Principal, err error) error {
	if !errors.Is(err, ErrInvalidCode) {
		return err
	}
	b, berr := s.budget(ctx, db, p, db.Holder(p.Subject))
	if berr != nil {
		return berr
	}
	return &WrongCode{AttemptsLeft: b.left(), cause: err}
}

// match asks the factor, on a copy of the account that it may mark, and checks the
// proof against what S14 and S24 demand of the authenticator that gave it.
func (s *Service) match(db *records.DB, f Factor, a records.Account, c *Challenge, try Attempt) (records.Account, Proof, error) {
	now := s.now()
	try.Now, try.Generation, try.UsedUntil = now, db.Generation(), db.Fencing().CodesAfter
	a = cloneAccount(a)
	usable := a.Usable()
	proof, err := f.Match(db, &usable, try)
	if err != nil {
		return a, proof, err
	}
	used := a.Find(proof.Authenticator)
	if used == nil {
		proof.Origin = a.CodesOrigin.Live(now)
		return a, proof, barring(s.codesBarred(db, &a, c))
	}
	used.LastUsedAt = now
	proof.Origin, proof.label = used.Origin.Live(now), used.Label
	return a, proof, barring(s.barred(&a, used, c))
}

// bar is why a right answer does not do.
type bar struct{ error }

func (b bar) Unwrap() error { return b.error }

func barring(err error) error {
	if err == nil {
		return nil
	}
	return bar{err}
}

func isBar(err error) bool {
	var b bar
	return errors.As(err, &b)
}

func hasOlder(a *records.Account, now time.Time) bool {
	return slices.ContainsFunc(a.Authenticators, func(x records.Authenticator) bool { return now.Sub(x.CreatedAt) >= minAge })
}

// cloneAccount copies all that a change to an account writes to.
func cloneAccount(a records.Account) records.Account {
	a.Authenticators = slices.Clone(a.Authenticators)
	for i := range a.Authenticators {
		x := &a.Authenticators[i]
		x.TOTP, x.Passkey, x.Dest = copyOf(x.TOTP), copyOf(x.Passkey), copyOf(x.Dest)
		if x.Dest != nil {
			x.Dest.Codes = slices.Clone(x.Dest.Codes)
		}
	}
	a.RecoveryCodes = slices.Clone(a.RecoveryCodes)
	return a
}

func copyOf[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}

// issue makes the grant that answers the challenge in won, and gives the op that
// stores it.
func (s *Service) issue(db *records.DB, p Principal, won *Won, request []byte, proof Proof) (store.Op, error) {
	binding := grants.Binding{Session: p.Session}
	copy(binding.Request[:], request)
	d := won.Challenge.Demand
	won.Grant, won.Token = grants.Issue(d, db.Holder(p.Subject), binding, proof.Method, s.now())
	won.Grant.Origin = proof.Origin
	won.Grant.API = p.Client != ""
	won.ID, won.label = won.Token.ID(), proof.label
	return db.PutGrant(won.ID, won.Grant, d.Action, proof.Authenticator)
}
