// Package postgres keeps the gateway's state in a PostgreSQL database: the engine for
// several gateways that share one.
//
// It promises the contract of [store.Store] among all gateways that use the
// database. An Apply is one round trip: a single op is one statement, whose
// condition PostgreSQL judges under the lock of its row; several are two statements
// in one implicit transaction, the first of which locks all rows in the order of
// their keys. Single ops on a version, as the use of a grant is, and reads of one
// row are gathered into one statement where several wait, each judged for itself.
// Deletions leave dead rows, so that there is a row to lock, which a sweeper removes
// after an hour. Versions come from one sequence, after the lock is held, so they
// grow and never repeat.
//
// Every statement checks, in itself, that the server is the one that this process
// knows: its timeline, the time of its start and the generation of the database
// (see identity). A connection that outlives a promotion, or that a pooler hands on
// to another server, changes nothing.
//
// It needs no privileges but those on its own tables, no extension, and works
// through a pooler that gives a connection for each transaction.
package postgres

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/internal/store/remote"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// Options tell where the database is.
type Options struct {
	// URL is a connection string or URI as libpq takes it, with a password where the
	// server asks for one. It may name several hosts; the one that takes writes is
	// used, and none while two do (see rivals). TLS is verified unless the server is on a socket or on loopback, whatever
	// sslmode it says: see [ErrInsecure].
	URL string

	// StandbyRequired refuses to open a database without a synchronous standby.
	StandbyRequired bool

	// Stale is how old what is kept in memory may be; 0 asks the database each time.
	Stale time.Duration

	// Connections is how many are used at most; 0 is 32.
	Connections int

	// Logger gets what operators should know. Nil is silence.
	Logger *zap.Logger
}

// A Store is one database. It implements [store.Store] and [store.Opening].
type Store struct {
	pool *pgxpool.Pool
	// watch are connections for the feed and for meeting a server, which must not
	// wait for those that changes hold.
	watch *pgxpool.Pool
	log   *zap.Logger
	name  string // of this process, to the server

	standbyRequired bool

	known remote.Known[identity]
	// pooled reports that a pooler stands between, through which statements cannot be
	// prepared, nor notices be heard.
	pooled  atomic.Bool
	meeting sync.Mutex // one look at the server's identity at a time

	lease   remote.Lease
	feed    feed
	clock   clockOf
	rivals  rivals
	heard   atomic.Pointer[time.Time] // when the last complete reading of the feed began
	telling chan struct{}             // something was told by this process
	noticed chan struct{}             // another one told something

	calls   remote.Calls
	changes remote.Gatherer[*change]
	reads   remote.Gatherer[*asking]
	stop    context.CancelFunc
	ended   sync.WaitGroup // what runs beside the calls

	remote.State
	remote.Meter
}

// Start begins to connect, and returns at once. An error is a mistake in the
// options.
func Start(o Options) (*Store, error) {
	s := &Store{
		log: o.Logger, standbyRequired: o.StandbyRequired, lease: remote.Lease{Stale: o.Stale}, State: remote.NewState(),
		telling: make(chan struct{}, 1), noticed: make(chan struct{}, 1),
	}
	if s.log == nil {
		s.log = zap.NewNop()
	}
	config, err := parse(o.URL)
	if err != nil {
		return nil, err
	}
	if hosts := hostsOf(config.ConnConfig); len(hosts) > 1 {
		s.rivals.hosts, s.rivals.failed = hosts, map[string]string{}
	}
	config.AfterConnect = s.seesPooler
	s.name = named(config)
	watching := config.Copy()
	watching.MinConns, watching.MaxConns = 0, 2
	if o.Connections > 0 {
		config.MaxConns = int32(o.Connections)
	}
	ctx, stop := context.WithCancel(context.Background())
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err == nil {
		s.watch, err = pgxpool.NewWithConfig(ctx, watching)
	}
	if err != nil {
		stop()
		return nil, fmt.Errorf("url of the postgres store: %w", err)
	}
	s.stop = stop
	s.changes.Most, s.changes.Run = mostJoint, s.applyAllOf
	s.reads.Most, s.reads.Run = mostJoint, s.getAllOf
	s.known.Name, s.known.Server, s.known.Meet = "the database", "the database server", s.meet
	visit := func(ctx context.Context) error {
		s.rivals.first.Do(func() { s.lookForRivals(ctx) }) // before anything is served
		return s.known.Visit(ctx, s.follow)
	}
	supervise := func(ctx context.Context) { s.Supervise(ctx, s.log, s.noticed, &s.lease, visit) }
	for _, run := range []func(context.Context){supervise, s.watchForRivals, s.notify, s.listen, s.sweepOften} {
		s.ended.Go(func() { run(ctx) })
	}
	return s, nil
}

// Close implements [store.Store].
func (s *Store) Close() error {
	if !s.calls.Close() {
		s.ended.Wait()
		return nil
	}
	s.lease.End()
	s.stop()
	s.ended.Wait()
	s.calls.Wait()
	s.pool.Close()
	s.watch.Close()
	return nil
}

// sent returns the arguments of a statement with how it is sent before them.
func (s *Store) sent(args []any) []any {
	mode := pgx.QueryExecModeCacheStatement
	if s.pooled.Load() {
		mode = pgx.QueryExecModeExec
	}
	return append([]any{mode}, args...)
}

// knowing runs f for the server that is known. Those who use the store are refused
// while this machine's clock is wrong, or several servers take writes.
func (s *Store) knowing(ctx context.Context, f func(*identity) error) error {
	if err := s.refusal(); err != nil {
		return err
	}
	return s.known.Do(ctx, f)
}

// refusal says why this process must not go on.
func (s *Store) refusal() error {
	if err := s.rivals.refusal(); err != nil {
		return err
	}
	return s.clock.refusal()
}

// Current implements [store.Shared].
func (s *Store) Current(now time.Time) bool { return s.lease.Good(now) }

// Stale implements [store.Shared].
func (s *Store) Stale() time.Duration { return s.lease.Stale }

// Heard returns when the last complete reading of the feed began; zero before the
// first, and while the server cannot be used.
func (s *Store) Heard() time.Time { return s.lease.Began() }

// Generation implements [store.Shared].
func (s *Store) Generation() (generation uint64, cause string) {
	if id := s.known.Load(); id != nil {
		return uint64(id.generation), id.cause
	}
	return 0, ""
}

var (
	_ store.Opening   = (*Store)(nil)
	_ store.Shared    = (*Store)(nil)
	_ store.Snapshots = (*Store)(nil)
)
