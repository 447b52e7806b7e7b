package ceremony

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/store"
)

var (
	// ErrNoOffer and ErrOtherOffer are those of package records.
	ErrNoOffer    = records.ErrNoOffer
	ErrOtherOffer = records.ErrOtherOffer
	// ErrTenant reports that the tenant is configured differently by other gateways.
	ErrTenant = records.ErrTenant
)

// TenantStatus is what the gateways of one database agreed on for a tenant.
type TenantStatus struct {
	Tenant string
	// Source is the identity source, empty if no gateway has one; UserID is how user
	// ids are compared.
	Source, UserID string
	// Generation counts how often another configuration was accepted, last at Since.
	Generation uint64
	Since      time.Time
	// Offer is the id of the configuration that a gateway was refused with, at
	// OfferedAt, and Differs says in what; empty: none was.
	Offer     string
	OfferedAt time.Time
	Differs   []string
}

// Tenants returns what is recorded of all tenants, sorted. There are none where the
// database is this gateway's alone.
func (s *Service) Tenants(ctx context.Context) ([]TenantStatus, error) {
	db, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	known := db.Tenants()
	all := make([]TenantStatus, 0, len(known))
	for _, name := range slices.Sorted(maps.Keys(known)) {
		t := known[name]
		one := TenantStatus{Tenant: name, Source: t.Accepted.Source, UserID: t.Accepted.UserID, Generation: t.Generation, Since: t.Since}
		if t.Offered != nil {
			one.Offer, one.OfferedAt, one.Differs = t.Offered.ID(db), t.Offered.At, t.Offered.Differs(&t.Accepted)
		}
		all = append(all, one)
	}
	return all, nil
}

// CheckTenants records what this gateway's configuration says of the tenants. It
// fails with [ErrTenant] where other gateways say something else.
func (s *Service) CheckTenants(ctx context.Context, tenants []string) error {
	for _, name := range tenants {
		db, err := s.open(ctx)
		if err != nil {
			return err
		}
		if _, err := db.OfTenant(ctx, name, s.fingerprint(name)); err != nil {
			return err
		}
	}
	return nil
}

// AcceptTenant accepts, for a tenant, the configuration of that id, which a gateway
// was refused with. What was issued for the tenant and can be used once is void, and
// its grants have ended.
func (s *Service) AcceptTenant(ctx context.Context, tenant, offer string) error {
	db, err := s.open(ctx)
	if err != nil {
		return err
	}
	err = db.AcceptTenant(store.Taking(ctx), tenant, offer, s.now())
	if errors.Is(err, ErrNoOffer) || errors.Is(err, ErrOtherOffer) {
		return err
	}
	e := Event{Kind: EventTenant, Outcome: Accepted}
	if err != nil {
		e.Outcome, e.Cause = Refused, causeOf(err)
	}
	s.report(asOperator(ctx), Principal{Subject: grants.Subject{Tenant: tenant}}, e)
	return err
}
