package records

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/stepup-gateway/caddy-stepup/internal/seal"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// ErrNoKey reports that there is a database, and not the key file it belongs to.
var ErrNoKey = errors.New("the key of the database is missing")

// newKeySuffix names the key file of a database that is being created.
const newKeySuffix = ".new"

// maxTornKey is as long as a key file that a crash cut short can be: less than
// this is removed where there is no data, anything longer is somebody's.
const maxTornKey = 80

// OpenWithKeyFile opens the database in s with the key in the file at path. At
// the very first start, when there is neither, it makes both and tells so by
// created. The file must not lie where s keeps its data: together they would be
// stolen together.
//
// What is there without the other is refused, with a sentence that says what to
// do: data without its key is [ErrNoKey], a key without its data [ErrNoData],
// two that do not belong together [ErrWrongKey]. A file that others may read is
// a seal.ErrKeyFile, one without a key in it a seal.ErrKey.
//
// A crash of the first start leaves nothing that a later start cannot finish:
// the key is written under the path and ".new", then the database is created,
// then the file gets its name. So a key file under its final name always has a
// database, and a database always has a key file under one of the names. It does
// not close s on failure.
func OpenWithKeyFile(ctx context.Context, s store.Store, path string) (db *DB, created bool, err error) {
	empty, err := isEmpty(ctx, s)
	if err != nil {
		return nil, false, err
	}
	key, err := seal.LoadFile(path)
	switch {
	case err == nil && empty:
		return nil, false, fmt.Errorf("%w, but there is its key in %s: restore the data from a backup made with that key; "+
			"or, to start anew, move the key file away (and the store's mark, if it has one), and everybody enrolls again", ErrNoData, path)
	case err == nil:
		db, err = Open(ctx, s, key)
		return db, false, err
	case !errors.Is(err, fs.ErrNotExist):
		return nil, false, err
	}
	// A link to nothing is a volume that is not mounted, rather than a first
	// start.
	if _, err := os.Lstat(path); err == nil {
		return nil, false, fmt.Errorf("%w: %s is a link to a file that is not there", ErrNoKey, path)
	}
	if empty {
		db, err = firstStart(ctx, s, path)
	} else {
		db, err = finishStart(ctx, s, path)
	}
	return db, err == nil, err
}

// firstStart makes key and database, or finishes where a crash left the key
// only.
func firstStart(ctx context.Context, s store.Store, path string) (*DB, error) {
	fresh := path + newKeySuffix
	key, err := seal.LoadFile(fresh)
	if errors.Is(err, seal.ErrKey) && isTorn(fresh) {
		if err := os.Remove(fresh); err != nil {
			return nil, fmt.Errorf("removing what a crash left of a key file: %w", err)
		}
		err = fs.ErrNotExist
	}
	if errors.Is(err, fs.ErrNotExist) {
		key = seal.GenerateKey()
		err = seal.CreateFile(fresh, key)
	}
	if err != nil {
		return nil, err
	}
	if err := Create(ctx, s, key); err != nil {
		// The file stays: the outcome may be unknown, and if the data came to be
		// it needs this key.
		return nil, err
	}
	return finishStart(ctx, s, path)
}

// finishStart opens the database with the key that a first start wrote, and
// gives the key file its name.
func finishStart(ctx context.Context, s store.Store, path string) (*DB, error) {
	fresh := path + newKeySuffix
	key, err := seal.LoadFile(fresh)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, seal.ErrKey) {
		return nil, missingKey(path)
	}
	if err != nil {
		return nil, err
	}
	db, err := Open(ctx, s, key)
	if errors.Is(err, ErrWrongKey) {
		return nil, missingKey(path)
	}
	if err != nil {
		return nil, err
	}
	if err := seal.MoveFile(fresh, path); err != nil {
		return nil, err
	}
	return db, nil
}

func missingKey(path string) error {
	return fmt.Errorf("%w: there is data, but no %s; restore that file from a backup; "+
		"without it nothing in the database can be read, and all that is left is to move the data away, after which everybody enrolls again",
		ErrNoKey, path)
}

func isTorn(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode().IsRegular() && info.Size() < maxTornKey
}

func isEmpty(ctx context.Context, s store.Store) (bool, error) {
	some, err := s.List(ctx, nil, nil, 1)
	if err != nil {
		return false, fmt.Errorf("looking for earlier data: %w", err)
	}
	return len(some) == 0, nil
}
