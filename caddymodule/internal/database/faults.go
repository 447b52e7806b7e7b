package database

import (
	"errors"
	"syscall"

	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// engineError is an error of opening the engine, as opposed to one of reading
// what is in it.
type engineError struct{ error }

func (e *engineError) Unwrap() error { return e.error }

// ofTheDisk reports whether err is a fault of the disk or of this machine, which
// may go away by itself, rather than a mistake in the configuration.
func ofTheDisk(err error) bool {
	for _, mistake := range []error{store.ErrLocked, store.ErrMissing, store.ErrUnfit, syscall.ENOTDIR, records.ErrNoData, records.ErrNoKey, records.ErrWrongKey, records.ErrHasData, records.ErrMoved} {
		if errors.Is(err, mistake) {
			return false
		}
	}
	if errors.As(err, new(*engineError)) {
		return true
	}
	for _, fault := range []error{store.ErrUnavailable, store.ErrUnknown, store.ErrNoSpace, store.ErrDamaged, store.ErrRolledBack, records.ErrCorrupt} {
		if errors.Is(err, fault) {
			return true
		}
	}
	return false
}
