package ceremony

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/internal/store"
)

// Pass is a grant that satisfied a demand.
type Pass struct {
	ID    grants.ID
	Grant grants.Grant
}

// Check holds the grant behind a cookie's token against a demand and a binding
// to one request (zero: none). It fails with [ErrNoGrant] whatever is wrong with
// the grant (S02). For a live time-based grant it reads no database and
// allocates nothing. It changes nothing: a one-time grant is good for a request
// only after [Service.Spend].
func (s *Service) Check(ctx context.Context, p *Principal, d *grants.Demand, request [32]byte, token string) (pass Pass, err error) {
	t, err := grants.ParseToken(token)
	if err != nil {
		return Pass{}, ErrNoGrant
	}
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return Pass{}, err
	}
	return s.checkGrant(ctx, db, p, d, request, t.ID())
}

func (s *Service) checkGrant(ctx context.Context, db *records.DB, p *Principal, d *grants.Demand, request [32]byte, id grants.ID) (pass Pass, err error) {
	pass.ID = id
	holder := db.Holder(p.Subject)
	now := s.now()
	live, err := db.Grant(ctx, &holder, &pass.ID, now)
	if errors.Is(err, records.ErrNotFound) {
		return Pass{}, ErrNoGrant
	}
	if err != nil {
		return Pass{}, err
	}
	pass.Grant = live.Grant
	if err := pass.Grant.Check(d, &holder, &grants.Binding{Session: p.Session, Request: request}, now); err != nil {
		return Pass{}, err
	}
	if live.Spent {
		return Pass{}, grants.ErrSpent
	}
	return pass, nil
}

// Receipt proves who spent a grant, a held request's ticket, or both.
type Receipt struct {
	h      grants.Holder
	grant  grants.ID // zero: a time-based one, which is not spent
	ticket []byte    // the record's id; nil: no request was held
	claim  []byte    // under which the ticket is redeemed
	mark   []byte
}

// Spend uses up a one-time grant, durably, before the request that it lets
// through is passed on. Of concurrent callers exactly one succeeds (S03); the
// others fail with [ErrNoGrant].
func (s *Service) Spend(ctx context.Context, p *Principal, pass *Pass) (Receipt, error) {
	return s.spend(ctx, p, pass, nil)
}

// spend uses up the grant, if it is a one-time one, and the ticket, if there is
// one, in one Apply.
func (s *Service) spend(ctx context.Context, p *Principal, pass *Pass, ticket *Ticket) (Receipt, error) {
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return Receipt{}, err
	}
	r := Receipt{h: pass.Grant.Holder, mark: make([]byte, 16)}
	if ticket != nil {
		r.ticket, r.claim = ticket.id, ticket.claim
	}
	rand.Read(r.mark) // never fails: crypto/rand ends the program instead
	if ticket == nil || pass.Grant.Use != grants.TimeBased {
		r.grant = pass.ID
	}
	action, err := s.mark(ctx, db, r, nil, r.mark)
	e := Event{Kind: "grant", Outcome: "spent", Action: action, Method: pass.Grant.Methods.String(), Object: shortID(pass.ID)}
	if errors.Is(err, ErrNoGrant) {
		e.Outcome, e.Cause = "refused", "spent"
		s.report(ctx, *p, e)
		return Receipt{}, grants.ErrSpent
	}
	if err != nil {
		return Receipt{}, err
	}
	s.report(ctx, *p, e)
	return r, nil
}

// GiveBack makes what was spent good again, for the rest of its time. The caller
// knows for certain that nothing reached the application. It fails with
// [ErrNoGrant] where the grant was revoked meanwhile.
func (s *Service) GiveBack(ctx context.Context, p *Principal, r Receipt) error {
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return err
	}
	action, err := s.mark(ctx, db, r, r.mark, nil)
	if err != nil {
		return err
	}
	s.report(ctx, *p, Event{Kind: "grant", Outcome: "given_back", Cause: "no_upstream_reached", Action: action, Object: shortID(r.grant)})
	return nil
}

// mark replaces the marks of what the receipt is for, all of which must be as
// given, and tells for which action it was. It fails with [ErrNoGrant] where one
// is another, or gone.
func (s *Service) mark(ctx context.Context, db *records.DB, r Receipt, from, to []byte) (action string, err error) {
	var ops []store.Op
	same := func(mark []byte) bool { return subtle.ConstantTimeCompare(mark, from) == 1 }
	if r.grant != (grants.ID{}) {
		row, err := db.ReadGrant(ctx, r.h, r.grant)
		action = row.Value.Action
		if errors.Is(err, records.ErrNotFound) || err == nil && !same(row.Value.Spent) {
			return action, ErrNoGrant
		}
		if err != nil {
			return action, err
		}
		op, err := db.MarkGrant(row, to)
		if err != nil {
			return action, err
		}
		ops = append(ops, op)
	}
	if r.ticket != nil {
		row, err := db.Tickets.Get(ctx, r.h, r.ticket)
		if errors.Is(err, records.ErrNotFound) || err == nil && (!same(row.Value.Spent) || subtle.ConstantTimeCompare(row.Value.Claim, r.claim) != 1) {
			return action, ErrNoGrant
		}
		if err != nil {
			return action, err
		}
		ticket := row.Value
		action, ticket.Spent = ticket.Action, to
		if len(to) == 0 {
			ticket.Claim, ticket.ClaimedUntil = nil, time.Time{} // to be claimed anew
		}
		op, err := db.Tickets.Update(row, ticket, ticket.Expires.Add(tidyAfter))
		if err != nil {
			return action, err
		}
		ops = append(ops, op)
	}
	if len(ops) == 0 {
		return action, ErrNoGrant // a receipt for nothing
	}
	if err = db.Apply(ctx, ops...); errors.Is(err, records.ErrConflict) {
		err = ErrNoGrant
	}
	return action, err
}
