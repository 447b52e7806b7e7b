package database

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/realpath"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/secret"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/internal/seal"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// KeySource is where a database's key comes from: given from outside, or held in
// a file of ours.
type KeySource struct {
	Given seal.Key // from the key setting
	file  string   // absolute path, where no key is given
}

// NewKeySource resolves the settings. A key that is given is read at once, so
// that a missing variable or file is told when the configuration loads.
func NewKeySource(setting, file string, e store.Engine) (KeySource, error) {
	if err := checkShared(e, setting, file); err != nil {
		return KeySource{}, err
	}
	if setting != "" {
		text, err := secret.Resolve(setting)
		if err != nil {
			return KeySource{}, fmt.Errorf("reading key %s: %w", setting, err)
		}
		key, err := seal.ParseKey(text)
		if err != nil {
			return KeySource{}, fmt.Errorf("reading key %s: %w; `caddy step-up keygen` makes one", setting, err)
		}
		return KeySource{Given: key}, nil
	}
	path, err := KeyPath(file)
	if err != nil {
		return KeySource{}, err
	}
	databaseDir := e.Location()
	if realpath.Inside(path, databaseDir) {
		return KeySource{}, fmt.Errorf("key_file %s lies inside the database's directory %s, where every backup and every thief would take both: put it elsewhere", path, databaseDir)
	}
	return KeySource{file: path}, nil
}

// checkShared refuses a key of this machine for a database that several use: each
// would make one of its own.
func checkShared(e store.Engine, setting, file string) error {
	if s, ok := e.(interface{ Shared() bool }); !ok || !s.Shared() || setting != "" {
		return nil
	}
	if file != "" {
		return errors.New("key_file is for a database on this machine, and all gateways on this one need the same key: write `key {file./etc/step_up/key}` instead")
	}
	return errors.New("the store is used by several gateways, which need the same key: make one with `caddy step-up keygen`, and write `key {file./etc/step_up/key}`")
}

// KeyPath returns the absolute path of the key, where the setting says file; empty
// stands for the default.
func KeyPath(file string) (string, error) {
	if file == "" {
		file = filepath.Join(caddy.AppConfigDir(), "step_up", "key")
		if caddy.AppConfigDir() == caddy.AppDataDir() { // where step_up is the database
			file = filepath.Join(caddy.AppConfigDir(), "step_up.key")
		}
	}
	return realpath.Of(file)
}

func (k KeySource) same(other KeySource) bool {
	return k.file == other.file && k.Given.Equal(other.Given)
}

// Load reads the key, and makes none.
func (k KeySource) Load() (seal.Key, error) {
	if !k.Given.IsZero() {
		return k.Given, nil
	}
	key, err := seal.LoadFile(k.file)
	if errors.Is(err, fs.ErrNotExist) {
		return key, fmt.Errorf("there is no key file %s: copy the key there that the database was made with, with mode 0600", k.file)
	}
	return key, err
}

// unlock opens the records in s with the key. Package records refuses store and
// key that do not belong together, and makes both at a first start, which created
// reports.
func (k KeySource) unlock(ctx context.Context, s store.Store) (db *records.DB, created bool, err error) {
	if !k.Given.IsZero() {
		db, err = records.Open(ctx, s, k.Given)
		return db, false, err
	}
	// records makes the last directory on the way to the key only; Caddy's
	// configuration directory may not exist yet either.
	if err := os.MkdirAll(filepath.Dir(filepath.Dir(k.file)), 0o700); err != nil {
		return nil, false, fmt.Errorf("making directory of key file: %w", err)
	}
	return records.OpenWithKeyFile(ctx, s, k.file)
}
