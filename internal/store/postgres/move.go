package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/store/remote"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// pageOf selects the rows for which a condition holds, in the order of their keys, up to
// a number of them, and ends the page by what its values come to: the server knows their
// lengths without reading them.
func pageOf(condition, limit, size string) string {
	return `SELECT key, value, expires FROM (
			SELECT key, value, expires, sum(octet_length(value)) OVER (ORDER BY key) - octet_length(value) AS before FROM (
				SELECT key, value, expires FROM step_up_kv WHERE NOT dead AND ` + condition + ` ORDER BY key LIMIT ` + limit + `) page) sized
		WHERE before <= ` + size
}

var dumpSome = `WITH m AS (` + sameServer + `)
	SELECT m.ok, k.key, k.value, k.expires FROM m LEFT JOIN LATERAL (` + pageOf("key > $4 AND m.ok", "$5", "$6") + `) k ON true
	ORDER BY k.key`

// dumped is a row of a page.
func dumped(key, value []byte, ends *time.Time) store.Op {
	op := store.Op{Key: key, Value: value}
	if ends != nil {
		op.Expires = ends.Add(time.Microsecond) // of which it is kept in whole ones
	}
	return op
}

// Dump implements [store.Movable].
func (s *Store) Dump(ctx context.Context, after []byte, limit int) ([]store.Op, error) {
	if err := store.CheckList(nil, after, limit); err != nil {
		return nil, err
	}
	last := append([]byte{}, after...)
	var found []store.Op
	_, err := s.calls.Do(ctx, func(ctx context.Context) error {
		return s.knowing(ctx, func(id *identity) error {
			var ops []store.Op
			var key, value []byte
			var ends *time.Time
			err := s.each(ctx, dumpSome, id.args(last, limit, store.MaxValue), []any{&key, &value, &ends}, func() {
				if key == nil {
					return // there are no more
				}
				ops = append(ops, dumped(key, value, ends))
			})
			found = ops
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// EndGeneration implements [store.Shared].
func (s *Store) EndGeneration(ctx context.Context, cause string) (began uint64, err error) {
	_, err = s.calls.Do(ctx, func(ctx context.Context) error {
		return s.knowing(ctx, func(id *identity) error {
			conn, err := s.watch.Acquire(ctx)
			if err != nil {
				return classify(err, false)
			}
			generation, err := id.begin(ctx, conn.Conn(), nil, cause)
			conn.Release()
			if err == nil && generation == 0 {
				err = fmt.Errorf("%w: by another process, at the same time", store.ErrFenced)
			}
			if err != nil {
				return err
			}
			began = uint64(generation)
			return s.meet(ctx, id)
		})
	})
	return began, err
}

// countOthers counts the processes that asked something since a time, of which the
// server shows the last that each of its connections was used by. A pooler gives one
// connection to many, but none to anybody else than the one in a transaction; so it is
// asked in one, again and again. What other roles do is hidden from this one.
const countOthers = `SELECT count(DISTINCT application_name) FROM pg_stat_activity
	WHERE datname = current_database() AND application_name LIKE '%step\_up ________________' AND application_name <> $1
		AND query_start > $2`

// Others implements [store.Shared]. Each process asks every VisitEvery.
func (s *Store) Others(ctx context.Context) (n int, err error) {
	_, err = s.calls.Do(ctx, func(ctx context.Context) error {
		tx, err := s.pool.Begin(ctx)
		if err != nil {
			return classify(err, false)
		}
		defer tx.Rollback(context.WithoutCancel(ctx)) // it has changed nothing
		var began time.Time
		if err := tx.QueryRow(ctx, "SELECT clock_timestamp()", s.sent(nil)...).Scan(&began); err != nil {
			return classify(err, false)
		}
		for end := time.Now().Add(10 * remote.VisitEvery); n == 0 && time.Now().Before(end); time.Sleep(lookPause) {
			if _, err := tx.Exec(ctx, "SELECT pg_stat_clear_snapshot()", s.sent(nil)...); err != nil {
				return classify(err, false)
			}
			if err := tx.QueryRow(ctx, countOthers, s.sent([]any{s.name, began})...).Scan(&n); err != nil {
				return classify(err, false)
			}
		}
		return nil
	})
	return n, err
}

const lookPause = 25 * time.Millisecond
