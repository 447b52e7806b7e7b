package adminapi

import (
	"context"
	"net/http"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/directories"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/auditing"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/database"
	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/gate"
	"github.com/stepup-gateway/caddy-stepup/internal/store/remote"
)

// Operated is the app step_up: a gateway that an operator looks after.
type Operated interface {
	Operator() Gateway
}

// Gateway is the running gateway, as its operator sees it.
type Gateway interface {
	// Service has the verbs that change what is stored.
	Service() *ceremony.Service
	// Engine is the kind of store that the state is kept in.
	Engine() string
	// Condition returns how the database is. It does not wait.
	Condition() database.Condition
	// Audit returns how the audit log's own outputs are; nil if there are none.
	Audit() *auditing.Health
	// Inspect asks the servers of the database what a gateway would find there, and
	// changes nothing; false: it is on this machine's disk.
	Inspect(ctx context.Context) (remote.Inspection, bool, error)
	// SiteTenants lists the tenants of the sites, sorted and each once;
	// APITenants those that handlers of the API for servers name.
	SiteTenants() []string
	APITenants() []string
	// Form returns a user id in the form in which its tenant keeps it.
	Form(tenant, user string) (string, error)
	// Lookup asks the directory of the user's tenant, also for a name that may have
	// been meant. Without a directory asked is false.
	Lookup(ctx context.Context, who grants.Subject) (answer directories.Answer, asked bool, err error)
	// Actions lists the action types that rules ask for, sorted and each once.
	Actions() []string
	// Coverage returns what the sites of a tenant have seen.
	Coverage(tenant string) TenantCoverage
	// Site returns the site that a request comes to, or an error for the operator.
	Site(*http.Request) (Site, error)
}

// Site is a site with a step_up.
type Site struct {
	Tenant string
	// Explain returns what the site would decide about a request.
	Explain func(*http.Request) gate.Explanation
}
