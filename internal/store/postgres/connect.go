package postgres

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrInsecure reports that a connection over a network would not be encrypted, or
// to a server that is not verified.
var ErrInsecure = errors.New("the connection to the database would not be safe: write sslmode=verify-full into its url, and sslrootcert=FILE where its certificate is not of a public authority; only a server on this machine can do without")

const defaultConnections = 32

// parse reads a connection string, and refuses one whose connections would not be
// safe.
func parse(url string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		// The text of the error may have the password in it.
		return nil, errors.New("url of the postgres store cannot be read: write it as postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full")
	}
	c := config.ConnConfig
	for _, one := range append([]*pgconn.FallbackConfig{{Host: c.Host, TLSConfig: c.TLSConfig}}, c.Fallbacks...) {
		if !isLocal(one.Host) && !verifies(one.TLSConfig) {
			return nil, fmt.Errorf("host %s: %w", one.Host, ErrInsecure)
		}
	}
	// A standby shows another order of changes, and takes none.
	c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	c.ConnectTimeout = 3 * time.Second
	c.OnNotice = noticed
	survives := c.OnPgError
	c.OnPgError = func(pc *pgconn.PgConn, told *pgconn.PgError) bool {
		return survives(pc, told) && !isReadOnly(told.Code)
	}
	c.AfterConnect = func(_ context.Context, pc *pgconn.PgConn) error {
		pc.CustomData()[warningKey] = new(atomic.Bool)
		return nil
	}
	c.DefaultQueryExecMode = pgx.QueryExecModeExec
	c.StatementCacheCapacity = 128
	config.MaxConns = defaultConnections
	config.MaxConnIdleTime = 5 * time.Minute
	config.MaxConnLifetimeJitter = time.Minute
	return config, nil
}

// named gives the connections of a process a name of its own, by which others on the
// database are told from it: what the connection string says, and a random id.
func named(c *pgxpool.Config) string {
	var id [8]byte
	rand.Read(id[:]) // never fails: crypto/rand ends the program instead
	given := c.ConnConfig.RuntimeParams["application_name"]
	name := strings.TrimSpace(fmt.Sprintf("%.32s step_up %x", given, id))
	c.ConnConfig.RuntimeParams["application_name"] = name
	return name
}

// verifies reports whether the server's certificate and its name are checked, as
// sslmode=verify-full says. With verify-ca any certificate of a public authority
// would do.
func verifies(c *tls.Config) bool {
	return c != nil && !c.InsecureSkipVerify && c.ServerName != ""
}

func isLocal(host string) bool {
	if strings.HasPrefix(host, "/") || host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// warningKey names, in a connection's data, whether the server sent a warning.
const warningKey = "step_up warned"

// noticed notes warnings. A wait for a synchronous standby that was cancelled is
// reported as a success with a warning; its text is translated, so its severity is
// what is looked at.
func noticed(pc *pgconn.PgConn, n *pgconn.Notice) {
	if n.SeverityUnlocalized == "WARNING" || n.SeverityUnlocalized == "" {
		if warned, ok := pc.CustomData()[warningKey].(*atomic.Bool); ok {
			warned.Store(true)
		}
	}
}

// warned reports whether the server warned since it was asked last.
func warned(c *pgx.Conn) bool {
	w, ok := c.PgConn().CustomData()[warningKey].(*atomic.Bool)
	return !ok || w.Swap(false)
}

// seesPooler notes where a pooler stands between, which makes up the process numbers
// that it tells: statements are not prepared then.
func (s *Store) seesPooler(ctx context.Context, conn *pgx.Conn) error {
	var pid uint32
	if err := conn.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&pid); err != nil {
		return err
	}
	if pid != conn.PgConn().PID() {
		s.pooled.Store(true)
	}
	return nil
}

// Name returns the name of the database of a connection string, without what is
// secret in it; an error says what is wrong with the string.
func Name(url string) (string, error) {
	config, err := parse(url)
	if err != nil {
		return "", err
	}
	return nameOf(config.ConnConfig), nil
}

func nameOf(c *pgx.ConnConfig) string {
	return fmt.Sprintf("postgres://%s/%s", net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))), c.Database)
}

// Role returns the user of a connection string.
func Role(url string) (string, error) {
	config, err := parse(url)
	if err != nil {
		return "", err
	}
	return config.ConnConfig.User, nil
}
