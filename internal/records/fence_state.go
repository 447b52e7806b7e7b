package records

import "time"

// fenceState is what is stored of it, sealed, in meta.
type fenceState struct {
	Generation uint64    `json:"generation"`
	Since      time.Time `json:"since,omitzero"`
	Cause      string    `json:"cause,omitempty"`
	CodesAfter time.Time `json:"codes_after,omitzero"`
	// Recovery is the first generation whose recovery codes are taken, and Keys
	// the first whose API keys are.
	Recovery uint64 `json:"recovery,omitempty"`
	Keys     uint64 `json:"keys,omitempty"`
	// Engine is the generation of a shared engine in which this one began.
	Engine uint64 `json:"engine,omitempty"`
	// Tenants and Policies are what gateways that share the database recorded of
	// their configurations; see OfTenant and NotePolicies.
	Tenants  map[string]TenantState `json:"tenants,omitempty"`
	Policies map[string][]byte      `json:"policies,omitempty"`
	// Move marks a database that must not be served, and Came names the move by which
	// it came here from another engine, if it did.
	Move *Move  `json:"move,omitempty"`
	Came string `json:"came,omitempty"`
	// Unconfirmed reports that authenticators wait to be confirmed; see Restored.
	Unconfirmed bool `json:"unconfirmed,omitempty"`
}

// next makes it the state of the next generation: codes up to latest may have been used.
func (s *fenceState) next(now time.Time, cause string, latest time.Time) {
	s.Generation++
	s.Since, s.Cause = now, cause[:min(len(cause), maxCause)]
	s.Recovery = s.Generation
	if until := latest.Add(codesMargin); until.After(s.CodesAfter) {
		s.CodesAfter = until
	}
}

// codesMargin is added to the latest time at which a code may have been used.
const codesMargin = 10 * time.Second

// maxCause bounds what is stored of an engine's reason.
const maxCause = 1 << 10
