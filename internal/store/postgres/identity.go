package postgres

import (
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
	cause      string // of the generation
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
	pg_backend_pid(), m.cause
	FROM step_up_meta m`

// beginGeneration makes what is found the state that counts, if nobody was faster.
// Versions jump beyond all that a lost end of the log can have given out, before
// anybody can write under the new generation. The row is locked before the jump:
// whoever comes second finds another generation in it, and must not take versions
// back that were given out since.
const beginGeneration = `WITH held AS (
		SELECT generation FROM step_up_meta WHERE generation = $3 FOR UPDATE),
	jump AS MATERIALIZED (
		SELECT generation, setval('step_up_version', (generation + 1) << 40) AS version FROM held)
	UPDATE step_up_meta m SET generation = m.generation + 1, timeline = $1, system = $2, since = clock_timestamp(), cause = $4
	FROM jump WHERE m.generation = jump.generation AND jump.version > 0
	RETURNING m.generation`

// meet looks which server it is, and whether it will do, where it is not old any
// more, and begins the next
// generation where it is another one than the database has recorded.
func (s *Store) meet(ctx context.Context, old *identity) error {
	s.meeting.Lock()
	defer s.meeting.Unlock()
	if s.known.Load() != old {
		return nil // somebody else did
	}
	if err := s.examine(ctx, old == nil); err != nil {
		return err
	}
	for range 3 {
		id, recorded, err := s.look(ctx)
		if err != nil {
			return err
		}
		if id.timeline == recorded.timeline && id.system == recorded.system {
			if old == nil || old.generation != id.generation {
				s.lease.end()
				s.pass(nil)
			}
			s.known.Store(id)
			return nil
		}
		var generation int64
		err = s.pool.QueryRow(ctx, beginGeneration, s.mode(), id.timeline, id.system, id.generation, changed(id, recorded)).Scan(&generation)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return fmt.Errorf("beginning a new generation: %w", classify(err, true))
		}
	}
	return fmt.Errorf("%w: the database server changes again and again", store.ErrUnavailable)
}

// changed says why a generation begins, for operators.
func changed(found, recorded *identity) string {
	if found.system != recorded.system {
		return "the database is in another cluster than before: a copy of it was restored"
	}
	return fmt.Sprintf("the database server went from timeline %s to %s: a standby was promoted, or a backup restored", recorded.timeline, found.timeline)
}

// look reads which server it is, and which one the database has recorded.
func (s *Store) look(ctx context.Context) (id, recorded *identity, err error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, nil, classify(err, false)
	}
	defer conn.Release()
	var schema int
	var pid uint32
	id, recorded = new(identity), new(identity)
	err = conn.QueryRow(ctx, readIdentity, pgx.QueryExecModeExec).Scan(&schema, &id.generation, &recorded.timeline, &recorded.system,
		&id.timeline, &id.system, &id.started, &pid, &id.cause)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil, errNoSchema
	}
	if err != nil {
		return nil, nil, classify(err, false)
	}
	if schema != schemaVersion {
		return nil, nil, schemaDiffers(schema)
	}
	// A pooler makes up the process numbers that it tells.
	s.direct.Store(conn.Conn().PgConn().PID() == pid)
	return id, recorded, nil
}
