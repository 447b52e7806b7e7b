package ceremony

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
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
func (s *Service) Check(ctx context.Context, p *Principal, d *grants.Demand, request [32]byte, token string) (Pass, error) {
	t, err := grants.ParseToken(token)
	if err != nil {
		return Pass{}, ErrNoGrant
	}
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return Pass{}, err
	}
	pass := Pass{ID: t.ID()}
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

// Receipt proves who spent a grant.
type Receipt struct {
	id   grants.ID
	h    grants.Holder
	mark []byte
}

// Spend uses up a one-time grant, durably, before the request that it lets
// through is passed on. Of concurrent callers exactly one succeeds (S03); the
// others fail with [ErrNoGrant].
func (s *Service) Spend(ctx context.Context, p *Principal, pass *Pass) (Receipt, error) {
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return Receipt{}, err
	}
	r := Receipt{id: pass.ID, h: pass.Grant.Holder, mark: make([]byte, 16)}
	rand.Read(r.mark) // never fails: crypto/rand ends the program instead
	row, err := db.ReadGrant(ctx, r.h, r.id)
	if err == nil && len(row.Value.Spent) > 0 {
		err = grants.ErrSpent
	}
	if err == nil {
		op, opErr := db.MarkGrant(row, r.mark)
		if opErr != nil {
			return Receipt{}, opErr
		}
		err = db.Apply(ctx, op)
	}
	if errors.Is(err, records.ErrNotFound) || errors.Is(err, records.ErrConflict) || errors.Is(err, ErrNoGrant) {
		s.report(ctx, *p, Event{Kind: "grant", Outcome: "refused", Cause: "spent", Action: row.Value.Action, Object: shortID(r.id)})
		return Receipt{}, grants.ErrSpent
	}
	if err != nil {
		return Receipt{}, err
	}
	s.report(ctx, *p, Event{Kind: "grant", Outcome: "spent", Action: row.Value.Action, Method: pass.Grant.Methods.String(), Object: shortID(r.id)})
	return r, nil
}

// GiveBack makes a spent grant good again, for the rest of its time. The caller
// knows for certain that nothing reached the application. It fails with
// [ErrNoGrant] where the grant was revoked meanwhile.
func (s *Service) GiveBack(ctx context.Context, p *Principal, r Receipt) error {
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return err
	}
	row, err := db.ReadGrant(ctx, r.h, r.id)
	if err == nil && subtle.ConstantTimeCompare(row.Value.Spent, r.mark) != 1 {
		err = records.ErrConflict
	}
	if err == nil {
		op, opErr := db.MarkGrant(row, nil)
		if opErr != nil {
			return opErr
		}
		err = db.Apply(ctx, op)
	}
	if errors.Is(err, records.ErrNotFound) || errors.Is(err, records.ErrConflict) {
		return ErrNoGrant
	}
	if err != nil {
		return err
	}
	s.report(ctx, *p, Event{Kind: "grant", Outcome: "given_back", Cause: "no_upstream_reached", Action: row.Value.Action, Object: shortID(r.id)})
	return nil
}
