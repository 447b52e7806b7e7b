package ceremony

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/store"
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

// Receipt proves who spent grants, a held request's ticket, or both.
type Receipt struct {
	h      grants.Holder
	grants []grants.ID // none: time-based ones, which are not spent
	ticket []byte      // the record's id; nil: no request was held
	claim  []byte      // under which the ticket is redeemed
	mark   []byte
}

// Spend uses up a one-time grant, durably, before the request that it lets
// through is passed on. Of concurrent callers exactly one succeeds (S03); the
// others fail with [ErrNoGrant].
func (s *Service) Spend(ctx context.Context, p *Principal, pass *Pass) (Receipt, error) {
	passes := []Pass{*pass}
	return s.spend(ctx, p, passes, passes, nil)
}

// SpendAll is [Service.Spend] for a request that needs several grants: all that
// are good for one request only are used up, or none is.
func (s *Service) SpendAll(ctx context.Context, p *Principal, passes []Pass) (Receipt, error) {
	return s.spend(ctx, p, passes, onceOnly(passes), nil)
}

func onceOnly(passes []Pass) []Pass {
	once := make([]Pass, 0, len(passes))
	for i := range passes {
		if passes[i].Grant.Use != grants.TimeBased {
			once = append(once, passes[i])
		}
	}
	return once
}

// spend uses up those of a request's grants that are in once, and the ticket, if
// there is one, in one Apply.
func (s *Service) spend(ctx context.Context, p *Principal, passes, once []Pass, ticket *Ticket) (Receipt, error) {
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return Receipt{}, err
	}
	r := Receipt{h: db.Holder(p.Subject), mark: make([]byte, 16)}
	if ticket != nil {
		r.ticket, r.claim = ticket.id, ticket.claim
	}
	rand.Read(r.mark) // never fails: crypto/rand ends the program instead
	for i := range once {
		r.grants = append(r.grants, once[i].ID)
	}
	if len(once) > 0 {
		passes = once // to be reported
	}
	actions, err := s.mark(ctx, db, r, nil, r.mark)
	if err != nil && !errors.Is(err, ErrNoGrant) {
		return Receipt{}, err
	}
	for i, action := range actions {
		e := Event{Kind: "grant", Outcome: "spent", Action: action}
		if i < len(passes) {
			e.Method, e.Object = passes[i].Grant.Methods.String(), shortID(passes[i].ID)
		}
		if err != nil {
			e.Outcome, e.Cause = "refused", "spent"
		}
		s.report(ctx, *p, e)
	}
	if err != nil {
		return Receipt{}, grants.ErrSpent
	}
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
	actions, err := s.mark(ctx, db, r, r.mark, nil)
	if err != nil {
		return err
	}
	for i, action := range actions {
		e := Event{Kind: "grant", Outcome: "given_back", Cause: "no_upstream_reached", Action: action}
		if i < len(r.grants) {
			e.Object = shortID(r.grants[i])
		}
		s.report(ctx, *p, e)
	}
	return nil
}

// mark replaces the marks of what the receipt is for, all of which must be as
// given, and returns for which action each grant was; that of the ticket stands
// for it where no grant is spent with it. It fails with [ErrNoGrant] where one is
// another, or gone, and returns the actions up to that one.
func (s *Service) mark(ctx context.Context, db *records.DB, r Receipt, from, to []byte) (actions []string, err error) {
	var ops []store.Op
	same := func(mark []byte) bool { return subtle.ConstantTimeCompare(mark, from) == 1 }
	for _, id := range r.grants {
		row, err := db.ReadGrant(ctx, r.h, id)
		actions = append(actions, row.Value.Action)
		if errors.Is(err, records.ErrNotFound) || err == nil && !same(row.Value.Spent) {
			return actions, ErrNoGrant
		}
		if err != nil {
			return actions, err
		}
		op, err := db.MarkGrant(row, to)
		if err != nil {
			return actions, err
		}
		ops = append(ops, op)
	}
	if r.ticket != nil {
		row, err := db.Tickets.Get(ctx, r.h, r.ticket)
		if len(actions) == 0 {
			actions = append(actions, row.Value.Action)
		}
		if errors.Is(err, records.ErrNotFound) || err == nil && (!same(row.Value.Spent) || subtle.ConstantTimeCompare(row.Value.Claim, r.claim) != 1) {
			return actions, ErrNoGrant
		}
		if err != nil {
			return actions, err
		}
		ticket := row.Value
		ticket.Spent = to
		if len(to) == 0 {
			ticket.Claim, ticket.ClaimedUntil = nil, time.Time{} // to be claimed anew
		}
		op, err := db.Tickets.Update(row, ticket, ticket.Expires.Add(tidyAfter))
		if err != nil {
			return actions, err
		}
		ops = append(ops, op)
	}
	if len(ops) == 0 {
		return actions, ErrNoGrant // a receipt for nothing
	}
	if err = db.Apply(ctx, ops...); errors.Is(err, records.ErrConflict) {
		err = ErrNoGrant
	}
	return actions, err
}
