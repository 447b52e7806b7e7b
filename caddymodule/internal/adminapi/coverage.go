package adminapi

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/coverage"
)

// CoverageRequest asks what the rules cover.
type CoverageRequest struct {
	// Tenant and Site narrow the answer to the sites of one tenant; Site is a
	// host name or URL that a site serves. Default: all.
	Tenant string `json:"tenant,omitempty"`
	Site   string `json:"site,omitempty"`
}

// CoverageAnswer tells what was seen since the process started.
type CoverageAnswer struct {
	Tenants []TenantCoverage `json:"tenants"`
}

// TenantCoverage is what the sites of one tenant have seen.
type TenantCoverage struct {
	Tenant string    `json:"tenant"`
	Since  time.Time `json:"since"`
	// Uncovered are requests that may change something and fall under no rule;
	// Excepted those which a rule's except takes out.
	Uncovered []coverage.Sighting `json:"uncovered"`
	Excepted  []coverage.Sighting `json:"excepted"`
	// NotListed is how many requests are in neither list, since there were more
	// patterns than are kept.
	NotListed uint64 `json:"not_listed"`
	// Rules are those of the running configuration, in its order.
	Rules []RuleCoverage `json:"rules"`
}

// RuleCoverage is what one rule met.
type RuleCoverage struct {
	Rule     string `json:"rule"`
	Action   string `json:"action_type"`
	Mode     string `json:"mode"`
	Requests uint64 `json:"requests"`
}

// coverageReport is what `caddy step-up coverage` shows.
func coverageReport(_ context.Context, g Gateway, in CoverageRequest) (CoverageAnswer, error) {
	known := g.SiteTenants()
	if in.Site != "" {
		url := in.Site
		if !strings.Contains(url, "://") {
			url = "https://" + url
		}
		r, err := requestOf(ExplainRequest{Method: "GET", URL: url})
		if err != nil {
			return CoverageAnswer{}, err
		}
		site, err := g.Site(r)
		if err != nil {
			return CoverageAnswer{}, err
		}
		if in.Tenant != "" && in.Tenant != site.Tenant {
			return CoverageAnswer{}, refused("the site %s has the tenant %s, not %s", in.Site, site.Tenant, in.Tenant)
		}
		in.Tenant = site.Tenant
	}
	if in.Tenant != "" {
		if !slices.Contains(known, in.Tenant) {
			return CoverageAnswer{}, refused("no site has the tenant %q; there is %s", in.Tenant, strings.Join(known, ", "))
		}
		known = []string{in.Tenant}
	}
	out := CoverageAnswer{Tenants: []TenantCoverage{}}
	for _, tenant := range known {
		out.Tenants = append(out.Tenants, g.Coverage(tenant))
	}
	return out, nil
}
