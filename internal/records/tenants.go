package records

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// Gateways that share a database must agree on who a name of a tenant is: with
// another identity source, "alice" may be somebody else. So the database records for
// each tenant what decides that, and a gateway that is configured in another way
// refuses the tenant. What it wanted is recorded beside, and an operator may accept
// that; then what was issued for the tenant before and can be used once is void.
//
// A tenant has a generation of its own for this, which is written into such records
// above the one of the database: tenantShift bits up.

const (
	tenantShift = 40
	maxTenants  = 1000
	// offerEvery is how often one process records what it wants of a tenant. Of two
	// that want different things each would else undo what the other wrote.
	offerEvery = time.Minute
)

var (
	// ErrTenant reports that a tenant is configured in another way than by the
	// other gateways. The error says how.
	ErrTenant = errors.New("the tenant is configured differently by other gateways of this database")
	// ErrNoOffer reports that no gateway wants another configuration of a tenant.
	ErrNoOffer = errors.New("no gateway was refused for this tenant: start or reload one that has the new configuration first")
	// ErrOtherOffer reports that another one is wanted than was shown.
	ErrOtherOffer = errors.New("another gateway was refused for this tenant meanwhile: look at `caddy step-up tenant list` again")
)

// tenantError is an [ErrTenant] for operators.
type tenantError struct {
	tenant  string
	differs []string
}

func (e *tenantError) Error() string {
	return fmt.Sprintf("the tenant %q is configured differently by other gateways of this database, so that one name could be two people: %s; write what they have, or, to roll out the change, run: caddy step-up tenant accept %s",
		e.tenant, strings.Join(e.differs, ", "), e.tenant)
}

// Unwrap makes whatever is asked of the tenant be refused as unavailable.
func (e *tenantError) Unwrap() []error { return []error{store.ErrUnavailable, ErrTenant} }

// Fingerprint is what decides who a name of a tenant is, as one gateway is
// configured. It is not changed once it is used.
type Fingerprint struct {
	// Source is the kind of identity source, and Settings what is set of it; empty
	// if no site of the gateway is of the tenant.
	Source   string
	Settings map[string]string
	// UserID is how user ids are compared; empty if the gateway does not say.
	UserID string
}

// Print is a fingerprint as it is stored: a keyed digest stands for each setting.
type Print struct {
	Source   string            `json:"source,omitempty"`
	Settings map[string][]byte `json:"settings,omitempty"`
	UserID   string            `json:"user_id,omitempty"`
	At       time.Time         `json:"at,omitzero"`
}

// TenantState is what is recorded of a tenant, in the sealed state of the fence:
//
//	{"generation":1,"since":"…","accepted":{"source":"jwt","settings":{"issuer":"MAC"},"user_id":"fold","at":"…"},"offered":{…}}
type TenantState struct {
	// Generation counts how often another fingerprint was accepted, last at Since.
	Generation uint64    `json:"generation,omitempty"`
	Since      time.Time `json:"since,omitzero"`
	Accepted   Print     `json:"accepted"`
	// Offered is what a gateway wanted that was refused, if one was.
	Offered *Print `json:"offered,omitempty"`
}

func (db *DB) printOf(tenant string, f *Fingerprint) Print {
	p := Print{Source: f.Source, UserID: f.UserID, At: time.Now()}
	p.Settings = make(map[string][]byte, len(f.Settings))
	for name, value := range f.Settings {
		mac := db.MAC("tenant fingerprint", []byte(tenant), []byte(name), []byte(value))
		p.Settings[name] = mac[:16]
	}
	return p
}

// Differs lists in what two fingerprints differ, for people. What only one of them
// knows is no difference.
func (p *Print) Differs(from *Print) []string {
	var all []string
	switch {
	case p.Source == "" || from.Source == "":
	case p.Source != from.Source:
		all = append(all, fmt.Sprintf("identity is %s, and was %s", p.Source, from.Source))
	default:
		names := make(map[string][]byte)
		maps.Copy(names, p.Settings)
		maps.Copy(names, from.Settings)
		for _, name := range slices.Sorted(maps.Keys(names)) {
			if !bytes.Equal(p.Settings[name], from.Settings[name]) {
				all = append(all, fmt.Sprintf("identity %s differs in %s", p.Source, name))
			}
		}
	}
	if p.UserID != "" && from.UserID != "" && p.UserID != from.UserID {
		all = append(all, fmt.Sprintf("user_id is %s, and was %s", p.UserID, from.UserID))
	}
	return all
}

// over is p, with what it does not know from another one.
func (p Print) over(other Print) Print {
	if p.Source == "" {
		p.Source, p.Settings = other.Source, other.Settings
	}
	if p.UserID == "" {
		p.UserID = other.UserID
	}
	return p
}

// ID tells one fingerprint from another.
func (p *Print) ID(db *DB) string {
	parts := [][]byte{[]byte(p.Source), []byte(p.UserID)}
	for _, name := range slices.Sorted(maps.Keys(p.Settings)) {
		parts = append(parts, []byte(name), p.Settings[name])
	}
	mac := db.MAC("tenant offer", parts...)
	return fmt.Sprintf("%x", mac[:8])
}

func (db *DB) differing(name string, mine *Fingerprint) error {
	state, known := db.in.Tenants[name]
	if mine == nil || !known {
		return nil
	}
	p := db.printOf(name, mine)
	if differs := p.Differs(&state.Accepted); len(differs) > 0 {
		return &tenantError{name, differs}
	}
	return nil
}

// toRecord reports whether there is something of mine to record.
func (db *DB) toRecord(name string, mine *Fingerprint) bool {
	state, known := db.in.Tenants[name]
	if !known {
		return true
	}
	p := db.printOf(name, mine)
	if len(p.Differs(&state.Accepted)) == 0 {
		return state.Accepted.Source == "" && p.Source != "" || state.Accepted.UserID == "" && p.UserID != ""
	}
	if state.Offered != nil && state.Offered.ID(db) == p.ID(db) {
		return false
	}
	key := name + "\x00" + p.ID(db)
	if last, offered := db.offers.Load(key); offered && time.Since(last.(time.Time)) < offerEvery {
		return false
	}
	db.offers.Store(key, time.Now())
	return true
}

func (db *DB) recordTenant(ctx context.Context, name string, mine *Fingerprint) error {
	return db.changeTenants(ctx, func(s *fenceState) error {
		state, known := s.Tenants[name]
		if !known && len(s.Tenants) >= maxTenants {
			return fmt.Errorf("%w: the database has %d tenants, and no more are allowed", store.ErrUnavailable, maxTenants)
		}
		p := db.printOf(name, mine)
		if len(p.Differs(&state.Accepted)) > 0 {
			state.Offered = &p
		} else {
			state.Accepted = p.over(state.Accepted)
		}
		s.setTenant(name, state)
		return nil
	})
}

func (s *fenceState) setTenant(name string, t TenantState) {
	if s.Tenants == nil {
		s.Tenants = make(map[string]TenantState)
	}
	s.Tenants[name] = t
}

// changeTenants changes the state of the tenants, again where others do too.
func (db *DB) changeTenants(ctx context.Context, change func(*fenceState) error) error {
	db.fence.mu.Lock()
	defer db.fence.mu.Unlock()
	err := Again(func() error { return db.changeState(ctx, change) })
	if err != nil {
		return fmt.Errorf("recording the tenants: %w", err)
	}
	return nil
}

// Tenants returns what is recorded of each tenant; none where the engine is this
// process's alone.
func (db *DB) Tenants() map[string]TenantState {
	if db.in == nil {
		return nil
	}
	return db.in.Tenants
}

// RefusedTenants returns those of mine that are refused, with the reason, as far as
// is known. It does not wait.
func (db *DB) RefusedTenants(mine map[string]*Fingerprint) map[string]error {
	v := db.view.Load()
	if v == nil {
		return nil
	}
	refused := make(map[string]error)
	for name, f := range mine {
		if err := v.differing(name, f); err != nil {
			refused[name] = err
		}
	}
	return refused
}

// AcceptTenant accepts the fingerprint of that id, which a gateway was refused with.
// What was issued for the tenant before and can be used once is void, and grants of
// it have ended; every gateway knows so as soon as it knows of a revocation.
func (db *DB) AcceptTenant(ctx context.Context, name, id string, now time.Time) error {
	err := db.changeTenants(ctx, func(s *fenceState) error {
		state := s.Tenants[name]
		switch {
		case state.Offered == nil:
			return ErrNoOffer
		case state.Offered.ID(db) != id:
			return ErrOtherOffer
		}
		state.Accepted, state.Offered = state.Offered.over(state.Accepted), nil
		state.Accepted.At = now
		state.Generation++
		state.Since = now
		s.setTenant(name, state)
		return nil
	})
	db.grants.forgetAll()
	return err
}

// NotePolicies records what is configured of enrollment and budgets, and lists in
// what it differs from what another gateway recorded before.
func (db *DB) NotePolicies(ctx context.Context, mine map[string]string) (differs []string, err error) {
	if db.in == nil {
		return nil, nil
	}
	p := db.printOf("", &Fingerprint{Settings: mine})
	if maps.EqualFunc(p.Settings, db.in.Policies, bytes.Equal) {
		return nil, nil
	}
	err = db.changeTenants(ctx, func(s *fenceState) error {
		differs = nil
		for name, mac := range p.Settings {
			if before, known := s.Policies[name]; known && !bytes.Equal(before, mac) {
				differs = append(differs, name)
			}
		}
		s.Policies = p.Settings
		return nil
	})
	slices.Sort(differs)
	return differs, err
}

// once is the generation that records of the view carry which can be used once.
func (db *DB) once() uint64 { return db.tenant<<tenantShift | db.Generation() }

// isGood reports whether a record of that generation may be used. A view that is of
// no tenant cannot tell whether the tenant's has ended: whoever uses the record does
// so in the view of the tenant.
func (db *DB) isGood(generation uint64) bool {
	if db.in != nil && !db.strict {
		generation &= 1<<tenantShift - 1
	}
	return generation == db.once()
}
