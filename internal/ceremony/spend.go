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
	actions, err := s.mark(ctx, db, r, rowsOf(once), nil, r.mark)
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
	actions, err := s.mark(ctx, db, r, nil, r.mark, nil)
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

// rowsOf are the rows of passes, as Check read them; none unless it read them all.
func rowsOf(passes []Pass) []*records.Row[records.GrantRow] {
	rows := make([]*records.Row[records.GrantRow], len(passes))
	for i := range passes {
		if rows[i] = passes[i].row; rows[i] == nil {
			return nil
		}
	}
	return rows
}

// mark replaces the marks of what the receipt is for, all of which must be as
// given, and returns for which action each grant was; that of the ticket stands
// for it where no grant is spent with it. It fails with [ErrNoGrant] where one is
// another, or gone, and returns the actions up to that one.
//
// The grants' rows may be those that Check read: the change is conditional on their
// versions, so that nobody can have touched them since. Where somebody did they are
// read again.
func (s *Service) mark(ctx context.Context, db *records.DB, r Receipt, rows []*records.Row[records.GrantRow], from, to []byte) (actions []string, err error) {
	actions, err = s.markRows(ctx, db, r, rows, from, to)
	if errors.Is(err, records.ErrConflict) && len(rows) > 0 {
		actions, err = s.markRows(ctx, db, r, nil, from, to)
	}
	if errors.Is(err, records.ErrConflict) {
		err = ErrNoGrant
	}
	return actions, err
}

// markRows is mark with the grants' rows, which it reads where none are given. It
// fails with [records.ErrConflict] where something changed since it was read.
func (s *Service) markRows(ctx context.Context, db *records.DB, r Receipt, rows []*records.Row[records.GrantRow], from, to []byte) (actions []string, err error) {
	var ops []store.Op
	if rows == nil {
		rows = make([]*records.Row[records.GrantRow], len(r.grants))
	}
	same := func(mark []byte) bool { return subtle.ConstantTimeCompare(mark, from) == 1 }
	for i, id := range r.grants {
		if rows[i] == nil {
			var row records.Row[records.GrantRow]
			row, err = db.ReadGrant(ctx, r.h, id)
			rows[i] = &row
		}
		actions = append(actions, rows[i].Value.Action)
		if errors.Is(err, records.ErrNotFound) || err == nil && !same(rows[i].Value.Spent) {
			return actions, ErrNoGrant
		}
		if err != nil {
			return actions, err
		}
		op, err := db.MarkGrant(*rows[i], to)
		if errors.Is(err, records.ErrNotFound) {
			return actions, ErrNoGrant
		}
		if err != nil {
			return actions, err
		}
		ops = append(ops, op)
	}
	if r.ticket != nil {
		op, action, err := markTicket(ctx, db, r, same, to)
		if len(actions) == 0 {
			actions = append(actions, action)
		}
		if err != nil {
			return actions, err
		}
		ops = append(ops, op)
	}
	if len(ops) == 0 {
		return actions, ErrNoGrant // a receipt for nothing
	}
	if err := db.Apply(ctx, ops...); err != nil {
		return actions, err
	}
	for _, row := range rows {
		if !db.IsCurrent(*row) { // a new generation began since it was read
			return actions, ErrNoGrant
		}
	}
	return actions, nil
}

// markTicket is the op that replaces the mark of the receipt's ticket, and the action
// that the ticket is for.
func markTicket(ctx context.Context, db *records.DB, r Receipt, same func(mark []byte) bool, to []byte) (op store.Op, action string, err error) {
	row, err := db.Tickets.Get(ctx, r.h, r.ticket)
	ticket := row.Value
	if errors.Is(err, records.ErrNotFound) || err == nil && (!same(ticket.Spent) || subtle.ConstantTimeCompare(ticket.Claim, r.claim) != 1) {
		return op, ticket.Action, ErrNoGrant
	}
	if err != nil {
		return op, ticket.Action, err
	}
	ticket.Spent = to
	if len(to) == 0 {
		ticket.Claim, ticket.ClaimedUntil = nil, time.Time{} // to be claimed anew
	}
	op, err = db.Tickets.Update(row, ticket, ticket.Until().Add(tidyAfter))
	return op, ticket.Action, err
}
