package stores

import (
	"context"
	"errors"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/block"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/secret"
	"github.com/stepup-gateway/caddy-stepup/config"
	"github.com/stepup-gateway/caddy-stepup/internal/store/postgres"
	"github.com/stepup-gateway/caddy-stepup/internal/store/remote"
	"github.com/stepup-gateway/caddy-stepup/store"
)

func init() {
	caddy.RegisterModule(Postgres{})
}

// Postgres keeps the state in a PostgreSQL database, which several gateways can use
// at the same time. Its tables are made once, by `caddy step-up init`. All gateways
// need the same `key`; `key_file` is refused with this store.
type Postgres struct {
	// URL is where the database is, as a URI or as words and values: as libpq takes
	// them. Several hosts can be named; the one that takes writes is used, and what is
	// protected is refused while two of them do.
	// Placeholders such as {env.STEP_UP_DB} and {file./etc/step_up/db} are replaced,
	// so that the password need not stand here. A server that is not on this machine
	// must be verified: write sslmode=verify-full. Required.
	URL string `json:"url,omitempty"`

	// Stale is how long a live grant may be served from memory without the database
	// having said that nothing was revoked, from 500ms to 10s; 0 asks the database
	// each time. Revocations are seen by other gateways at once where the database
	// is reached directly, and never later than this. Default: 1s.
	Stale *config.Duration `json:"stale,omitempty"`

	// Standby is what is asked of the database's standbys: with `required`, the
	// gateway does not start unless one is synchronous, so that a failover loses
	// nothing that was acknowledged. With `optional` it starts, and warns of
	// standbys of which none is synchronous. Default: optional.
	Standby string `json:"standby,omitempty"`

	// Connections is how many connections one gateway opens at most, from 2 to 500.
	// It opens two more for notices of changes. Default: 32.
	Connections int `json:"connections,omitempty"`

	url    string // URL, with its placeholders replaced
	name   string // see Location
	logger *zap.Logger
}

// CaddyModule returns the module's id.
func (Postgres) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "step_up.stores.postgres", New: func() caddy.Module { return new(Postgres) }}
}

// UnmarshalCaddyfile reads the store. Syntax:
//
//	postgres {
//		url         URL
//		stale       DURATION
//		standby     required | optional
//		connections NUMBER
//	}
func (p *Postgres) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.Errf("postgres takes its settings in a block, not %q: write `url {env.STEP_UP_DB}` in it", d.Val())
	}
	return block.Block{
		Name:  "postgres",
		Order: []string{"url", "stale", "standby", "connections"},
		Settings: map[string]block.Setting{
			"url":   func(d *caddyfile.Dispenser) error { return block.Word(d, &p.URL, "{env.STEP_UP_DB}") },
			"stale": readStale(&p.Stale),
			"standby": func(d *caddyfile.Dispenser) error {
				return block.Word(d, &p.Standby, "required")
			},
			"connections": func(d *caddyfile.Dispenser) error { return block.Count(d, &p.Connections, "32") },
		},
	}.Read(d)
}

// Provision resolves the URL. It connects to nothing.
func (p *Postgres) Provision(ctx caddy.Context) error {
	p.logger = ctx.Logger()
	return p.Locate()
}

// Locate checks the settings and resolves the URL, for those that use the store
// without a running Caddy.
func (p *Postgres) Locate() (err error) {
	if p.URL == "" {
		return wrong("url", "the postgres store needs `url`: write url {env.STEP_UP_DB}, or postgres://USER:PASSWORD@HOST/DATABASE?sslmode=verify-full")
	}
	if p.url, err = secret.Resolve(p.URL); err != nil {
		return wrong("url", "reading url of the postgres store: %w", err)
	}
	p.url = strings.TrimSpace(p.url)
	if err := checkStale(p.Stale); err != nil {
		return err
	}
	if p.Standby != "" && p.Standby != "required" && p.Standby != "optional" {
		return wrong("standby", "standby %q is unknown: write required or optional", p.Standby)
	}
	if p.Connections != 0 && (p.Connections < 2 || p.Connections > 500) {
		return wrong("connections", "%d connections are not allowed: write 2 to 500", p.Connections)
	}
	if p.name, err = postgres.Name(p.url); err != nil {
		return wrong("url", "%w", err)
	}
	return nil
}

// Name returns where the database is, without what is secret.
func (p *Postgres) Name() string { return p.name }

// Location returns the name of the database and a mark of the settings.
func (p *Postgres) Location() string {
	return locationOf(p.Name(), p.url, staleOf(p.Stale), p.Standby, p.Connections)
}

// Shared reports that several gateways use the database, which must have one key.
func (*Postgres) Shared() bool { return true }

// Start begins to connect.
func (p *Postgres) Start() (store.Opening, error) {
	s, err := postgres.Start(postgres.Options{
		URL: p.url, Stale: staleOf(p.Stale), StandbyRequired: p.Standby == "required", Connections: p.Connections, Logger: p.logger,
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Prepare makes the tables where there are none.
func (p *Postgres) Prepare(ctx context.Context) error { return postgres.Create(ctx, p.url) }

// Inspect asks the servers without opening the database.
func (p *Postgres) Inspect(ctx context.Context, key []byte) (remote.Inspection, error) {
	return postgres.Inspect(ctx, postgres.Options{URL: p.url, StandbyRequired: p.Standby == "required"}, key)
}

// Statements returns what makes the tables, for a database administrator, and the
// least that the role of the URL needs where somebody else runs them.
func (p *Postgres) Statements() (string, error) {
	role, err := postgres.Role(p.url)
	if err != nil {
		return "", errors.New("url of the postgres store names no user")
	}
	return postgres.Statements + "-- Where another role than this one runs them:\n" + postgres.Grants(role), nil
}

// Interface guards
var (
	_ caddy.Provisioner     = (*Postgres)(nil)
	_ caddyfile.Unmarshaler = (*Postgres)(nil)
	_ store.Engine          = (*Postgres)(nil)
)
