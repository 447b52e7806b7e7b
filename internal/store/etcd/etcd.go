// Package etcd keeps the gateway's state in etcd: an engine for several gateways that
// share one database.
//
// It promises the contract of [store.Store] among all gateways that use the same
// prefix. An Apply is one transaction, whose conditions compare the revisions of its
// keys; the names that it tells are a row of the same transaction. Versions are
// revisions, above which stands the generation.
//
// Every transaction, those that only read included, compares two rows more (see
// identity): the record of the generation, and a row that each process writes in
// each of its changes, and whose number of writes must not be less than what was
// acknowledged to it. So where an older copy was put back, or a member that lacked
// the last changes was made the whole cluster, nothing is read or changed under
// what was known before.
//
// What is in memory may be used as long as a lease says: a linearizable read that
// began then returned a revision up to which the watch has delivered everything
// (see follow). It is no lease of etcd's; those only remove what nobody misses.
package etcd

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/internal/store/remote"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// Options tell where the database is.
type Options struct {
	// Endpoints are the members: https://HOST:PORT, or http:// on loopback.
	Endpoints []string

	// Prefix stands before all keys. An empty one is DefaultPrefix.
	Prefix string

	// TLS are the certificates; nil: the system's authorities, and none of our own.
	TLS *tls.Config

	// User and Password are for servers with authentication; empty: none.
	User, Password string

	// Stale is how old what is kept in memory may be; 0 asks the database each time.
	Stale time.Duration

	// History is how long etcd keeps what was overwritten, for a watch that was
	// interrupted to go on, and a value in pieces to be read to its end: longer than
	// any call lasts. Zero is DefaultHistory.
	History time.Duration

	// Logger gets what operators should know. Nil is silence.
	Logger *zap.Logger
}

// DefaultHistory is how long history is kept where nothing else is configured.
const DefaultHistory = 10 * time.Minute

// DefaultPrefix stands before all keys where nothing else is configured.
const DefaultPrefix = "step_up/"

// A Store is one database. It implements [store.Store] and [store.Opening].
type Store struct {
	log     *zap.Logger
	config  clientv3.Config
	at      layout
	run     string // names this process among those that use the database
	client  atomic.Pointer[clientv3.Client]
	known   remote.Known[identity]
	meeting sync.Mutex // one look at it at a time

	lease    remote.Lease
	feed     *feed     // the supervisor's
	ticked   time.Time // the supervisor's: when this process's time was written last
	clocks   clocks
	expiring leases
	room     room
	history  time.Duration
	unfit    atomic.Pointer[error] // why the servers will not do, as found since the start

	calls remote.Calls
	stop  context.CancelFunc
	ended sync.WaitGroup // what runs beside the calls

	remote.State
	remote.Meter
}

// Start begins to connect, and returns at once. An error is a mistake in the
// options.
func Start(o Options) (*Store, error) {
	config, err := configOf(o)
	if err != nil {
		return nil, err
	}
	s := &Store{
		log: o.Logger, config: config, at: layoutOf(o.Prefix), run: newRun(),
		lease: remote.Lease{Stale: o.Stale}, State: remote.NewState(), room: room{look: make(chan struct{}, 1)}, history: cmp.Or(o.History, DefaultHistory),
	}
	if s.log == nil {
		s.log = zap.NewNop()
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.known.Name, s.known.Server, s.known.Meet = "etcd", "the state of etcd", s.meet
	visit := func(ctx context.Context) error { return s.known.Visit(ctx, s.visit) }
	supervise := func(ctx context.Context) { s.Supervise(ctx, s.log, nil, &s.lease, visit) }
	for _, run := range []func(context.Context){supervise, s.tidyOften, s.lookOften} {
		s.ended.Go(func() { run(ctx) })
	}
	return s, nil
}

func newRun() string {
	var b [8]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return hex.EncodeToString(b[:])
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
	s.feed.end()
	if c := s.client.Load(); c != nil {
		s.leave(c)
		c.Close()
	}
	return nil
}

// visit confirms that what is in memory counts.
func (s *Store) visit(ctx context.Context) error {
	if unfit := s.unfit.Load(); unfit != nil {
		return *unfit
	}
	return s.follow(ctx)
}

// call runs f for the database that is known. Those who use the store are refused
// while this process's clock is wrong.
func (s *Store) call(ctx context.Context, f func(*identity) error) error {
	if err := s.clocks.refusal(); err != nil {
		return err
	}
	return s.known.Do(ctx, f)
}

// Current implements [store.Shared].
func (s *Store) Current(now time.Time) bool { return s.lease.Good(now) }

// Stale implements [store.Shared].
func (s *Store) Stale() time.Duration { return s.lease.Stale }

// Heard returns when the last confirmation that what is in memory counts began; zero
// before the first, and while the database cannot be used.
func (s *Store) Heard() time.Time { return s.lease.Began() }

// Generation implements [store.Shared].
func (s *Store) Generation() (generation uint64, cause string) {
	if id := s.known.Load(); id != nil {
		return id.Generation, id.Cause
	}
	return 0, ""
}

var (
	_ store.Opening   = (*Store)(nil)
	_ store.Shared    = (*Store)(nil)
	_ store.Snapshots = (*Store)(nil)
)
