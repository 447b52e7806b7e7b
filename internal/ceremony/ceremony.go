// Package ceremony holds the domain's verbs: checking, spending and giving back
// grants, beginning and passing challenges, enrolling and managing
// authenticators, and what an operator does. Each is one method of [Service] in
// a file of its own.
//
// A verb decides on records that it read, and acts by one Apply that is
// conditional on all of them: what it burns (a code's step, a recovery code, a
// manage grant, an invite) and what it gives (a grant, an authenticator) become
// durable together or not at all. Where somebody else was first it reads and
// decides again. It writes one audit event for what it decided.
//
// The life of a challenge:
//
//	Begin ──► pending ──Verify, right answer──► gone, a grant is issued
//	             │  └────Verify, wrong answer──► pending, the attempt is counted
//	             └───────ttl passed────────────► expired
//
// The package knows no HTTP. Its errors are few and told apart with errors.Is
// and errors.As; any error that is none of them is a failure of the store, on
// which the caller must refuse and may tell that the service is unavailable.
package ceremony

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/apikeys"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/internal/typed"
	"github.com/stepup-gateway/caddy-stepup/totp"
)

// Principal is who is asking, and from where.
type Principal struct {
	grants.Subject
	// Name is the user id as whoever identified the subject writes it, before
	// it was folded, for people to read; empty: as in Subject. It decides
	// nothing.
	Name string
	// Email is the mail address that whoever identified the subject vouches for; empty
	// where none is known. Codes go there, and nowhere that the subject writes.
	Email string
	// Lang is the BCP 47 tag of the language that the subject reads; empty where it
	// is not known. Messages are written in it. It decides nothing.
	Lang string
	// Session is a fingerprint of the identity source's session; zero where
	// that is not known.
	Session [32]byte
	// Browser is the SHA-256 of the browser's cookie; zero for clients that
	// sent none.
	Browser [32]byte
	// Site is scheme://host of the site on which they ask; empty over the API. A
	// challenge is found on its own site only.
	Site string
	// Client is who asks on the subject's behalf over the API for servers; see
	// [ServerPrincipal]. Empty for people with a browser.
	Client string
	// ClientLabel is what the operator calls the API key that Client names, for the
	// audit log only.
	ClientLabel string
	// Address is the client's, for the audit log only.
	Address string
}

// EnrollPolicy says who may enroll for the first time (S15).
type EnrollPolicy string

// The policies. All of them demand an invite after a reset, but deny, which
// lets nobody enroll at all.
const (
	FirstUse EnrollPolicy = "first_use"
	ByInvite EnrollPolicy = "invite"
	Deny     EnrollPolicy = "deny"
)

// Settings are what an operator chose. See the numbers in the README.
type Settings struct {
	// Issuer names the service in authenticator apps.
	Issuer     string
	Enrollment EnrollPolicy
	// Until ends FirstUse; afterwards it is as ByInvite. Zero never ends it.
	Until time.Time
	TOTP  totp.Params
	// ChallengeTTL, PendingTTL, ManageTTL: how long a challenge, an enrollment
	// and a grant for step_up.manage hold.
	ChallengeTTL, PendingTTL, ManageTTL time.Duration
	// RecoveryCodes is how many a subject is given.
	RecoveryCodes int
	Budgets       Budgets
	// HeldPerBrowser bounds the requests that are held for one browser, and
	// HeldInAll the bytes that are held for all.
	HeldPerBrowser int
	HeldInAll      int64
	// HeldInFlight bounds the memory, in bytes, that requests take which are read
	// whole, and HeldPerMinute the bytes that one person may have held in a
	// minute.
	HeldInFlight, HeldPerMinute int64
}

// DefaultSettings are those of config.Limits.
func DefaultSettings() Settings {
	return Settings{
		Issuer:        "Step-up",
		Enrollment:    ByInvite,
		TOTP:          totp.Default(),
		ChallengeTTL:  5 * time.Minute,
		PendingTTL:    15 * time.Minute,
		ManageTTL:     2 * time.Minute,
		RecoveryCodes: 10,
		Budgets:       DefaultBudgets(),

		HeldPerBrowser: 5,
		HeldInAll:      256 << 20,
		HeldInFlight:   32 << 20,
		HeldPerMinute:  32 << 20,
	}
}

// Fixed limits.
const (
	// maxAuthenticators bounds the account's record.
	maxAuthenticators = 10
	// maxChallenges and maxPendings bound what one subject can have stored in
	// one browser, and maxChallengesInAll what in all browsers: a client that
	// keeps no cookies must not fill the disk.
	maxChallenges      = 20
	maxChallengesInAll = 200
	maxPendings        = 20
	// maxGrants bounds the live grants that are listed to their holder.
	maxGrants = 500
	// maxDevices bounds the browsers that are remembered of one subject.
	maxDevices = 50
	// maxRecoveryCodes bounds the account's record.
	maxRecoveryCodes = 50
	maxInvites       = 20
	maxUsers         = 500 // subjects listed to an operator at once
	// tidyAfter is how long a dead record stays, so that its owner is told
	// "expired" and not "unknown".
	tidyAfter = 10 * time.Minute
	// deviceTTL is how long a browser is remembered after a success.
	deviceTTL = 365 * 24 * time.Hour
	// minAge is how old an authenticator must be to remove others (S14).
	minAge = 24 * time.Hour
)

// Options make a Service.
type Options struct {
	// DB gives the database, opening it where need be. It is asked at every
	// call, so it must be quick once opened.
	DB       func(context.Context) (*records.DB, error)
	Settings Settings
	Factors  []Factor
	Now      func() time.Time
	// Audit receives one event for each decision that matters.
	Audit func(context.Context, Event)
	// Directory returns what the directory of the subject's tenant says of it. Nil
	// means that no tenant has one.
	Directory func(context.Context, grants.Subject) (Listing, error)
	// Fingerprint returns what the configuration says of a tenant, nil where it says
	// nothing: the same pointer each time. Nil means that no tenant is compared with
	// what other gateways say.
	Fingerprint func(tenant string) *records.Fingerprint
}

// MaxUserID is the longest user id, in bytes.
const MaxUserID = 256

// errNobody tells that a caller came with no subject. No verb acts for nobody,
// whatever else went wrong before (S01).
var errNobody = errors.New("nobody is identified")

// openFor opens the database for a verb on a subject's behalf.
func (s *Service) openFor(ctx context.Context, who grants.Subject) (*records.DB, error) {
	switch {
	case who.IsZero():
		return nil, errNobody
	case len(who.User) > MaxUserID || len(who.Tenant) > MaxUserID:
		return nil, &Field{Name: "user_id", Detail: "must have at most 256 bytes"}
	case !typed.IsPlain(who.User) || !typed.IsPlain(who.Tenant):
		return nil, &Field{Name: "user_id", Detail: "must be UTF-8 without control characters"}
	}
	db, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	var mine *records.Fingerprint
	if s.fingerprint != nil {
		mine = s.fingerprint(who.Tenant)
	}
	return db.OfTenant(ctx, who.Tenant, mine)
}

// Service does the verbs under one configuration, those on API keys by its Ring.
// Several Services may share a database.
type Service struct {
	*apikeys.Ring

	open        func(context.Context) (*records.DB, error)
	fingerprint func(tenant string) *records.Fingerprint // nil: there is none
	set         Settings
	factors     []Factor
	now         func() time.Time
	audit       func(context.Context, Event)
	directory   func(context.Context, grants.Subject) (Listing, error) // nil: there is none
}

// New makes a Service. All Options are needed.
func New(o Options) (*Service, error) {
	if o.DB == nil || o.Now == nil || o.Audit == nil || len(o.Factors) == 0 {
		return nil, errors.New("ceremony: an option is missing")
	}
	for _, f := range o.Factors {
		if d, sends := f.(Deliverer); sends && f.Serves("") && !d.Quota().IsComplete() {
			return nil, fmt.Errorf("ceremony: a bound of what %s sends is missing", f.Method())
		}
	}
	if err := o.Settings.TOTP.Validate(); err != nil {
		return nil, err
	}
	if n := o.Settings.RecoveryCodes; n < 0 || n > maxRecoveryCodes {
		return nil, fmt.Errorf("ceremony: %d recovery codes: write 0 to %d", n, maxRecoveryCodes)
	}
	if s := o.Settings; s.HeldInFlight <= 0 || s.HeldPerMinute <= 0 {
		return nil, errors.New("ceremony: the bounds of held requests are missing")
	}
	s := &Service{open: o.DB, fingerprint: o.Fingerprint, set: o.Settings, factors: o.Factors, now: o.Now, audit: o.Audit, directory: o.Directory}
	s.Ring = s.ringOver(o.DB)
	return s, nil
}

// ringOver are the API keys of the database that open gives.
func (s *Service) ringOver(open func(context.Context) (*records.DB, error)) *apikeys.Ring {
	return apikeys.NewRing(open, s.now, func(ctx context.Context, tenant, id string, c apikeys.Change) {
		s.report(asOperator(ctx), Principal{Subject: grants.Subject{Tenant: tenant}}, Event{Kind: EventAPIKey, Outcome: Outcome(c), Object: id})
	})
}

// FormToken is what a form for p must carry back, bound to its browser (S10).
func (s *Service) FormToken(ctx context.Context, p Principal) ([32]byte, error) {
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return [32]byte{}, err
	}
	h := db.Holder(p.Subject)
	return db.MAC("form token", p.Browser[:], h[:]), nil
}

// RolledBack returns [ErrRolledBack] while the database is an older copy. It costs
// little, and is to be asked before anything else: what is cached is no longer
// true. A database that cannot be opened is left to the verbs to tell.
func (s *Service) RolledBack(ctx context.Context) error {
	db, err := s.open(ctx)
	if err != nil {
		return nil
	}
	return db.RolledBack()
}

// Ping tells whether the database answers.
func (s *Service) Ping(ctx context.Context) error {
	db, err := s.open(ctx)
	if err != nil {
		return err
	}
	return db.Ping(ctx)
}

// operationDigest is what a step_up.manage grant is bound to.
func operationDigest(op Operation) [32]byte {
	return sha256.Sum256([]byte(grants.ManageAction + "\x00" + string(op)))
}
