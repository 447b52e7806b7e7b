package ceremony

import (
	"context"
	"errors"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// RevokeGrant ends p's grant of that id. [ErrNotFound] where p has none such.
func (s *Service) RevokeGrant(ctx context.Context, p Principal, id string) error {
	ctx = store.Taking(ctx)
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return err
	}
	raw, ok := parseID(id, len(grants.ID{}))
	if !ok {
		return ErrNotFound
	}
	row, err := db.ReadGrant(ctx, db.Holder(p.Subject), grants.ID(raw))
	if errors.Is(err, records.ErrNotFound) {
		return ErrNotFound
	}
	if err == nil {
		err = db.Apply(ctx, db.DropGrant(row))
	}
	e := Event{Kind: EventRevoke, Outcome: Done, Action: row.Value.Action, Object: shortID(grants.ID(raw))}
	if err != nil {
		e.Outcome, e.Cause = Refused, causeOf(err)
	}
	s.report(ctx, p, e)
	return err
}

// dropGrants revokes the holder's grants that which picks, and counts them. A
// spent one is dropped too, so that it cannot be given back.
func (s *Service) dropGrants(ctx context.Context, db *records.DB, h grants.Holder, which func(records.Row[records.GrantRow]) bool) (int, error) {
	ctx = store.Taking(ctx)
	rows, err := db.GrantsOf(ctx, h, maxListed)
	if err != nil {
		return 0, err
	}
	var ops []store.Op
	for _, row := range rows {
		if which(row) {
			ops = append(ops, db.DropGrant(row))
		}
	}
	return len(ops), db.ApplyInParts(ctx, ops)
}

// maxListed bounds what is read of one subject at once. It is far above what
// one subject can win in the life of a grant.
const maxListed = 100_000
