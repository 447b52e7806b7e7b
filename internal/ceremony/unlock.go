package ceremony

import (
	"context"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
)

// UnlockAll forgives wrong answers to those of up to limit subjects that have any,
// of one tenant or with the empty one of all, and counts those it unlocked. Each is
// reported as by [Service.Unlock]. The cursor that is returned continues; an empty
// one tells that there are no more.
func (s *Service) UnlockAll(ctx context.Context, tenant string, cursor []byte, limit int) (unlocked int, next []byte, err error) {
	db, err := s.open(ctx)
	if err != nil {
		return 0, nil, err
	}
	rows, next, err := db.Accounts.All(ctx, cursor, min(max(limit, 1), maxUsers))
	if err != nil {
		return 0, nil, err
	}
	for _, row := range rows {
		a := &row.Value
		if tenant != "" && a.Tenant != tenant {
			continue
		}
		counted, err := db.Attempts.List(ctx, db.Accounts.Holder(row), nil, maxListed)
		if err != nil {
			return unlocked, nil, err
		}
		if !hasWrong(counted) {
			continue
		}
		if err := s.Unlock(ctx, grants.Subject{Tenant: a.Tenant, User: a.User}); err != nil {
			return unlocked, nil, err
		}
		unlocked++
	}
	return unlocked, next, nil
}

func hasWrong(counted []records.Row[records.Attempts]) bool {
	for _, row := range counted {
		if row.Value.Total() > 0 || !row.Value.NotBefore.IsZero() {
			return true
		}
	}
	return false
}
