package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// schemaVersion is the version of the tables.
const schemaVersion = 1

// Statements are what makes the tables, for a database administrator to run, or
// for [Create]. They may be run again.
const Statements = `CREATE TABLE IF NOT EXISTS step_up_kv (
	key     bytea PRIMARY KEY,
	value   bytea NOT NULL,
	version bigint NOT NULL,
	dead    boolean NOT NULL,
	expires timestamptz
) WITH (fillfactor = 85);
-- What is sealed does not compress.
ALTER TABLE step_up_kv ALTER value SET STORAGE EXTERNAL;
CREATE INDEX IF NOT EXISTS step_up_kv_expires ON step_up_kv (expires) WHERE expires IS NOT NULL;
CREATE SEQUENCE IF NOT EXISTS step_up_version CACHE 1;
CREATE TABLE IF NOT EXISTS step_up_feed (
	id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
	key bytea,
	at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX IF NOT EXISTS step_up_feed_xid ON step_up_feed (xid);
CREATE TABLE IF NOT EXISTS step_up_meta (
	one        boolean PRIMARY KEY DEFAULT true CHECK (one),
	schema     integer NOT NULL,
	generation bigint NOT NULL,
	timeline   text NOT NULL,
	system     bigint NOT NULL,
	since      timestamptz NOT NULL DEFAULT clock_timestamp(),
	cause      text NOT NULL DEFAULT ''
);
INSERT INTO step_up_meta (schema, generation, timeline, system)
	SELECT 1, 0, substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8), system_identifier FROM pg_control_system()
	ON CONFLICT DO NOTHING;
`

// Grants are the least that a role needs which did not make the tables; role is
// its name.
func Grants(role string) string {
	name := pgx.Identifier{role}.Sanitize()
	return fmt.Sprintf(`GRANT SELECT, INSERT, UPDATE, DELETE ON step_up_kv, step_up_feed TO %[1]s;
GRANT SELECT, UPDATE ON step_up_meta TO %[1]s;
GRANT USAGE, UPDATE ON SEQUENCE step_up_version TO %[1]s;
`, name)
}

var errNoSchema = unfit("the database has no tables of the gateway: run `caddy step-up init` once, or have a database administrator run what `caddy step-up init --sql` prints")

func schemaDiffers(found int) error {
	if found > schemaVersion {
		return unfit("the tables are of version %d, made by a newer gateway, and this one knows version %d: use the newer gateway", found, schemaVersion)
	}
	return unfit("the tables are of version %d, and this gateway needs version %d: run `caddy step-up init`", found, schemaVersion)
}

// Create makes the tables in the database of url, if they are not there. Where they
// are, the role need not be one that may make them.
func Create(ctx context.Context, url string) error {
	config, err := parse(url)
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var found int
	if err := conn.QueryRow(ctx, "SELECT schema FROM step_up_meta").Scan(&found); err == nil && found == schemaVersion {
		return nil
	}
	// The simple protocol takes them all at once, as one transaction.
	if _, err := conn.PgConn().Exec(ctx, Statements).ReadAll(); err != nil {
		return fmt.Errorf("making the tables: %w", err)
	}
	return nil
}
