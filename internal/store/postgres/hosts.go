package postgres

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// host is one of those that a connection string names.
type host struct {
	name   string // HOST:PORT, or the path of a socket
	config *pgx.ConnConfig
}

// hostsOf returns the hosts of a connection string, each by itself and whatever it
// takes, with all ways to connect to it.
func hostsOf(c *pgx.ConnConfig) (all []host) {
	c = c.Copy()
	ways := append([]*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port, TLSConfig: c.TLSConfig}}, c.Fallbacks...)
	for _, way := range ways {
		name := net.JoinHostPort(way.Host, strconv.Itoa(int(way.Port)))
		if i := slices.IndexFunc(all, func(h host) bool { return h.name == name }); i >= 0 {
			all[i].config.Fallbacks = append(all[i].config.Fallbacks, way)
			continue
		}
		one := *c
		one.Host, one.Port, one.TLSConfig, one.Fallbacks = way.Host, way.Port, way.TLSConfig, nil
		one.ValidateConnect = nil
		all = append(all, host{name, &one})
	}
	return all
}

// server is what one says of itself.
type server struct {
	host     string
	writes   bool // as a connection for changes asks for it
	timeline uint64
	system   int64
	started  time.Time
}

// same reports whether two answers are of one server, which may be reached by
// several names.
func (a server) same(b server) bool { return a.system == b.system && a.started.Equal(b.started) }

// ofItself is what a server knows of itself. A standby may have come to a timeline
// that it has not written a checkpoint of; what it receives needs pg_read_all_stats
// to see.
const ofItself = `SELECT current_setting('transaction_read_only') = 'off',
	CASE WHEN pg_is_in_recovery() THEN upper(lpad(to_hex(greatest(
			(SELECT timeline_id FROM pg_control_checkpoint()),
			(SELECT min_recovery_end_timeline FROM pg_control_recovery()),
			(SELECT received_tli FROM pg_stat_wal_receiver))), 8, '0'))
		ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END,
	(SELECT system_identifier FROM pg_control_system()), pg_postmaster_start_time()`

// ask connects to the host for one question.
func (h host) ask(ctx context.Context) (a server, err error) {
	conn, err := pgx.ConnectConfig(ctx, h.config)
	if err != nil {
		return a, classify(err, false)
	}
	defer conn.Close(ctx)
	a, err = askSelf(ctx, conn)
	a.host = h.name
	return a, err
}

func askSelf(ctx context.Context, conn *pgx.Conn) (a server, err error) {
	var timeline string
	if err := conn.QueryRow(ctx, ofItself).Scan(&a.writes, &timeline, &a.system, &a.started); err != nil {
		return a, classify(err, false)
	}
	if a.timeline, err = timelineOf(timeline); err != nil {
		return a, errors.New("the server's timeline cannot be read")
	}
	return a, nil
}

// timelineOf reads a timeline as the names of files of the log have it.
func timelineOf(text string) (uint64, error) { return strconv.ParseUint(text, 16, 64) }
