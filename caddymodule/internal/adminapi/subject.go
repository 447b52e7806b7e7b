package adminapi

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/identity"
)

// tenants lists the tenants of the sites, of the handlers for servers, and of the
// API keys: servers may use a tenant that no site has.
func tenants(ctx context.Context, g Gateway) ([]string, error) {
	names := append(g.SiteTenants(), g.APITenants()...)
	keys, err := g.Service().Keys(ctx)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		names = append(names, k.Tenant)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// subject returns the user in the form in which its tenant keeps it.
func subject(ctx context.Context, g Gateway, who Who) (grants.Subject, error) {
	known, err := tenants(ctx, g)
	if err != nil {
		return grants.Subject{}, err
	}
	tenant := who.Tenant
	if tenant == "" {
		only := g.SiteTenants()
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
	user, err := g.Form(tenant, who.User)
	if errors.Is(err, identity.ErrSpelling) {
		// Nobody has it today; an account may be stored under it, to be reset.
		user, err = identity.Exact(who.User)
	}
	if err != nil {
		return grants.Subject{}, refused("%w", err)
	}
	return grants.Subject{Tenant: tenant, User: user}, nil
}
