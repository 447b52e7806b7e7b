package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/place"
	"github.com/stepup-gateway/caddy-stepup/config"
	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/identity"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
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

// apiTenants lists the tenants of the handlers for servers that name one.
func (a *App) apiTenants() []string {
	var names []string
	for _, h := range a.apis {
		if h.Tenant != "" {
			names = append(names, h.Tenant)
		}
	}
	return names
}

// form returns a user id in the form in which its tenant keeps it. All that speak
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

// tuned is an identity source with settings that do not bear on who somebody is, such
// as a timeout. Gateways that share a database may differ in them.
type tuned interface{ Tuning() []string }

// fingerprintsOf returns what the configuration says of its tenants. It is asked once
// all sites are provisioned.
func (a *App) fingerprintsOf() map[string]*records.Fingerprint {
	all := make(map[string]*records.Fingerprint)
	for tenant, mode := range a.userIDs {
		all[tenant] = &records.Fingerprint{UserID: mode}
	}
	for _, h := range a.sites {
		if f := all[h.Site.WithDefaults().Tenant]; f.Source == "" {
			f.Source, f.Settings = settingsOf(h.source, h.identity)
		}
	}
	return all
}

// settingsOf are the settings of an identity source, each in a form that does not
// depend on the order in which it was written.
func settingsOf(raw string, source IdentitySource) (kind string, settings map[string]string) {
	members := settingsIn(json.RawMessage(raw))
	_ = json.Unmarshal([]byte(members["source"]), &kind)
	delete(members, "source")
	if t, ok := source.(tuned); ok {
		for _, name := range t.Tuning() {
			delete(members, name)
		}
	}
	return kind, members
}

// settingsIn are the members of a JSON object, in a canonical form.
func settingsIn(raw json.RawMessage) map[string]string {
	var members map[string]any
	_ = json.Unmarshal(raw, &members) // it was read before
	canonical := make(map[string]string, len(members))
	for name, value := range members {
		text, _ := json.Marshal(value)
		canonical[name] = string(text)
	}
	return canonical
}

// policies are the settings in which gateways that share a database may differ for a
// while, and should not for long.
var policies = []string{"enrollment", "limits", "totp", "passkeys", "sms", "email", "issuer"}

// checkTenants compares what the configuration says of its tenants with what the
// other gateways say. Before the database can be reached, requests are refused one
// by one.
func (a *App) checkTenants(cold bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := a.service.CheckTenants(ctx, slices.Sorted(maps.Keys(a.fingerprints())))
	if err == nil {
		err = a.notePolicies(ctx)
	}
	if err == nil || cold && !errors.Is(err, ceremony.ErrTenant) {
		return nil // what is wrong with the database has been logged
	}
	return err
}

func (a *App) notePolicies(ctx context.Context) error {
	raw, err := json.Marshal(a.App.WithDefaults())
	if err != nil {
		return err
	}
	all := settingsIn(raw)
	maps.DeleteFunc(all, func(name, _ string) bool { return !slices.Contains(policies, name) })
	db, err := a.db.Get(ctx)
	if err != nil {
		return err
	}
	differs, err := db.NotePolicies(ctx, all)
	if len(differs) > 0 {
		a.logger.Warn("another gateway of this database has other settings, so that what applies to a user depends on the gateway: give all the same", zap.Strings("settings", differs))
	}
	return err
}

// Much of what depends on the global options and on other sites can be checked while
// the Caddyfile is read. It is checked again when the configuration loads, but then
// Caddy's account of where it was at stands in front of the sentence.

// sitesKey is where the sites read so far are kept while a Caddyfile is adapted.
const sitesKey = "step_up.sites"

// checkBeside checks a site against the global options and the sites before it.
func (h *Handler) checkBeside(helper httpcaddyfile.Helper) error {
	app := new(App)
	if said, ok := helper.Option("step_up").(httpcaddyfile.App); ok {
		if err := json.Unmarshal(said.Value, app); err != nil {
			return err
		}
	}
	before, _ := helper.State[sitesKey].(*App)
	if before == nil {
		before = new(App)
		helper.State[sitesKey] = before
	}
	h.source = string(h.IdentityRaw)
	err := before.join(h)
	for i := 0; i < len(h.Rules) && err == nil; i++ {
		if offered := h.Rules[i].CheckOffered(app.Methods()); offered != nil {
			err = &config.RuleError{Rule: i, Err: offered}
		}
	}
	if rule := (*config.RuleError)(nil); errors.As(err, &rule) {
		return place.Place{Source: h.Source}.RefusedAt(rule.Err, config.PathOf(err))
	}
	return place.Place{Source: h.Source}.Refused(err)
}
