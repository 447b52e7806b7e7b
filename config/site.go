package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// DefaultTenant is the tenant of sites that name none.
const DefaultTenant = "default"

// How user ids of a tenant are compared.
const (
	// UserIDFolded trims blanks, normalizes (NFC) and lower-cases: Alice is
	// alice. Ids for which lower-casing is not enough are refused.
	UserIDFolded = "folded"
	// UserIDExact compares byte by byte.
	UserIDExact = "exact"
)

// Site is set once for each site. Who is asking comes from an identity source,
// which stands beside these settings.
type Site struct {
	// Tenant is the namespace of this site's users: the same user id in two
	// tenants is two people. Sites that share one must have the same identity
	// source. 1 to 64 of A–Z a–z 0–9 _ . -; default "default".
	Tenant string `json:"tenant,omitempty"`

	// UserID is how user ids are compared: folded, or exact for applications
	// that tell Alice from alice. Folded, an id that has more than one spelling
	// beyond upper and lower case (ß and ss, ﬁ and fi, full-width letters,
	// invisible characters) is answered with 403: which person it is depends on
	// who compares. Default: folded.
	UserID string `json:"user_id,omitempty"`

	// Credentials name further places of a request that the application reads
	// credentials from, and places that it does not. Default: the well-known
	// ones only.
	Credentials *Credentials `json:"credentials,omitempty"`

	// AllowMethods lets these HTTP methods through although no standard
	// registers them; rules count them as unsafe. All other unregistered
	// methods are answered with 405.
	AllowMethods []string `json:"allow_methods,omitempty"`

	// AllowUpgrades lets requests upgrade their connection to these protocols too,
	// such as tcp or SPDY/3.1; websocket always may. Each is the whole value of
	// the Upgrade header, compared without case. No rule sees what is sent inside:
	// h2c, for one, carries requests to every address of the application. All
	// other upgrades are dropped, and their requests go on without them.
	AllowUpgrades []string `json:"allow_upgrades,omitempty"`

	// Announce is what the application is told of a request that was granted, as
	// header fields: user (Step-Up-User), action (Step-Up-Action), method
	// (Step-Up-Method), amr (Step-Up-Amr) and auth_time (Step-Up-Auth-Time), or none
	// alone. Each costs time on every such request. What clients send under these
	// names is deleted whatever is announced. Default: user and action.
	Announce []string `json:"announce,omitempty"`

	// Rules are what is protected. Each request is decided by the first rule
	// that it falls under and that does not only observe; one that falls under
	// none passes unasked.
	Rules []Rule `json:"rules,omitempty"`
}

// WithDefaults returns s with everything filled in that was left out.
func (s Site) WithDefaults() Site {
	if s.Tenant == "" {
		s.Tenant = DefaultTenant
	}
	if s.UserID == "" {
		s.UserID = UserIDFolded
	}
	if len(s.Announce) == 0 {
		s.Announce = []string{AnnounceUser, AnnounceAction}
	}
	rules := make([]Rule, len(s.Rules))
	for i, r := range s.Rules {
		rules[i] = r.withDefaults()
	}
	s.Rules = rules
	return s
}

// ObservesOnly reports whether no rule asks for a step-up: all of them only observe.
func (s Site) ObservesOnly() bool {
	for _, r := range s.Rules {
		if r.Mode != ModeObserve {
			return false
		}
	}
	return true
}

// Validate returns the first thing that is wrong with s, as a sentence. Where
// one rule is to blame the error is a RuleError.
func (s Site) Validate() error {
	if s.Tenant != "" {
		if err := CheckTenant(s.Tenant); err != nil {
			return at(err, "tenant")
		}
	}
	if s.UserID != "" {
		if err := CheckUserID(s.UserID); err != nil {
			return at(err, "user_id")
		}
	}
	if s.Credentials != nil {
		if err := s.Credentials.Validate(); err != nil {
			return at(err, "credentials")
		}
	}
	if err := CheckAllowMethods(s.AllowMethods); err != nil {
		return at(err, "allow_methods")
	}
	if err := CheckAllowUpgrades(s.AllowUpgrades); err != nil {
		return at(err, "allow_upgrades")
	}
	if err := CheckAnnounce(s.Announce); err != nil {
		return at(err, "announce")
	}
	return CheckRules(s.Rules)
}

var tenantForm = regexp.MustCompile(`\A[A-Za-z0-9_.-]{1,64}\z`)

// CheckTenant checks a tenant's name against its form.
func CheckTenant(name string) error {
	if !tenantForm.MatchString(name) {
		return fmt.Errorf("tenant %q must be 1 to 64 letters, digits, or _ . -", name)
	}
	return nil
}

// CheckUserID checks the comparison of user ids against the known ones.
func CheckUserID(mode string) error {
	if mode != UserIDFolded && mode != UserIDExact {
		return oneOf("user_id", mode, UserIDFolded, UserIDExact)
	}
	return nil
}

var methodForm = regexp.MustCompile(`\A[A-Z][A-Z0-9_-]{0,31}\z`)

// CheckAllowMethods checks the names of further HTTP methods against their form.
func CheckAllowMethods(methods []string) error {
	if len(methods) > 32 {
		return errors.New("allow_methods takes at most 32 methods")
	}
	seen := make(map[string]bool, len(methods))
	for _, m := range methods {
		if !methodForm.MatchString(m) {
			return fmt.Errorf("allow_methods %q must be a method's name in capital letters, such as PURGE", m)
		}
		if m == "CONNECT" || m == "PRI" {
			return fmt.Errorf("allow_methods cannot name %s, which opens a tunnel that no rule sees into: remove it; WebSockets need no setting", m)
		}
		if seen[m] {
			return fmt.Errorf("allow_methods names %s twice: remove one of them", m)
		}
		seen[m] = true
	}
	return nil
}

var upgradeForm = regexp.MustCompile("\\A[A-Za-z0-9!#$%&'*+.^_`|~-]{1,32}(/[A-Za-z0-9!#$%&'*+.^_`|~-]{1,32})?\\z")

// CheckAllowUpgrades checks the names of further protocols against their form
// (RFC 9110 section 7.8).
func CheckAllowUpgrades(names []string) error {
	if len(names) > 16 {
		return errors.New("allow_upgrades takes at most 16 protocols")
	}
	seen := make(map[string]bool, len(names))
	for _, name := range names {
		folded := strings.ToLower(name)
		switch {
		case !upgradeForm.MatchString(name):
			return fmt.Errorf("allow_upgrades %q must be a protocol as the Upgrade header names it, such as tcp or SPDY/3.1", name)
		case folded == "websocket":
			return errors.New("allow_upgrades need not name websocket: WebSockets are always let through; remove it")
		case seen[folded]:
			return fmt.Errorf("allow_upgrades names %s twice: remove one of them", name)
		}
		seen[folded] = true
	}
	return nil
}
