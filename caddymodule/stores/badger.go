// Package stores has the engines that come with the gateway, Caddy modules of the
// namespace step_up.stores. Importing it registers them.
package stores

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/block"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/realpath"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/secret"
	"github.com/stepup-gateway/caddy-stepup/internal/store/procstore"
	"github.com/stepup-gateway/caddy-stepup/store"
)

func init() {
	caddy.RegisterModule(Badger{})
}

// Badger keeps the state in an embedded Badger database: one gateway on one
// machine. The database lives in a process of its own, the same program started
// by Caddy as `caddy step-up-store`, so that no fault of its disk ends Caddy.
type Badger struct {
	// Dir is the database's directory, which belongs to it alone and is made
	// with mode 0700. Only one process can use it at a time. Placeholders such
	// as {env.STATE_DIRECTORY} are replaced. Default: step_up in Caddy's data
	// directory.
	Dir string `json:"dir,omitempty"`

	// Mark is the file that says how far the database has come, by which an older
	// copy of it is told: if one is put back, protected requests are refused until
	// `caddy step-up fence accept`. It must not lie in Dir, and must not be backed
	// up or restored with it. Placeholders are replaced. Default: step_up.mark in
	// Caddy's data directory; for another Dir step_up-HASH.mark there, HASH being
	// the first 8 hexadecimal digits of the SHA-256 of its absolute path. `off`
	// keeps none: an older copy goes unnoticed then.
	Mark string `json:"mark,omitempty"`

	dir    string // Dir, absolute
	mark   string // Mark, absolute; empty: off
	logger *zap.Logger
}

// CaddyModule returns the module's id.
func (Badger) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "step_up.stores.badger", New: func() caddy.Module { return new(Badger) }}
}

// UnmarshalCaddyfile reads the store. Syntax:
//
//	badger {
//		dir  PATH
//		mark PATH | off
//	}
func (b *Badger) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.Errf("badger takes its settings in a block, not %q: write `dir PATH` in it", d.Val())
	}
	return block.Block{
		Name:  "badger",
		Order: []string{"dir", "mark"},
		Settings: map[string]block.Setting{
			"dir":  func(d *caddyfile.Dispenser) error { return block.Word(d, &b.Dir, "/var/lib/step_up") },
			"mark": func(d *caddyfile.Dispenser) error { return block.Word(d, &b.Mark, "/var/lib/step_up.mark") },
		},
	}.Read(d)
}

// Provision finds the directory and the mark. It opens nothing.
func (b *Badger) Provision(ctx caddy.Context) error {
	b.logger = ctx.Logger()
	return b.Locate()
}

// Locate finds the directory and the mark, for those that use the store without a
// running Caddy.
func (b *Badger) Locate() (err error) {
	if b.dir, err = b.directory(); err != nil {
		return err
	}
	b.mark, err = b.markFile()
	return err
}

func (b *Badger) directory() (string, error) {
	if b.Dir == "" {
		return realpath.Of(filepath.Join(caddy.AppDataDir(), "step_up"))
	}
	dir, err := secret.Resolve(b.Dir)
	if err != nil {
		return "", fmt.Errorf("reading dir of the badger store: %w", err)
	}
	return realpath.Of(dir)
}

// Location returns the absolute path of the directory.
func (b *Badger) Location() string { return b.dir }

// Exists reports whether the directory is there, which Start makes.
func (b *Badger) Exists() bool {
	_, err := os.Stat(b.dir)
	return !errors.Is(err, fs.ErrNotExist)
}

// KeptMark returns the path of the mark; empty if it is off.
func (b *Badger) KeptMark() string { return b.mark }

// Start starts the process that opens the database.
func (b *Badger) Start() (store.Opening, error) {
	if err := checkMark(b.mark); err != nil {
		return nil, err
	}
	s, err := procstore.Start(procstore.Options{Dir: b.dir, Mark: b.mark, Logger: b.logger})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Interface guards
var (
	_ caddy.Provisioner     = (*Badger)(nil)
	_ caddyfile.Unmarshaler = (*Badger)(nil)
	_ store.Engine          = (*Badger)(nil)
)
