package records

import (
	"context"
	"time"

	"github.com/stepup-gateway/caddy-stepup/totp"
)

// maxLatest bounds how many records of a kind are read for their times, and
// latestPage how many at once.
const (
	maxLatest  = 10_000
	latestPage = 500
)

// latest is the latest time in what is stored, as far as it is cheap to find: no
// machine's clock alone decides which codes may have been used.
func (db *DB) latest(ctx context.Context) (time.Time, error) {
	view := db.mendable()
	var latest time.Time
	see := func(times ...time.Time) {
		for _, t := range times {
			if t.After(latest) {
				latest = t
			}
		}
	}
	err := eachOf(ctx, view.Accounts, func(a *Account) {
		for _, x := range a.Authenticators {
			see(x.CreatedAt, x.LastUsedAt)
			if x.TOTP != nil {
				see(time.Unix(int64(x.TOTP.Last)*int64(totp.Period/time.Second), 0))
			}
		}
	})
	if err == nil {
		err = eachOf(ctx, view.APIKeys, func(k *APIKey) { see(k.CreatedAt, k.LastUsedAt) })
	}
	if err == nil {
		err = eachOf(ctx, view.grantRows, func(g *GrantRow) { see(time.Unix(0, g.AuthTime)) })
	}
	return latest, err
}

// eachOf calls see with records of a table, maxLatest of them at most.
func eachOf[T any](ctx context.Context, t Table[T], see func(*T)) error {
	var cursor []byte
	for n := 0; n < maxLatest; n += latestPage {
		rows, next, err := t.All(ctx, cursor, latestPage)
		if err != nil {
			return err
		}
		for i := range rows {
			see(&rows[i].Value)
		}
		if cursor = next; len(next) == 0 {
			break
		}
	}
	return nil
}
