// Package procstore keeps the embedded database in a process of its own, so
// that no fault of a disk ends or stops the program that serves with it.
//
// Badger maps its files into memory. A full volume, a bad sector or a truncated
// file is then a SIGBUS, which no Go program survives; Badger panics in
// goroutines of its own; and a page fault on a disk that hangs stops a thread
// which the collector waits for, and so the whole program. In a child process
// all three are an end or a silence that the parent notices.
//
//	s, err := procstore.Open(procstore.Options{Dir: "/var/lib/step_up", Logger: log})
//	defer s.Close()
//
// The child is the same program, started with the argument "step-up-store":
// this package's init takes over before main. Importing it is all that is
// needed. The two speak over the child's standard input and output; the child
// ends when its input does, and ignores the signals that terminals and service
// managers send to whole groups.
//
// It promises the contract of [store.Store], and that of [store.Supervised]:
// when the child ends, fails or does not answer for callDeadline, every call
// fails with [store.ErrUnavailable], OnLost functions are called, and another
// child is started with back-off until the database is open again. Changes that
// were under way have the outcome [store.ErrUnknown]. Nothing that was
// acknowledged is lost: the next child is told the last acknowledged sequence,
// and a database that is older is [store.FenceRolledBack].
//
// The parent never touches the database's file system.
package procstore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/internal/store/badgerstore"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// Options tell where the database is.
type Options struct {
	// Dir and Mark are as in badgerstore.Options.
	Dir  string
	Mark string

	// Logger gets what the child logs, and when it was lost and came back. Nil
	// is silence.
	Logger *zap.Logger
}

var (
	errFailed  = badgerstore.ErrFailed
	errEnded   = errors.New("the process of the database ended")
	errOpening = errors.New("the database is being opened")
)

// outOfUse is what a call is told for a reason.
func outOfUse(reason error) error { return fmt.Errorf("%w: %w", store.ErrUnavailable, reason) }

// A Store is a database in a child process. It implements [store.Supervised]
// and [store.Fenced].
type Store struct {
	o   Options
	log *zap.Logger

	// state is held shared to begin a call, and exclusively while the store
	// goes out of use or comes back, until the functions that wanted to know
	// have returned: anyone who began a call before was admitted before, anyone who
	// comes later is refused.
	state  sync.RWMutex
	hung   bool // out of use since now's conn does not answer
	onLost []func()
	onBack []func()

	// now is changed by those who hold state exclusively, and read by anybody.
	now atomic.Pointer[condition]

	committed atomic.Uint64 // the last sequence that was acknowledged

	closed   atomic.Bool
	stop     chan struct{} // closed: Close was called
	asked    chan struct{} // of capacity one: a call was refused
	firstTry chan struct{} // closed: the first child opened the database, or failed to
	inUse    chan struct{} // closed: a child opened the database
	tried    error         // of the first try
	finished chan struct{} // closed: the supervisor ended
	closeErr error         // of the supervisor's end
	reports  reports
}

// A condition is how a store is. It is not changed.
type condition struct {
	conn     *conn // nil while no child has the database open
	down     error // why calls are refused; nil while they are not
	since    time.Time
	low      error
	unmarked bool
	fence    store.Fence
}

// change publishes another condition. The caller holds state.
func (s *Store) change(with func(*condition)) {
	now := *s.now.Load()
	with(&now)
	s.now.Store(&now)
}

// Open opens the database, making it if there is none, and returns an error
// where it cannot be opened now.
func Open(o Options) (*Store, error) {
	s, err := Start(o)
	if err != nil {
		return nil, err
	}
	if err := s.FirstTry(context.Background()); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Start begins to open the database, and goes on trying until it is open or
// Close is called.
func Start(o Options) (*Store, error) {
	if o.Dir == "" {
		return nil, errors.New("opening database: no directory given")
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("opening database: %w", err)
	}
	o.Dir = dir
	s := &Store{
		o: o, log: o.Logger,
		stop:     make(chan struct{}),
		asked:    make(chan struct{}, 1),
		firstTry: make(chan struct{}),
		inUse:    make(chan struct{}),
		finished: make(chan struct{}),
	}
	if s.log == nil {
		s.log = zap.NewNop()
	}
	s.now.Store(&condition{down: errOpening, since: time.Now()})
	go s.supervise()
	return s, nil
}

// FirstTry waits until the first attempt to open the database has ended, and
// returns its error. After an error the store is out of use and goes on trying.
func (s *Store) FirstTry(ctx context.Context) error {
	select {
	case <-s.firstTry:
		return s.tried
	case <-ctx.Done():
		return outOfUse(fmt.Errorf("%w; the disk may be slow or hang: %w", errOpening, ctx.Err()))
	}
}

// InUse is closed once the database was opened for the first time.
func (s *Store) InUse() <-chan struct{} { return s.inUse }

// Health implements [store.Supervised].
func (s *Store) Health() store.Health {
	now := s.now.Load()
	h := store.Health{Down: now.down, Low: now.low, Unmarked: now.unmarked}
	if now.conn != nil {
		if at := now.conn.oldest(true); !at.IsZero() {
			h.Waiting = time.Since(at)
		}
	}
	return h
}

// Since is when the store went out of use; zero while it is in use.
func (s *Store) Since() time.Time {
	if now := s.now.Load(); now.down != nil {
		return now.since
	}
	return time.Time{}
}

// PID is the process that has the database open; zero while none has.
func (s *Store) PID() int {
	if now := s.now.Load(); now.conn != nil {
		return now.conn.cmd.Process.Pid
	}
	return 0
}

// Fence implements [store.Fenced].
func (s *Store) Fence() store.Fence { return s.now.Load().fence }

// OnLost implements [store.Supervised]. The function must not read or change what
// is stored: such calls wait until it has returned.
func (s *Store) OnLost(f func()) {
	s.state.Lock()
	defer s.state.Unlock()
	s.onLost = append(s.onLost, f)
}

// OnBack implements [store.Supervised]. The function must not read or change what
// is stored: such calls wait until it has returned.
func (s *Store) OnBack(f func()) {
	s.state.Lock()
	defer s.state.Unlock()
	s.onBack = append(s.onBack, f)
}

// Close implements [store.Store]. It waits no longer than closeDeadline; a child
// that has not closed its database by then is killed, and its log makes up for
// it.
func (s *Store) Close() error {
	if s.closed.CompareAndSwap(false, true) {
		close(s.stop)
		<-s.finished
		return s.closeErr
	}
	<-s.finished
	return nil
}

func (s *Store) isClosed() bool { return s.closed.Load() }

// Interface guards
var (
	_ store.Supervised = (*Store)(nil)
	_ store.Fenced     = (*Store)(nil)
	_ store.Snapshots  = (*Store)(nil)
)
