package caddymodule

import (
	"fmt"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/internal/store"
	"github.com/stepup-gateway/caddy-stepup/internal/store/badgerstore"
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
	// open opens the database, making it if there is none.
	open() (store.Store, error)
}

// Badger keeps the state in an embedded Badger database: one gateway process on
// one machine.
type Badger struct {
	// Dir is the database's directory, which belongs to it alone and is made
	// with mode 0700. Only one process can use it at a time. Placeholders such
	// as {env.STATE_DIRECTORY} are replaced. Default: step_up in Caddy's data
	// directory.
	Dir string `json:"dir,omitempty"`

	dir    string // Dir, absolute
	logger *zap.Logger
}

// CaddyModule returns the module's id.
func (Badger) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "step_up.stores.badger", New: func() caddy.Module { return new(Badger) }}
}

// UnmarshalCaddyfile reads the store. Syntax:
//
//	badger {
//		dir PATH
//	}
func (b *Badger) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.Errf("badger takes its settings in a block, not %q: write `dir PATH` in it", d.Val())
	}
	return block{
		name:  "badger",
		order: []string{"dir"},
		settings: map[string]setting{
			"dir": func(d *caddyfile.Dispenser) error { return word(d, &b.Dir, "/var/lib/step_up") },
		},
	}.read(d)
}

// Provision finds the directory. It opens nothing.
func (b *Badger) Provision(ctx caddy.Context) (err error) {
	b.logger = ctx.Logger()
	b.dir, err = b.directory()
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

func (b *Badger) open() (store.Store, error) {
	s, err := badgerstore.Open(badgerstore.Options{Dir: b.dir, Logger: b.logger})
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
