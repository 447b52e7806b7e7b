package config

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// The defaults of session tokens.
const (
	DefaultSessionAction = "SESSION"
	DefaultSessionTTL    = Duration(10 * time.Minute)
)

// API is set once for each place where the API for servers is mounted. An
// identity source may stand beside these settings; it tells whom a user's own
// token names, in the calls that take one.
type API struct {
	// BaseURL begins the addresses that clients are told, such as that of a QR
	// code: https://internal.example.com:8443, without a slash at the end. Say
	// it where clients reach the API by another name or path than Caddy is asked
	// by. Default: where the request was sent to.
	BaseURL string `json:"base_url,omitempty"`

	// SessionToken is what a session_token is a grant for.
	SessionToken SessionToken `json:"session_token,omitzero"`

	// Tenant is whose users the identity source names. It may be a site's with
	// another identity source: that both mean the same people by a name is yours
	// to see to. Calls with an API key have the key's tenant. Required with an
	// identity source or UserID.
	Tenant string `json:"tenant,omitempty"`

	// UserID is how user ids of Tenant are compared, folded or exact; where a
	// site has the tenant too, as it says there. Default: as the tenant's sites
	// say, else folded.
	UserID string `json:"user_id,omitempty"`
}

// SessionToken is what servers get that verify a code by the call that answers
// with a session_token: a TIME_BASED grant.
type SessionToken struct {
	// Action is the action type; an API key must be allowed to mint it. Default:
	// SESSION.
	Action string `json:"action,omitempty"`

	// TTL is how long it is good for. 1 s to 24 h. Default: 10 min.
	TTL Duration `json:"ttl,omitempty"`
}

// WithDefaults returns a with everything filled in that was left out and does not
// depend on others.
func (a API) WithDefaults() API {
	if a.SessionToken.Action == "" {
		a.SessionToken.Action = DefaultSessionAction
	}
	if a.SessionToken.TTL == 0 {
		a.SessionToken.TTL = DefaultSessionTTL
	}
	return a
}

// Validate returns the first thing that is wrong with a by itself, as a sentence.
func (a API) Validate() error {
	if a.BaseURL != "" {
		if err := CheckBaseURL(a.BaseURL); err != nil {
			return at(err, "base_url")
		}
	}
	if err := a.SessionToken.Validate(); err != nil {
		return at(err, "session_token")
	}
	if a.UserID != "" {
		if err := CheckUserID(a.UserID); err != nil {
			return at(err, "user_id")
		}
		if a.Tenant == "" {
			return at(errors.New("user_id says how a tenant's user ids are compared: add `tenant NAME`"), "user_id")
		}
	}
	if a.Tenant != "" {
		return at(CheckTenant(a.Tenant), "tenant")
	}
	return nil
}

// Validate returns the first thing that is wrong with s, as a sentence.
func (s SessionToken) Validate() error {
	if s.Action != "" {
		if err := CheckAction(s.Action); err != nil {
			return fmt.Errorf("session_token: %w", err)
		}
	}
	return Within("session_token", s.TTL, MinGrant, MaxGrant)
}

// CheckBaseURL checks the beginning of our own addresses against its form.
func CheckBaseURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil, u.Scheme != "https" && u.Scheme != "http", u.Host == "", u.User != nil,
		strings.ContainsAny(s, "?#{}\\ "), strings.HasSuffix(s, "/"), len(s) > 1024, !printable(s):
		return fmt.Errorf("base_url %q must be a plain address without a slash at the end, such as https://internal.example.com:8443", s)
	}
	return nil
}
