package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/config"
	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/identity"
)

// join adds a site. Two identity sources that say "alice" may mean two people, so
// sites that share a tenant must ask the same source and compare its answers in
// the same way.
func (a *App) join(h *Handler) error {
	said := h.Site.WithDefaults()
	for _, other := range a.sites {
		theirs := other.Site.WithDefaults()
		if theirs.Tenant != said.Tenant {
			continue
		}
		if other.source != h.source {
			return fmt.Errorf("two sites with different identity sources share the tenant %q, so that the same name in both would be one person: give each its own, such as `tenant intranet`", said.Tenant)
		}
		if err := config.CheckShared(theirs.Rules, said.Rules); err != nil {
			return err
		}
	}
	if err := a.compares(said.Tenant, said.UserID); err != nil {
		return err
	}
	a.sites = append(a.sites, h)
	return nil
}

// joinAPI adds a place where the API for servers is mounted.
func (a *App) joinAPI(h *API) error {
	if h.UserID != "" {
		if err := a.compares(h.Tenant, h.UserID); err != nil {
			return err
		}
	}
	a.apis = append(a.apis, h)
	return nil
}

// compares notes how a tenant's user ids are compared. All that speak of a tenant
// must agree, whichever is provisioned first.
func (a *App) compares(tenant, mode string) error {
	if known, said := a.userIDs[tenant]; said && known != mode {
		return fmt.Errorf("two handlers of the tenant %q compare user ids differently: say `user_id %s` in both, or give each its own tenant", tenant, config.UserIDExact)
	}
	if a.userIDs == nil {
		a.userIDs = make(map[string]string)
	}
	a.userIDs[tenant] = mode
	return nil
}

// demand is what a rule of one of the tenant's sites asks for the action type
// today, false where none does. The sites of a tenant ask for the same.
func (a *App) demand(tenant, action string) (grants.Demand, bool) {
	for _, h := range a.sites {
		if known, ok := h.actions[action]; ok && h.tenant == tenant {
			return known.Demand, true
		}
	}
	return grants.Demand{}, false
}

// siteTenants lists the tenants of the sites.
func (a *App) siteTenants() []string {
	var names []string
	for _, h := range a.sites {
		names = append(names, h.tenant)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// tenants lists the tenants of the sites, of the handlers for servers, and of the
// API keys: servers may use a tenant that no site has.
func (a *App) tenants(ctx context.Context) ([]string, error) {
	names := a.siteTenants()
	for _, h := range a.apis {
		if h.Tenant != "" {
			names = append(names, h.Tenant)
		}
	}
	keys, err := a.service.Keys(ctx)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		names = append(names, k.Tenant)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// subject gives the user in the form in which its tenant keeps it.
func (a *App) subject(ctx context.Context, who Who) (grants.Subject, error) {
	known, err := a.tenants(ctx)
	if err != nil {
		return grants.Subject{}, err
	}
	tenant := who.Tenant
	if tenant == "" {
		only := a.siteTenants()
		if len(only) == 0 {
			only = known
		}
		if len(only) != 1 {
			return grants.Subject{}, refused("say which tenant: %s", strings.Join(known, ", "))
		}
		tenant = only[0]
	}
	if !slices.Contains(known, tenant) {
		return grants.Subject{}, refused("no site and no API key has the tenant %q; there is %s", tenant, strings.Join(known, ", "))
	}
	user, err := a.form(tenant, who.User)
	if errors.Is(err, identity.ErrSpelling) {
		// Nobody has it today; an account may be stored under it, to be reset.
		user, err = identity.Exact(who.User)
	}
	if err != nil {
		return grants.Subject{}, refused("%w", err)
	}
	return grants.Subject{Tenant: tenant, User: user}, nil
}

// form gives a user id in the form in which its tenant keeps it. All that speak
// of a tenant agree on that form; see compares.
func (a *App) form(tenant, user string) (string, error) {
	return formOf(a.userIDs[tenant])(user)
}

// formOf is the form of user ids that a setting names; none is folded.
func formOf(mode string) func(string) (string, error) {
	if mode == config.UserIDExact {
		return identity.Exact
	}
	return identity.Folded
}
