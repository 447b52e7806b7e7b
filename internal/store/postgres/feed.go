package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/internal/clock"
	"github.com/stepup-gateway/caddy-stepup/internal/store/remote"
)

const (
	// forgottenAfter is how long a process may go without a complete reading before
	// rows of the feed may be gone that it has not seen; they stay for an hour.
	forgottenAfter = 10 * time.Minute
	keepFeed       = `interval '1 hour'`
)

// readFeed returns what transactions told that were not over at the last reading,
// and where to begin the next time. A row may commit long after one with a higher
// number, so that numbers are no place to go on from. pg_current_snapshot is the
// snapshot of this very statement: whatever it does not see has an xid of at least
// its xmin. But a server that crashed gives out again the xids of transactions that
// left nothing on its disk. Every row that was seen was on the disk, so what is
// written after a crash has a higher number, and none that is lower commits late.
const readFeed = `WITH m AS (` + sameServer + `)
	SELECT m.ok, pg_snapshot_xmin(pg_current_snapshot())::text, clock_timestamp(), f.id, f.key
	FROM m LEFT JOIN step_up_feed f ON m.ok AND (f.xid >= $4::text::xid8 OR f.id > $5)`

// tellNames is the part of a change that writes its names.
const tellNames = `, f AS (INSERT INTO step_up_feed (key) SELECT one FROM unnest($%d::bytea[]) AS one WHERE EXISTS (SELECT FROM w))`

const sweepFeed = `WITH m AS (` + sameServer + `)
	DELETE FROM step_up_feed USING m WHERE m.ok AND at < clock_timestamp() - ` + keepFeed

// feed is where reading stands. It belongs to the supervisor.
type feed struct {
	generation int64
	mark       string
	seen       map[int64]bool // rows of the last reading
	last       int64          // the highest number of a row that was seen
	began      time.Time      // of the last complete reading
}

// follow reads the feed, passes on what is new, and renews the lease.
func (s *Store) follow(ctx context.Context) error {
	return s.known.Do(ctx, func(id *identity) error {
		if s.rivals.gone() {
			return remote.ErrMoved
		}
		f := &s.feed
		began := time.Now()
		if f.mark == "" || f.generation != id.generation || !remote.Within(f.began, began, forgottenAfter) {
			s.Pass(nil)
			*f = feed{generation: id.generation, mark: "0", seen: map[int64]bool{}}
		}
		names, err := s.readNames(ctx, id)
		if err != nil {
			return err
		}
		if len(names) > 0 {
			s.Pass(names)
		}
		f.began = began
		s.heard.Store(&began)
		s.tellClock(s.clock.refusal())
		if err := s.refusal(); err != nil {
			s.lease.End()
			return err
		}
		s.lease.Renew(began)
		return nil
	})
}

func (s *Store) readNames(ctx context.Context, id *identity) (names [][]byte, err error) {
	f := &s.feed
	from := clock.Now()
	rows, err := s.watch.Query(ctx, readFeed, s.sent(id.args(f.mark, f.last))...)
	if err != nil {
		return nil, classify(err, false)
	}
	defer rows.Close()
	seen, mark, shown := map[int64]bool{}, "", time.Time{}
	for rows.Next() {
		var ok bool
		var number *int64
		var name []byte
		if err := rows.Scan(&ok, &mark, &shown, &number, &name); err != nil {
			return nil, classify(err, false)
		}
		if !ok {
			return nil, remote.ErrMoved
		}
		if number == nil {
			continue
		}
		if seen[*number] = true; !f.seen[*number] {
			names = append(names, name)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, classify(err, false)
	}
	if mark == "" {
		return nil, errNoSchema
	}
	s.clock.told(shown, from, clock.Now())
	f.seen, f.mark = seen, mark
	for number := range seen {
		f.last = max(f.last, number)
	}
	return names, nil
}

// channel is what is notified after something was told. It needs a connection of
// its own, and is for speed alone.
const channel = "step_up"

// notify tells the other processes to read now, once for all that was told within
// some milliseconds. It is sent after the change, and not within it: PostgreSQL
// holds a lock over the whole server while a transaction with a notification
// commits.
func (s *Store) notify(ctx context.Context) {
	const together = 5 * time.Millisecond
	var conn *pgx.Conn
	defer func() {
		if conn != nil {
			conn.Close(context.WithoutCancel(ctx))
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.telling:
		}
		time.Sleep(together)
		select {
		case <-s.telling:
		default:
		}
		if s.pooled.Load() {
			continue
		}
		err := s.sendNotice(ctx, &conn)
		if err != nil && ctx.Err() == nil {
			s.log.Debug("no notice of a change was given; others see it when they read next", zap.Error(err))
		}
	}
}

func (s *Store) sendNotice(ctx context.Context, conn **pgx.Conn) (err error) {
	ctx, cancel := context.WithTimeout(ctx, remote.CallTimeout)
	defer cancel()
	if *conn == nil {
		if *conn, err = pgx.ConnectConfig(ctx, s.pool.Config().ConnConfig); err != nil {
			*conn = nil
			return err
		}
	}
	if _, err = (*conn).Exec(ctx, "NOTIFY "+channel); err != nil {
		(*conn).Close(ctx)
		*conn = nil
	}
	return err
}

// listen wakes the supervisor when others give notice.
func (s *Store) listen(ctx context.Context) {
	for ctx.Err() == nil {
		if !s.pooled.Load() {
			if err := s.heed(ctx); err != nil && ctx.Err() == nil {
				s.log.Debug("notices of changes are not heard", zap.Error(err))
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func (s *Store) heed(ctx context.Context) error {
	connecting, cancel := context.WithTimeout(ctx, remote.CallTimeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(connecting, s.pool.Config().ConnConfig)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(connecting, "LISTEN "+channel); err != nil {
		return err
	}
	for {
		wait, cancel := context.WithTimeout(ctx, time.Minute)
		_, err := conn.WaitForNotification(wait)
		cancel()
		switch {
		case err == nil:
			remote.Wake(s.noticed)
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, context.DeadlineExceeded) && !conn.IsClosed():
			// Nothing was told; the connection may be dead without it.
			ping, cancel := context.WithTimeout(ctx, remote.CallTimeout)
			err := conn.Ping(ping)
			cancel()
			if err != nil {
				return err
			}
		default:
			return err
		}
	}
}
