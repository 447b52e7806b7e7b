package caddymodule

import (
	"context"
	"maps"
	"net/http"
	"slices"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/directories"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/adminapi"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/auditing"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/database"
	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/store/remote"
)

// Operator returns what the routes of the admin endpoint work with. It is not for
// other modules.
func (a *App) Operator() adminapi.Gateway { return operator{a} }

// operator is the app as its operator sees it.
type operator struct{ app *App }

func (o operator) Service() *ceremony.Service               { return o.app.service }
func (o operator) Engine() string                           { return o.app.db.Engine() }
func (o operator) SiteTenants() []string                    { return o.app.siteTenants() }
func (o operator) APITenants() []string                     { return o.app.apiTenants() }
func (o operator) Form(tenant, user string) (string, error) { return o.app.form(tenant, user) }

// Audit returns how the audit log's outputs are.
func (o operator) Audit() *auditing.Health { return o.app.outputs.Health() }

// Condition returns how the database is, and which tenants are refused.
func (o operator) Condition() database.Condition {
	c := o.app.db.Condition()
	refused := o.app.db.RefusedTenants(o.app.fingerprints())
	c.Tenants = slices.Sorted(maps.Keys(refused))
	if len(c.Tenants) > 0 && c.Reason == "" {
		c.Reason = refused[c.Tenants[0]].Error()
	}
	return c
}

// Inspect asks the servers of the database, if several gateways use it.
func (o operator) Inspect(ctx context.Context) (remote.Inspection, bool, error) {
	return o.app.db.Inspect(ctx)
}

// Lookup asks the directory of the user's tenant.
func (o operator) Lookup(ctx context.Context, who grants.Subject) (directories.Answer, bool, error) {
	return o.app.lookup(ctx, who, true)
}

// Actions lists what the rules of all sites ask for.
func (o operator) Actions() []string {
	var all []string
	for _, h := range o.app.sites {
		for _, r := range h.Site.WithDefaults().Rules {
			all = append(all, r.Action)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Site follows the routes of the configuration as far as the handler.
func (o operator) Site(r *http.Request) (adminapi.Site, error) {
	h, err := o.app.siteFor(r)
	if err != nil {
		return adminapi.Site{}, err
	}
	return adminapi.Site{Tenant: h.tenant, Explain: h.gate.Explain}, nil
}

// Coverage returns what the sites of a tenant have seen.
func (o operator) Coverage(tenant string) adminapi.TenantCoverage {
	c := adminapi.TenantCoverage{Tenant: tenant, Rules: []adminapi.RuleCoverage{}}
	var listed []string
	for _, h := range o.app.sites {
		if h.tenant != tenant {
			continue
		}
		seen := h.observer.coverage
		c.Since = seen.Since
		c.Uncovered, c.Excepted, c.NotListed = seen.List()
		for i, r := range h.Site.WithDefaults().Rules {
			rule := h.observer.rules[i]
			if slices.Contains(listed, rule.line) {
				continue // two sites with the same rule count together
			}
			listed = append(listed, rule.line)
			c.Rules = append(c.Rules, adminapi.RuleCoverage{Rule: rule.line, Action: r.Action, Mode: r.Mode, Requests: rule.met.Load()})
		}
	}
	return c
}

// Interface guard
var _ adminapi.Operated = (*App)(nil)
