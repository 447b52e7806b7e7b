package caddymodule

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func init() {
	caddy.RegisterModule(Badger{})
}

// Badger keeps the state in an embedded Badger database: one gateway process on
// one machine.
type Badger struct {
	// Dir is the database's directory, which belongs to it alone and is made
	// with mode 0700. Only one process can use it at a time. Default: step_up
	// in Caddy's data directory.
	Dir string `json:"dir,omitempty"`
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

// Interface guard
var _ caddyfile.Unmarshaler = (*Badger)(nil)
