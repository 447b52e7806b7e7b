package ceremony

import (
	"context"
	"errors"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
)

// Pass is a grant that satisfied a demand.
type Pass struct {
	ID    grants.ID
	Grant grants.Grant

	row *records.Row[records.GrantRow] // as Check read it; nil: from the cache
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
	pass.Grant, pass.row = live.Grant, live.Row
	if err := pass.Grant.Check(d, &holder, &grants.Binding{Session: p.Session, Request: request}, now); err != nil {
		return Pass{}, err
	}
	if live.Spent {
		return Pass{}, grants.ErrSpent
	}
	return pass, nil
}
