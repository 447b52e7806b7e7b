package records

import "time"

// APIKey lets a server use the API, stored under "k/" SHA-256-of-key.
type APIKey struct {
	// ID names the key to people; it is no secret.
	ID     string `json:"id"`
	Label  string `json:"label,omitempty"`
	Tenant string `json:"tenant"`
	// Scopes are what the key may do, Actions the action types for which it may
	// mint grants; "*" is any.
	Scopes    []string  `json:"scopes"`
	Actions   []string  `json:"actions,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	// Expires is zero for a key that does not end.
	Expires time.Time `json:"expires,omitzero"`
	// LastUsedAt is when it was used last, give or take a minute.
	LastUsedAt time.Time `json:"last_used_at,omitzero"`
	// Generation is the one under which it was made or enabled; see
	// [DB.TakesKey].
	Generation uint64 `json:"generation,omitempty"`
}
