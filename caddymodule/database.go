package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/internal/store"
)

// databases holds one entry for each database directory in use. A reload
// provisions the new configuration while the old one still runs, and a directory
// can be open only once, so the two share what stands here: the database with
// its cache, and hence one truth about what was spent or revoked.
var databases = caddy.NewUsagePool()

// doors lets the last reference to a directory close its database before a new
// one opens it again: the pool forgets a value before it has destructed it.
var doors sync.Map // of *sync.Mutex by directory

// retryAfter is how long a failed opening is remembered: a disk that is full is
// not made better by every request trying again.
const retryAfter = time.Second

// database is one directory, referred to by every configuration that uses it.
// It opens when it is first needed, never while a configuration is merely
// provisioned: `caddy validate` provisions too, beside the server that has the
// directory open.
type database struct {
	engine engine
	key    keySource

	opened atomic.Pointer[records.DB]

	mu       sync.Mutex // guards what follows, and opening
	closed   bool
	failed   error
	failedAt time.Time
}

// acquire refers to the database of an engine's directory. A configuration that
// wants the same directory with another key is refused: whichever of the two
// opened it would decide for both.
func acquire(e engine, k keySource) (*database, error) {
	value, loaded, err := databases.LoadOrNew(e.location(), func() (caddy.Destructor, error) {
		return &database{engine: e, key: k}, nil
	})
	if err != nil {
		return nil, err
	}
	db := value.(*database)
	if loaded && !db.key.same(k) {
		if err := db.release(); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("the database in %s is in use with another key: write the same key or key_file as before, or stop Caddy and start it with the new one", e.location())
	}
	return db, nil
}

// release gives up one reference; the last one closes the database.
func (d *database) release() error {
	door := doorOf(d.engine.location())
	door.Lock()
	defer door.Unlock()
	_, err := databases.Delete(d.engine.location())
	return err
}

// get returns the database, opening it if need be. It is what every verb of the
// ceremony calls first, so it costs one atomic load once the database is open.
func (d *database) get(ctx context.Context) (*records.DB, error) {
	if db := d.opened.Load(); db != nil {
		return db, nil
	}
	return d.open(ctx, time.Now())
}

func (d *database) open(ctx context.Context, now time.Time) (*records.DB, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if db := d.opened.Load(); db != nil {
		return db, nil
	}
	if d.closed {
		return nil, store.ErrClosed
	}
	if d.failed != nil && now.Sub(d.failedAt) < retryAfter {
		return nil, d.failed
	}
	// An opening that is given up half-way would be begun anew by the next
	// request; the one who asked may leave, the opening goes on.
	db, err := openDatabase(context.WithoutCancel(ctx), d.engine, d.key)
	if d.failed, d.failedAt = err, now; err != nil {
		return nil, err
	}
	d.opened.Store(db)
	return db, nil
}

// Destruct closes the database; the usage pool calls it after the last release.
// Requests of the old configuration that are still under way get
// store.ErrClosed, on which they are refused.
func (d *database) Destruct() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	db := d.opened.Load()
	if db == nil {
		return nil
	}
	return db.Close()
}

func doorOf(location string) *sync.Mutex {
	door, _ := doors.LoadOrStore(location, new(sync.Mutex))
	return door.(*sync.Mutex)
}

// openDatabase opens the store and the records in it, making both at a first
// start.
func openDatabase(ctx context.Context, e engine, k keySource) (*records.DB, error) {
	door := doorOf(e.location())
	door.Lock()
	defer door.Unlock()
	s, err := e.open()
	if err != nil {
		return nil, err
	}
	db, err := k.unlock(ctx, s)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the database in %s: %w", e.location(), err), s.Close())
	}
	return db, nil
}

// realPath gives one spelling for all that name the same directory, which need
// not exist yet.
func realPath(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("finding %s: %w", path, err)
	}
	if resolved, err := filepath.EvalSymlinks(abs); err == nil {
		return resolved, nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("finding %s: %w", path, err)
	}
	parent := filepath.Dir(abs)
	if parent == abs {
		return abs, nil
	}
	if parent, err = realPath(parent); err != nil {
		return "", err
	}
	return filepath.Join(parent, filepath.Base(abs)), nil
}
