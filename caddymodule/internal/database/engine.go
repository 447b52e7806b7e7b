package database

import (
	"context"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/store"
)

// Engine is what a module of the namespace step_up.stores does. The contract of
// a store is not public yet, so engines are ours alone.
type Engine interface {
	// Location names the database for all that would open the same one; for
	// an embedded engine it is the absolute path of its directory.
	Location() string
	// Start begins to open the database, making it if there is none. It does
	// not wait, and goes on until it succeeds or is closed.
	Start() (Opening, error)
}

// Opening is a database that opens, and opens again, by itself.
type Opening interface {
	store.Supervised
	// FirstTry waits for the first attempt to open it, and returns its error.
	FirstTry(context.Context) error
	// InUse is closed once it was opened.
	InUse() <-chan struct{}
	// Since is when it went out of use, zero while it is in use.
	Since() time.Time
}

// marked is an engine that keeps a mark outside of the database.
type marked interface{ KeptMark() string }

// sameMark reports whether two configurations keep the same mark of a database.
func sameMark(a, b Engine) bool {
	x, ok := a.(marked)
	y, same := b.(marked)
	return ok != same || !ok || x.KeptMark() == y.KeptMark()
}
