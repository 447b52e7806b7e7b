package caddymodule

import (
	"encoding/json"

	"github.com/caddyserver/caddy/v2"

	"github.com/stepup-gateway/caddy-stepup/config"
)

func init() {
	caddy.RegisterModule(App{})
}

// App is what is said once for all sites: the database, the key, the policies.
// It exists with its defaults wherever a site has a step_up handler.
type App struct {
	config.App

	// StoreRaw is where the state is kept, a module of the namespace
	// step_up.stores. Default: badger in step_up/ of Caddy's data directory.
	StoreRaw json.RawMessage `json:"store,omitempty" caddy:"namespace=step_up.stores inline_key=engine"`
}

// CaddyModule returns the module's id.
func (App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "step_up", New: func() caddy.Module { return new(App) }}
}

// Start does nothing yet.
func (a *App) Start() error { return nil }

// Stop does nothing.
func (a *App) Stop() error { return nil }
