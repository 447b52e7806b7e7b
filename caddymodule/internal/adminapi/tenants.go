package adminapi

import (
	"context"
	"time"
)

// TenantsAnswer lists what the gateways of one database agreed on for each tenant.
type TenantsAnswer struct {
	Tenants []Tenant `json:"tenants"`
}

// Tenant is one of them.
type Tenant struct {
	Tenant string `json:"tenant"`
	// Identity is the kind of identity source, UserID how user ids are compared.
	Identity string `json:"identity,omitempty"`
	UserID   string `json:"user_id,omitempty"`
	// Generation counts how often another configuration was accepted, last at Since.
	Generation uint64     `json:"generation"`
	Since      *time.Time `json:"since,omitempty"`
	// Offer is the id of the configuration that a gateway was refused with last, at
	// OfferedAt, if one was. Differs says in what.
	Offer     string     `json:"offer,omitempty"`
	OfferedAt *time.Time `json:"offered_at,omitempty"`
	Differs   []string   `json:"differs,omitempty"`
}

// AcceptTenantRequest accepts the configuration that a gateway was refused with.
type AcceptTenantRequest struct {
	Tenant string `json:"tenant"`
	Offer  string `json:"offer"`
}

func listTenants(ctx context.Context, g Gateway, _ struct{}) (TenantsAnswer, error) {
	all, err := g.Service().Tenants(ctx)
	out := TenantsAnswer{Tenants: make([]Tenant, 0, len(all))}
	for _, t := range all {
		one := Tenant{Tenant: t.Tenant, Identity: t.Source, UserID: t.UserID, Generation: t.Generation, Offer: t.Offer, Differs: t.Differs}
		if !t.Since.IsZero() {
			one.Since = &t.Since
		}
		if t.Offer != "" {
			one.OfferedAt = &t.OfferedAt
		}
		out.Tenants = append(out.Tenants, one)
	}
	return out, err
}

func acceptTenant(ctx context.Context, g Gateway, in AcceptTenantRequest) (TenantsAnswer, error) {
	if err := g.Service().AcceptTenant(ctx, in.Tenant, in.Offer); err != nil {
		return TenantsAnswer{}, err
	}
	return listTenants(ctx, g, struct{}{})
}
