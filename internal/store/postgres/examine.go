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

// setup is how a server is set up, as far as what is promised depends on it.
type setup struct {
	version                               int
	recovering, fsync, fullPages, named   bool
	commit                                string
	standbys, synchronous, hiddenStandbys int
}

func setupOf(ctx context.Context, conn *pgx.Conn) (x setup, err error) {
	err = conn.QueryRow(ctx, readSettings).Scan(&x.version, &x.recovering, &x.fsync, &x.fullPages, &x.commit, &x.named)
	if err == nil {
		err = conn.QueryRow(ctx, countStandbys).Scan(&x.standbys, &x.synchronous, &x.hiddenStandbys)
	}
	if err != nil {
		return x, classify(err, false)
	}
	return x, nil
}

// refusal says why what is acknowledged could be lost on the server without its having
// been told. The errors are sentences for operators.
func (x setup) refusal() error {
	switch {
	case x.version < oldestServer:
		return unfit("the server is PostgreSQL %d, and 14 is the oldest that will do", x.version/10000)
	case x.recovering:
		return errStandby
	case !x.fsync:
		return unfit("the server has fsync = off, by which a crash loses what was acknowledged: set it to on")
	case !x.fullPages:
		return unfit("the server has full_page_writes = off, by which a crash damages the database: set it to on")
	case x.commit == "off" || x.commit == "local":
		return unfit("the server has synchronous_commit = %s for this role, by which a crash loses what was acknowledged: set it to on", x.commit)
	}
	return nil
}

// withoutStandby says what is missing where a synchronous standby is required.
func (x setup) withoutStandby() error {
	switch {
	case x.synchronous > 0:
		return nil
	case x.hiddenStandbys > 0:
		return unfit("`standby required`: the role may not see whether a standby is synchronous: GRANT pg_read_all_stats to it")
	}
	return unfit("`standby required`: the server has no synchronous standby now: start it, or set synchronous_standby_names on the server")
}

// losesLast reports whether there are standbys, and none is synchronous as far as can
// be seen.
func (x setup) losesLast() bool {
	return x.synchronous == 0 && x.standbys > 0 && !(x.hiddenStandbys > 0 && x.named)
}

const losesLast = "the database server has standbys, and none is synchronous: a failover loses the last changes that were acknowledged; " +
	"what could be used once is not good again then, and people are asked anew"

// examine refuses a server that will not do. Only at the start does it refuse one
// without a synchronous standby: after a failover there is none for a while.
func (s *Store) examine(ctx context.Context, conn *pgx.Conn, starting bool) error {
	x, err := setupOf(ctx, conn)
	if err != nil {
		return err
	}
	if err := x.refusal(); err != nil {
		return err
	}
	switch missing := x.withoutStandby(); {
	case missing == nil:
	case s.standbyRequired && starting:
		return missing
	case s.standbyRequired:
		s.log.Warn("the database server has no synchronous standby now: another failover may lose the last changes")
	case x.losesLast():
		s.log.Warn(losesLast)
	}
	return nil
}

func unfit(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{store.ErrUnfit}, args...)...)
}
