package postgres

import (
	"context"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"
)

// Sweeping is done by every gateway that uses the database, in small bites that
// pass by what others have locked. The times are those of the statement, which an
// index can be asked for; clock_timestamp is volatile.
const (
	sweepEvery = time.Minute
	sweepBite  = 1000
)

const (
	// What has run out dies before it goes, so that whoever judges it absent has a
	// row to lock; and some time after, since it is gateways' clocks by which it does.
	sweepExpired = `WITH m AS (` + sameServer + `), old AS (
			SELECT key FROM step_up_kv, m WHERE m.ok AND NOT dead AND expires < statement_timestamp() - interval '10 minutes' LIMIT $4 FOR UPDATE OF step_up_kv SKIP LOCKED)
		UPDATE step_up_kv k SET value = '', version = nextval('step_up_version'), dead = true, expires = ` + deadFor + `
		FROM old WHERE k.key = old.key`

	sweepDead = `WITH m AS (` + sameServer + `), old AS (
			SELECT key FROM step_up_kv, m WHERE m.ok AND dead AND expires < statement_timestamp() LIMIT $4 FOR UPDATE OF step_up_kv SKIP LOCKED)
		DELETE FROM step_up_kv k USING old WHERE k.key = old.key`
)

// sweepOften sweeps until ctx ends.
func (s *Store) sweepOften(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(sweepEvery/2 + rand.N(sweepEvery)):
		}
		id := s.known.Load()
		if id == nil {
			continue
		}
		sweeping, cancel := context.WithTimeout(ctx, sweepEvery)
		if err := s.sweep(sweeping, id); err != nil && ctx.Err() == nil {
			s.log.Debug("rows that are gone could not be removed; it is tried again", zap.Error(err))
		}
		cancel()
	}
}

// sweep removes what nobody misses.
func (s *Store) sweep(ctx context.Context, id *identity) error {
	for _, statement := range []string{sweepExpired, sweepDead} {
		for {
			tag, err := s.pool.Exec(ctx, statement, s.sent(id.args(sweepBite))...)
			if err != nil {
				return classify(err, false)
			}
			if tag.RowsAffected() < sweepBite {
				break
			}
		}
	}
	if _, err := s.pool.Exec(ctx, sweepFeed, s.sent(id.args())...); err != nil {
		return classify(err, false)
	}
	return nil
}
