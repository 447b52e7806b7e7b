package caddymodule

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/block"
	"github.com/stepup-gateway/caddy-stepup/internal/store"
	"github.com/stepup-gateway/caddy-stepup/internal/store/procstore"
)

func init() {
	caddy.RegisterModule(Badger{})
}

// engine is what a module of the namespace step_up.stores does. The contract of
// a store is not public yet, so engines are ours alone.
type engine interface {
	// location names the database for all that would open the same one; for
	// an embedded engine it is the absolute path of its directory.
	location() string
	// start begins to open the database, making it if there is none. It does
	// not wait, and goes on until it succeeds or is closed.
	start() (engineStore, error)
}

// engineStore is a database that opens, and opens again, by itself.
type engineStore interface {
	store.Supervised
	// FirstTry waits for the first attempt to open it, and returns its error.
	FirstTry(context.Context) error
	// InUse is closed once it was opened.
	InUse() <-chan struct{}
	// Since is when it went out of use, zero while it is in use.
	Since() time.Time
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
func (b *Badger) Provision(ctx caddy.Context) (err error) {
	b.logger = ctx.Logger()
	if b.dir, err = b.directory(); err != nil {
		return err
	}
	b.mark, err = b.markFile()
	return err
}

func (b *Badger) directory() (string, error) {
	if b.Dir == "" {
		return realPath(filepath.Join(caddy.AppDataDir(), "step_up"))
	}
	dir, err := caddy.NewReplacer().ReplaceOrErr(b.Dir, true, true)
	if err != nil {
		return "", fmt.Errorf("reading dir of the badger store: %w", err)
	}
	return realPath(dir)
}

func (b *Badger) location() string { return b.dir }

func (b *Badger) start() (engineStore, error) {
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
	_ engine                = (*Badger)(nil)
)
