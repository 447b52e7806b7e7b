package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/directories"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/block"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/place"
	"github.com/stepup-gateway/caddy-stepup/config"
	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
)

// Directory reports which users a tenant has. It is the interface of guest modules
// in the namespace step_up.directories.
//
// It is asked where somebody else writes a user's name: by the API for servers
// before a user is enrolled with an API key, and by the commands invite, reset,
// unlock and users. It lets nobody in, and is not asked about people who signed in
// at an identity source, which has named them.
//
// Lookup reports whether there is the user. DirectoryUser.Same compares an id of the
// directory's with the user's in the way that the tenant compares ids; a directory
// that can look up only one spelling looks up DirectoryUser.ID. If there is no such
// user and DirectoryUser.Suggest is set, DirectoryAnswer.Near may name one that was
// meant.
//
// An error means that it cannot be told: nobody is enrolled or invited then, the API
// answers 503, and the error is logged, so that no secret may stand in it. So does a
// panic. Lookup must be safe for concurrent use, may not take longer than 10 seconds,
// and must return soon after ctx has ended.
type Directory interface {
	Lookup(ctx context.Context, user DirectoryUser) (DirectoryAnswer, error)
}

// DirectoryUser is whom a Directory is asked about.
type DirectoryUser = directories.User

// DirectoryAnswer is what a Directory says of a user.
type DirectoryAnswer = directories.Answer

// maxLookup bounds a question to a directory.
const maxLookup = 10 * time.Second

var errDirectoryPanicked = errors.New("asking directory: it panicked")

// readDirectory reads the directory of a tenant. Syntax:
//
//	directory [TENANT] {
//		file PATH
//	}
//	directory [TENANT] {
//		http URL {
//			send    FIELD VALUE
//			timeout DURATION
//			cache   DURATION
//		}
//	}
//
// It may be repeated for other tenants. Without TENANT it is that of sites which name
// none, `default`.
func (a *App) readDirectory(d *caddyfile.Dispenser) error {
	tenant := config.DefaultTenant
	if d.NextArg() {
		tenant = d.Val()
		if d.NextArg() {
			return d.Errf("directory takes at most the name of a tenant and then a block that has the source, such as `file /etc/step_up/users`, on a line of its own; %q is more than that", d.Val())
		}
	}
	if err := config.CheckTenant(tenant); err != nil {
		return block.Checked(d, err)
	}
	if _, twice := a.DirectoriesRaw[tenant]; twice {
		return d.Errf("the tenant %q has two directories: keep one of them", tenant)
	}
	directive := d.Token()
	var raw json.RawMessage
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if raw != nil {
			return d.Errf("directory takes one source, and %q is a second: keep one of them", d.Val())
		}
		var err error
		if raw, err = block.GuestHere(d, "step_up.directories", "directory", a.Source, "directories."+tenant); err != nil {
			return err
		}
	}
	if raw == nil {
		return block.At(directive, errors.New("directory needs a block with its source: write `file /etc/step_up/users` or `http https://hr.example.com/users/{user}` in it"))
	}
	if a.DirectoriesRaw == nil {
		a.DirectoriesRaw = make(map[string]json.RawMessage)
	}
	a.DirectoriesRaw[tenant] = raw
	return nil
}

// loadDirectories makes the directories.
func (a *App) loadDirectories(ctx caddy.Context) error {
	for _, tenant := range slices.Sorted(maps.Keys(a.DirectoriesRaw)) {
		if err := config.CheckTenant(tenant); err != nil {
			return &config.PathError{Path: "directories." + tenant, Err: fmt.Errorf("directory: %w", err)}
		}
		path := "directories." + tenant
		var source struct{ Directory string }
		if json.Unmarshal(a.DirectoriesRaw[tenant], &source) == nil && source.Directory == "" {
			return &config.PathError{Path: path, Err: errors.New("directory has no source: write {\"directory\": \"file\", \"path\": \"/etc/step_up/users\"}, or remove it")}
		}
		module, err := block.LoadRaw(ctx, a.DirectoriesRaw[tenant], "step_up.directories", "directory", path)
		if err != nil {
			return err
		}
		directory, ok := module.(Directory)
		if !ok {
			return &config.PathError{Path: path, Err: fmt.Errorf("%T is not a directory", module)}
		}
		if a.directories == nil {
			a.directories = make(map[string]Directory)
		}
		a.directories[tenant] = directory
	}
	return nil
}

// lookup asks the tenant's directory for a user, in the form in which the tenant
// keeps its ids. Without a directory asked is false.
func (a *App) lookup(ctx context.Context, who grants.Subject, suggest bool) (answer DirectoryAnswer, asked bool, err error) {
	directory := a.directories[who.Tenant]
	if directory == nil {
		return DirectoryAnswer{}, false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, maxLookup)
	defer cancel()
	defer func() {
		if recover() != nil { // its value may be anything
			answer, err = DirectoryAnswer{}, errDirectoryPanicked
		}
	}()
	answer, err = directory.Lookup(ctx, DirectoryUser{
		ID: who.User, Suggest: suggest,
		Same: func(id string) bool {
			form, err := a.form(who.Tenant, id)
			return err == nil && form == who.User
		},
	})
	if err != nil {
		return DirectoryAnswer{}, true, err
	}
	return answer, true, nil
}

// listed is lookup for the domain.
func (a *App) listed(ctx context.Context, who grants.Subject) (ceremony.Listing, error) {
	answer, asked, err := a.lookup(ctx, who, false)
	switch {
	case err != nil || !asked:
		return ceremony.NoDirectory, err
	case answer.Found:
		return ceremony.Listed, nil
	}
	return ceremony.Unlisted, nil
}

// warnUnasked tells of directories of tenants that no site has and no handler of the
// API for servers names. Only API keys may be of such a tenant.
func (a *App) warnUnasked() {
	known := append(a.siteTenants(), a.apiTenants()...)
	for tenant := range a.directories {
		if !slices.Contains(known, tenant) {
			a.logger.Warn("a directory is configured for a tenant that no site has: it is asked for users of API keys of that tenant alone; write the tenant of a site, or remove the directory",
				zap.String("at", place.Place{Path: "apps.step_up", Source: a.Source}.At("directories."+tenant)), zap.String("tenant", tenant), zap.Strings("tenants", known))
		}
	}
}

// Interface guards
var (
	_ Directory = (*directories.File)(nil)
	_ Directory = (*directories.HTTP)(nil)
)
