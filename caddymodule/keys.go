package caddymodule

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"

	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/internal/seal"
	"github.com/stepup-gateway/caddy-stepup/internal/store"
)

// keySource is where a database's key comes from: given from outside, or held in
// a file of ours.
type keySource struct {
	given seal.Key // from the key setting
	file  string   // absolute path, where no key is given
}

// newKeySource resolves the settings. A key that is given is read at once, so
// that a missing variable or file is told when the configuration loads.
func newKeySource(setting, file, databaseDir string) (keySource, error) {
	if setting != "" {
		// ReplaceAll would make "" of a missing variable, silently.
		text, err := caddy.NewReplacer().ReplaceOrErr(setting, true, true)
		if err != nil {
			return keySource{}, fmt.Errorf("reading key %s: %w", setting, err)
		}
		key, err := seal.ParseKey(text)
		if err != nil {
			return keySource{}, fmt.Errorf("reading key %s: %w; `caddy step-up keygen` makes one", setting, err)
		}
		return keySource{given: key}, nil
	}
	if file == "" {
		file = filepath.Join(caddy.AppConfigDir(), "step_up", "key")
	}
	path, err := realPath(file)
	if err != nil {
		return keySource{}, err
	}
	if inDir(path, databaseDir) {
		return keySource{}, fmt.Errorf("key_file %s lies inside the database's directory %s, where every backup and every thief would take both: put it elsewhere", path, databaseDir)
	}
	return keySource{file: path}, nil
}

func inDir(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

func (k keySource) same(other keySource) bool {
	return k.file == other.file && k.given.Equal(other.given)
}

// unlock opens the records in s with the key. Package records refuses store and
// key that do not belong together, and makes both at a first start.
func (k keySource) unlock(ctx context.Context, s store.Store) (*records.DB, error) {
	if !k.given.IsZero() {
		return records.Open(ctx, s, k.given)
	}
	// records makes the last directory on the way to the key only; Caddy's
	// configuration directory may not exist yet either.
	if err := os.MkdirAll(filepath.Dir(filepath.Dir(k.file)), 0o700); err != nil {
		return nil, fmt.Errorf("making directory of key file: %w", err)
	}
	db, _, err := records.OpenWithKeyFile(ctx, s, k.file)
	return db, err
}
