package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// identity is which server it is, and which state of it: a promoted standby has
// another timeline, a restored copy too, another cluster another system identifier;
// and none of them can be reached without another time of start. The generation is
// ours: it is raised whenever one of these is found to have changed.
type identity struct {
	generation int64
	timeline   string
	system     int64
	started    time.Time
	since      time.Time // of the generation
	cause      string    // of the generation
}

// sameServer is the condition, in a statement, that the server is the one that is
// known; see identity.args. The last member makes the commit of this very
// transaction wait for the disk, whatever the session's default is: a session of a
// pooler is not ours to set.
const sameServer = `SELECT generation = $1::bigint
	AND substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) = $2::text
	AND pg_postmaster_start_time() = $3::timestamptz
	AND set_config('synchronous_commit', CASE WHEN current_setting('synchronous_commit') = 'remote_apply' THEN 'remote_apply' ELSE 'on' END, true) <> '' AS ok
	FROM step_up_meta`

// args are the parameters $1 to $3, before those of the statement.
func (id *identity) args(more ...any) []any {
	return append([]any{id.generation, id.timeline, id.started}, more...)
}

const readIdentity = `SELECT m.schema, m.generation, m.timeline, m.system,
	substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8), (SELECT system_identifier FROM pg_control_system()), pg_postmaster_start_time(),
	m.since, m.cause
	FROM step_up_meta m`

// beginGeneration makes what is found the state that counts, if nobody was faster.
// Versions jump beyond all that a lost end of the log can have given out, before
// anybody can write under the new generation. The row is locked before the jump:
// whoever comes second finds another generation in it, and must not take versions
// back that were given out since. The 40 are [store.VersionBits].
const beginGeneration = `WITH held AS (
		SELECT generation FROM step_up_meta WHERE generation = $3 FOR UPDATE),
	jump AS MATERIALIZED (
		SELECT generation, setval('step_up_version', (greatest(generation, $5) + 1) << 40) AS version FROM held)
	UPDATE step_up_meta m SET generation = greatest(m.generation, $5) + 1, timeline = $1, system = $2, since = clock_timestamp(), cause = $4
	FROM jump WHERE m.generation = jump.generation AND jump.version > 0
	RETURNING m.generation`

// meet looks which server it is, and whether it will do, where it is not old any
// more, and begins the next generation where it is another one than the database has
// recorded.
func (s *Store) meet(ctx context.Context, old *identity) error {
	s.meeting.Lock()
	defer s.meeting.Unlock()
	if s.known.Load() != old {
		return nil // somebody else did
	}
	// All on one connection: two may lead to two servers.
	conn, err := s.watch.Acquire(ctx)
	if err != nil {
		return classify(err, false)
	}
	defer conn.Release()
	id, err := s.settle(ctx, conn.Conn(), old)
	if err != nil {
		if errors.Is(err, errStandby) {
			conn.Conn().Close(ctx) // the next one leads to another server
		}
		return err
	}
	if old == nil || old.generation != id.generation {
		s.lease.End()
		s.Pass(nil)
	}
	s.known.Store(id)
	if s.rivals.settle() {
		s.log.Info("only one database server takes writes again")
	}
	if old != nil && !id.isServer(old) {
		// Through a pooler they may lead to the old server, once it is back.
		s.pool.Reset()
		s.watch.Reset()
	}
	return nil
}

// settle returns the identity of the server that the connection leads to, in a
// generation that began with it.
func (s *Store) settle(ctx context.Context, conn *pgx.Conn, old *identity) (*identity, error) {
	if err := s.examine(ctx, conn, old == nil); err != nil {
		return nil, err
	}
	for range 3 {
		id, recorded, err := look(ctx, conn)
		if err != nil {
			return nil, err
		}
		cause := cmp.Or(id.differs(recorded, old), s.rivals.cause(id.generation))
		if cause == "" {
			return id, nil
		}
		if _, err := id.begin(ctx, conn, old, cause); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w: the database server changes again and again", store.ErrUnavailable)
}

// isServer reports whether both are of one server, from one start to its end.
func (id *identity) isServer(other *identity) bool {
	return id.system == other.system && id.timeline == other.timeline && id.started.Equal(other.started)
}

// differs says why the server's state is another one than the database has recorded,
// or than the one that was met before, for operators; empty: it is neither.
func (id *identity) differs(recorded, old *identity) string {
	switch {
	case id.system != recorded.system:
		return "the database is in another cluster than before: a copy of it was restored"
	case id.timeline != recorded.timeline:
		return fmt.Sprintf("the database server went from timeline %s to %s: a standby was promoted, or a backup restored", recorded.timeline, id.timeline)
	case old != nil && id.generation <= old.generation && !id.since.Equal(old.since):
		// Two standbys, promoted one after the other, begin the same timeline and
		// generation, each its own.
		return "the database is another one than this gateway knew: a standby was promoted, or a backup restored, without the last generation"
	}
	return ""
}

// begin begins a generation above all that are known, and returns it; 0: somebody was
// faster.
func (id *identity) begin(ctx context.Context, conn *pgx.Conn, old *identity, cause string) (generation int64, err error) {
	above := id.generation
	if old != nil {
		above = max(above, old.generation)
	}
	err = conn.QueryRow(ctx, beginGeneration, id.timeline, id.system, id.generation, cause, above).Scan(&generation)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return 0, fmt.Errorf("beginning a new generation: %w", classify(err, true))
	}
	return generation, nil
}

// look reads which server it is, and which one the database has recorded.
func look(ctx context.Context, conn *pgx.Conn) (id, recorded *identity, err error) {
	var schema int
	id, recorded = new(identity), new(identity)
	err = conn.QueryRow(ctx, readIdentity).Scan(&schema, &id.generation, &recorded.timeline, &recorded.system,
		&id.timeline, &id.system, &id.started, &id.since, &id.cause)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil, errNoSchema
	}
	if err != nil {
		return nil, nil, classify(err, false)
	}
	if schema != schemaVersion {
		return nil, nil, schemaDiffers(schema)
	}
	return id, recorded, nil
}
