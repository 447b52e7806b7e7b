// Package database keeps one database open for all configurations that use it, so
// that a reload changes nothing about what was spent or revoked.
//
// A database is known by its engine's location. [Acquire] refers to it without
// opening it, [Shared.Get] opens it when it is first needed, and the last
// [Shared.Release] closes it. While it cannot be opened, Get fails with an error
// that wraps store.ErrUnavailable, and opening goes on until it succeeds.
package database

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// databases holds one entry for each database directory in use. A reload
// provisions the new configuration while the old one still runs, and a directory
// can be open only once, so the two share what stands here: the database with
// its cache, and hence one truth about what was spent or revoked.
var databases = caddy.NewUsagePool()

// doors lets the last reference to a directory close its database before a new
// one opens it again: the pool forgets a value before it has destructed it.
var doors sync.Map // of *sync.Mutex by directory

const (
	// openPatience is how long a request waits for a database that is being
	// opened.
	openPatience = 5 * time.Second

	// coldPatience and reloadPatience are how long a start and a reload wait.
	// A start goes on without the database; a reload is refused, so it may take
	// as long as reading large tables does.
	coldPatience   = 10 * time.Second
	reloadPatience = 60 * time.Second

	// lostPatience is how long a reload waits for a database that was lost to
	// come back.
	lostPatience = 5 * time.Second

	// unlockPause is how long is waited before the records of an open database
	// are tried again; it doubles up to a minute.
	unlockPause   = 200 * time.Millisecond
	longestUnlock = time.Minute
)

// Shared is one database, referred to by every configuration that uses it.
// It opens when it is first needed, never while a configuration is merely
// provisioned: `caddy validate` provisions too, beside the server that has the
// directory open. Once begun, opening goes on until it succeeds.
type Shared struct {
	engine store.Engine
	key    KeySource
	logger *zap.Logger

	opened  atomic.Pointer[records.DB]
	begun   sync.Once
	backups backups
	told    sync.Once     // the log has it that the database was moved
	tried   chan struct{} // closed: the first attempt is over
	ready   chan struct{} // closed: opened is set
	stop    chan struct{} // closed: the last reference was given up

	mu     sync.Mutex
	store  store.Opening // nil until it was begun
	closed bool
	failed error // of the last attempt; nil once opened
	missed bool  // a configuration was started without it
	since  time.Time
}

// Acquire refers to the database of an engine's directory. A configuration that
// wants the same directory with another key is refused: whichever of the two
// opened it would decide for both.
func Acquire(e store.Engine, k KeySource, log *zap.Logger) (*Shared, error) {
	value, loaded, err := databases.LoadOrNew(e.Location(), func() (caddy.Destructor, error) {
		return &Shared{
			engine: e, key: k, logger: log,
			tried: make(chan struct{}), ready: make(chan struct{}), stop: make(chan struct{}),
		}, nil
	})
	if err != nil {
		return nil, err
	}
	db := value.(*Shared)
	if loaded && !db.key.same(k) {
		if err := db.Release(); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("the database in %s is in use with another key: write the same key or key_file as before, or stop Caddy and start it with the new one", e.Location())
	}
	if loaded && !sameMark(db.engine, e) {
		if err := db.Release(); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("the database in %s is in use with another mark: write the same mark as before, or stop Caddy and start it with the new one", e.Location())
	}
	return db, nil
}

// Release gives up one reference; the last one closes the database.
func (d *Shared) Release() error {
	door := doorOf(d.engine.Location())
	door.Lock()
	defer door.Unlock()
	_, err := databases.Delete(d.engine.Location())
	return err
}

// Get returns the database, beginning to open it if need be. It is what every
// verb of the ceremony calls first, so it costs one atomic load once the
// database is open. What it returns while the database cannot be opened wraps
// store.ErrUnavailable.
func (d *Shared) Get(ctx context.Context) (*records.DB, error) {
	if db := d.opened.Load(); db != nil {
		return d.view(ctx, db)
	}
	ctx, cancel := context.WithTimeout(ctx, openPatience)
	defer cancel()
	err := d.await(ctx)
	if db := d.opened.Load(); db != nil {
		return d.view(ctx, db)
	}
	if err == nil || errors.Is(err, store.ErrClosed) {
		return nil, store.ErrClosed
	}
	if !errors.Is(err, store.ErrUnavailable) {
		err = fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return nil, err
}

// await waits for the end of the first attempt to open the database, and returns
// why the last one failed.
func (d *Shared) await(ctx context.Context) error {
	d.begun.Do(func() { go d.run() })
	select {
	case <-d.ready:
		return nil
	case <-d.stop:
		return store.ErrClosed
	case <-d.tried:
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.failed
	case <-ctx.Done():
		return fmt.Errorf("%w: the database in %s is still being opened; its disk may be slow or hang: %w",
			store.ErrUnavailable, d.engine.Location(), ctx.Err())
	}
}

// run opens the database, and tries again until it is open or not wanted any
// more.
func (d *Shared) run() {
	d.mu.Lock()
	d.since = time.Now()
	d.mu.Unlock()
	pause := unlockPause
	for first := true; ; first = false {
		db, err := d.try(first)
		if err == nil {
			d.succeed(db)
			return
		}
		if !d.fail(err, first) {
			return
		}
		select {
		case <-d.stop:
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, longestUnlock)
	}
}

// try is one attempt. The engine goes on by itself after the first one, so all
// later ones wait for it.
func (d *Shared) try(first bool) (*records.DB, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-d.stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	s, err := d.begin()
	if err != nil {
		return nil, err
	}
	if first {
		if err := s.FirstTry(ctx); err != nil {
			return nil, &engineError{fmt.Errorf("opening the database in %s: %w", d.engine.Location(), err)}
		}
	} else {
		select {
		case <-s.InUse():
		case <-ctx.Done():
			return nil, store.ErrClosed
		}
	}
	db, created, err := d.key.unlock(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("opening the database in %s: %w", d.engine.Location(), err)
	}
	if created {
		d.logger.Warn("first start: a new database and a new key were created, so nobody is enrolled; "+
			"if users were enrolled before, stop Caddy, remove both, and configure the directory and key_file that were used then",
			zap.String("dir", d.engine.Location()), zap.String("key_file", d.key.file))
	}
	db.OnFence(logFence(d.engine.Location()))
	d.backups.looked.Store(time.Now().UnixNano())
	_, _ = db.LastBackup(ctx) // an older copy says nothing; what else is wrong will be told
	return db, nil
}

// begin starts the engine if it was not started.
func (d *Shared) begin() (store.Opening, error) {
	door := doorOf(d.engine.Location())
	door.Lock()
	defer door.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, store.ErrClosed
	}
	if d.store == nil {
		s, err := d.engine.Start()
		if err != nil {
			return nil, err
		}
		d.store = s
	}
	return d.store, nil
}

// succeed takes the database into use, and tells so where a configuration had to
// start without it.
func (d *Shared) succeed(db *records.DB) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failed = nil
	d.opened.Store(db)
	close(d.ready)
	if !d.missed {
		return
	}
	d.logger.Info("the database is in use now; what is protected is served again",
		zap.String("dir", d.engine.Location()), zap.Duration("after", time.Since(d.since).Round(time.Millisecond)))
}

// fail keeps why an attempt failed. It reports whether another one is wanted.
func (d *Shared) fail(err error, first bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	if !first && (d.failed == nil || d.failed.Error() != err.Error()) {
		d.logger.Error("the database cannot be used; what is protected is refused until its cause is gone", zap.Error(err))
	}
	d.failed = err
	if first {
		close(d.tried)
	}
	return true
}

// Destruct closes the database; the usage pool calls it after the last release.
// Requests of the old configuration that are still under way get
// store.ErrClosed, on which they are refused.
func (d *Shared) Destruct() error {
	d.mu.Lock()
	s, closed := d.store, d.closed
	d.closed = true
	d.mu.Unlock()
	if closed {
		return nil
	}
	close(d.stop)
	if s == nil {
		return nil
	}
	return s.Close()
}

// Start opens the database for a configuration that starts. Where none ran
// before, a disk that does not let it be opened leaves Caddy running: sites that
// have nothing protected must not depend on it. A reload is refused instead, as
// the configuration before goes on. What an operator has to mend in the
// configuration is refused in both cases.
func (d *Shared) Start(cold bool) error {
	patience := reloadPatience
	if cold {
		patience = coldPatience
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := d.await(ctx)
	if err == nil && !cold {
		err = d.inUse(lostPatience)
	}
	if err == nil || !cold || !ofTheDisk(err) {
		return err
	}
	d.mu.Lock()
	d.missed = true
	d.mu.Unlock()
	d.logger.Error("Caddy starts without the step-up database: what is protected, and the API, are refused with 503 until its cause is gone; no restart is needed then", zap.Error(err))
	return nil
}

// inUse waits for a database that was open before and went out of use, and
// returns why it still is.
func (d *Shared) inUse(patience time.Duration) error {
	d.mu.Lock()
	s := d.store
	d.mu.Unlock()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		down := s.Health().Down
		if down == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%w: the database in %s: %w", store.ErrUnavailable, d.engine.Location(), down)
		}
	}
}

func doorOf(location string) *sync.Mutex {
	door, _ := doors.LoadOrStore(location, new(sync.Mutex))
	return door.(*sync.Mutex)
}
