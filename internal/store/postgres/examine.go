package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// oldestServer is what server_version_num must be at least.
const oldestServer = 140000

const readSettings = `SELECT current_setting('server_version_num')::integer, pg_is_in_recovery(),
	current_setting('fsync') = 'on', current_setting('full_page_writes') = 'on', current_setting('synchronous_commit'),
	current_setting('synchronous_standby_names') <> ''`

// standbys needs more than a plain role may see: the state of others' connections is
// hidden, their number is not.
const countStandbys = `SELECT count(*), count(*) FILTER (WHERE sync_state IN ('sync', 'quorum')), count(*) FILTER (WHERE sync_state IS NULL) FROM pg_stat_replication`

// examine refuses a server on which what is acknowledged could be lost without its
// having been told. The errors are sentences for operators. Only at the start
// does it refuse one without a synchronous standby: after a failover there is none
// for a while.
func (s *Store) examine(ctx context.Context, conn *pgx.Conn, starting bool) error {
	var version int
	var recovering, fsync, fullPages, named bool
	var commit string
	err := conn.QueryRow(ctx, readSettings).Scan(&version, &recovering, &fsync, &fullPages, &commit, &named)
	if err != nil {
		return classify(err, false)
	}
	switch {
	case version < oldestServer:
		return unfit("the server is PostgreSQL %d, and 14 is the oldest that will do", version/10000)
	case recovering:
		return errStandby
	case !fsync:
		return unfit("the server has fsync = off, by which a crash loses what was acknowledged: set it to on")
	case !fullPages:
		return unfit("the server has full_page_writes = off, by which a crash damages the database: set it to on")
	case commit == "off" || commit == "local":
		return unfit("the server has synchronous_commit = %s for this role, by which a crash loses what was acknowledged: set it to on", commit)
	}
	var all, synchronous, hidden int
	if err := conn.QueryRow(ctx, countStandbys).Scan(&all, &synchronous, &hidden); err != nil {
		return classify(err, false)
	}
	switch {
	case synchronous > 0:
	case starting && s.standbyRequired && hidden > 0:
		return unfit("`standby required`: the role may not see whether a standby is synchronous: GRANT pg_read_all_stats to it")
	case starting && s.standbyRequired:
		return unfit("`standby required`: the server has no synchronous standby now: start it, or set synchronous_standby_names on the server")
	case s.standbyRequired:
		s.log.Warn("the database server has no synchronous standby now: another failover may lose the last changes")
	case all > 0 && !(hidden > 0 && named):
		s.log.Warn("the database server has standbys, and none is synchronous: a failover loses the last changes that were acknowledged; " +
			"what could be used once is not good again then, and people are asked anew")
	}
	return nil
}

func unfit(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{store.ErrUnfit}, args...)...)
}
