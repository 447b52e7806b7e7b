package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepup-gateway/caddy-stepup/internal/clock"
	"github.com/stepup-gateway/caddy-stepup/internal/store/remote"
)

// inspectTimeout is how long one server may take.
const inspectTimeout = 4 * time.Second

// mayUse is what a role needs; see [Grants].
const mayUse = `SELECT pg_get_userbyid(relowner), current_user, (SELECT bool_and(has_table_privilege(t, p))
		FROM (VALUES ('step_up_kv', 'SELECT'), ('step_up_kv', 'INSERT'), ('step_up_kv', 'UPDATE'), ('step_up_kv', 'DELETE'),
			('step_up_feed', 'SELECT'), ('step_up_feed', 'INSERT'), ('step_up_feed', 'DELETE'),
			('step_up_meta', 'SELECT'), ('step_up_meta', 'UPDATE')) AS needed (t, p))
		AND has_sequence_privilege('step_up_version', 'USAGE') AND has_sequence_privilege('step_up_version', 'UPDATE')
	FROM pg_class WHERE oid = 'step_up_meta'::regclass`

// inspected is a server that was asked.
type inspected struct {
	remote.Server
	self  server
	setup setup
	skew  time.Duration
	conn  *pgx.Conn // nil: it cannot be reached
}

// Inspect asks all servers of the options what a gateway would find there, and what
// is stored under the key. It changes nothing.
func Inspect(ctx context.Context, o Options, key []byte) (remote.Inspection, error) {
	config, err := parse(o.URL)
	if err != nil {
		return remote.Inspection{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*inspectTimeout)
	defer cancel()
	hosts := hostsOf(config.ConnConfig)
	all := make([]inspected, len(hosts))
	var asking sync.WaitGroup
	for i, h := range hosts {
		asking.Go(func() { all[i] = h.inspect(ctx) })
	}
	asking.Wait()
	found := remote.Inspection{Name: nameOf(config.ConnConfig)}
	var selves []server
	var writer *inspected
	for i := range all {
		one := &all[i]
		found.Servers = append(found.Servers, one.Server)
		if one.conn == nil {
			continue
		}
		defer one.conn.Close(ctx)
		selves = append(selves, one.self)
		if one.self.writes && writer == nil {
			writer = one
		}
	}
	judgeServers(&found, all, judge(selves), writer != nil)
	if writer != nil {
		found.ClockSeconds = writer.skew.Seconds()
		judgeWriter(&found, writer, o.StandbyRequired)
		if err := readTables(ctx, &found, writer.conn, key); err != nil {
			found.Add(true, "store-unreadable", fmt.Sprintf("the database %s cannot be read: %v", found.Name, err), "look at the server's log")
		}
	}
	return found, nil
}

// inspect connects to the host. The connection stays open.
func (h host) inspect(ctx context.Context) (one inspected) {
	one.Name = h.name
	ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, h.config)
	if err == nil {
		err = one.read(ctx, conn)
	}
	if err != nil {
		one.Problem = remote.Sentence(classify(err, false))
		if conn != nil {
			conn.Close(ctx)
		}
		return one
	}
	one.conn, one.self.host = conn, h.name
	if c, ok := conn.PgConn().Conn().(*tls.Conn); ok {
		one.TLS = tls.VersionName(c.ConnectionState().Version)
	}
	return one
}

func (one *inspected) read(ctx context.Context, conn *pgx.Conn) (err error) {
	var pid uint32
	var shown time.Time
	from := clock.Now()
	if err := conn.QueryRow(ctx, "SELECT clock_timestamp(), current_setting('server_version'), pg_backend_pid()").Scan(&shown, &one.Version, &pid); err != nil {
		return err
	}
	one.skew = remote.Skew(shown, from.Round(0), clock.Now().Round(0))
	if one.self, err = askSelf(ctx, conn); err != nil {
		return err
	}
	if one.setup, err = setupOf(ctx, conn); err != nil {
		return err
	}
	switch x := one.setup; {
	case x.recovering:
		one.Role = "standby"
	case one.self.writes:
		one.Role = "primary"
	default:
		one.Role = "read-only"
	}
	notes := []string{fmt.Sprintf("timeline %d", one.self.timeline)}
	if x := one.setup; x.standbys > 0 {
		notes = append(notes, fmt.Sprintf("%d standbys, %d synchronous", x.standbys, x.synchronous))
	}
	if pid != conn.PgConn().PID() {
		notes = append(notes, "through a pooler")
	}
	one.Note = strings.Join(notes, ", ")
	return nil
}

// judgeServers adds what is wrong with the servers together.
func judgeServers(found *remote.Inspection, all []inspected, rivals string, writable bool) {
	away := slices.ContainsFunc(all, func(one inspected) bool { return one.conn == nil })
	answered := slices.ContainsFunc(all, func(one inspected) bool { return one.conn != nil })
	if away {
		for _, one := range all {
			if one.conn == nil {
				found.Add(!answered, "store-unreachable", fmt.Sprintf("the database server %s cannot be asked: %s", one.Name, one.Problem),
					"check that it runs, the address, the firewall, and the user and password in url")
			}
		}
	}
	switch {
	case rivals != "":
		found.Add(true, "store-rivals", rivals, "")
	case answered && !writable:
		found.Add(true, "store-read-only", "none of the database servers that answer takes writes", "promote a standby, or name the primary in url too")
	}
}

// judgeWriter adds what is wrong with the server that takes writes.
func judgeWriter(found *remote.Inspection, one *inspected, standbyRequired bool) {
	missing := one.setup.withoutStandby()
	switch err := one.setup.refusal(); {
	case err != nil:
		found.Add(true, "store-unfit", one.Name+": "+remote.Sentence(err), "change it on the server")
	case standbyRequired && missing != nil:
		found.Add(true, "store-standby", one.Name+": "+remote.Sentence(missing), "with `standby optional` it starts without")
	case one.setup.losesLast():
		found.Add(false, "store-standby", losesLast, "set synchronous_standby_names on the server")
	}
	if skew := one.skew.Abs(); skew > mostSkew/2 {
		found.Add(skew > mostSkew, "store-clock", fmt.Sprintf("the clock of the database server differs from this machine's by %v, and at most %v are allowed", one.skew.Round(10*time.Millisecond), mostSkew),
			"let the clocks be set by NTP, on whichever side is wrong")
	}
}

// readTables reads what the gateway has in the database.
func readTables(ctx context.Context, found *remote.Inspection, conn *pgx.Conn, key []byte) error {
	id, recorded, err := look(ctx, conn)
	switch {
	case errors.Is(err, errNoSchema):
		found.Add(true, "store-empty", "the database "+found.Name+" has no tables of the gateway", "run `caddy step-up init` once")
		return nil
	case err != nil:
		found.Add(true, "store-unfit", remote.Sentence(err), "see what `caddy step-up init --sql` prints")
		return nil
	}
	found.Schema, found.Generation = schemaVersion, uint64(id.generation)
	if cause := id.differs(recorded, nil); cause != "" {
		found.Add(false, "store-generation", cause+"; no gateway has met it since", "the first one begins a new generation: people are asked again")
	}
	var role string
	var enough bool
	if err := conn.QueryRow(ctx, mayUse).Scan(&found.Owner, &role, &enough); err != nil {
		return classify(err, false)
	}
	if !enough {
		found.Add(true, "store-grants", fmt.Sprintf("the role %s may not use all tables of the gateway, which %s owns", role, found.Owner), "run the GRANT statements at the end of what `caddy step-up init --sql` prints")
		return nil
	}
	err = conn.QueryRow(ctx, "SELECT value FROM step_up_kv WHERE key = $1 AND NOT dead", key).Scan(&found.Record)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return classify(err, false)
	}
	return nil
}
