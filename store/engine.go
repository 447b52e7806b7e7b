package store

import (
	"context"
	"time"
)

// An Engine is a kind of store that a configuration can choose, with its settings.
// Caddy modules of the namespace step_up.stores implement it.
//
// Several configurations can name one database, since a reload provisions the new
// configuration while the old one still runs. The gateway starts the engine of the
// first one that needs the database, uses what it returned for all of them, and
// closes it when none is left. It never has one database open twice.
//
// Experimental: the interface changes without notice until one engine can be
// shared by several gateways.
type Engine interface {
	// Location returns the name of the database, the same for all settings that
	// would open it; for an embedded engine the absolute path of its directory.
	// The gateway calls it after Provision.
	Location() string

	// Start begins to open the database, and creates it if there is none. It
	// does not wait; the opening goes on until it succeeds or is closed. An error
	// is a mistake in the settings, which refuses the configuration.
	Start() (Opening, error)
}

// An Opening is a database that opens, and opens again after a fault, by itself.
// Until it is in use its methods fail with [ErrUnavailable].
type Opening interface {
	Supervised

	// FirstTry waits for the first attempt to open the database, and returns its
	// error: nil if the database is in use.
	FirstTry(ctx context.Context) error

	// InUse returns a channel that is closed once the database was opened.
	InUse() <-chan struct{}

	// Since returns when the database went out of use; zero while it is in use.
	Since() time.Time
}

// Steady returns an Opening for a store that is open and stays so until it is
// closed, as most clients of a database server are: what they cannot reach fails
// call by call, with [ErrUnavailable].
func Steady(s Store) Opening { return steady{s} }

type steady struct{ Store }

func (steady) Health() Health                 { return Health{Unmarked: true} }
func (steady) OnLost(func())                  {}
func (steady) OnBack(func())                  {}
func (steady) FirstTry(context.Context) error { return nil }
func (steady) InUse() <-chan struct{}         { return always }
func (steady) Since() time.Time               { return time.Time{} }

var always = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()
