package ceremony

import (
	"context"
	"encoding/json"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/cause"
	"github.com/stepup-gateway/caddy-stepup/internal/quota"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/totp"
)

// Factor is one kind of proof, whole: how it is set up, how it is asked for, and
// whether an answer is right. Its row in grants.Kind says the rest. What is allowed,
// counted and stored is this package's; a Factor stores nothing itself.
//
// A site is scheme://host, and empty over the API. The account that a Factor is
// given names its subject also where nobody of that name is enrolled yet, and may
// hold only some of the authenticators that are stored: what a Factor marks, it marks
// in what they point to.
type Factor interface {
	// Method is its row: the kind that has these bits.
	Method() grants.Methods
	// Serves reports whether it can be set up on the site now.
	Serves(site string) bool
	// Begin notes in the enrollment what its first proof will be checked with. It
	// fails with a [Field], or with [ErrMethodNotAccepted] and kin where nothing can
	// be set up.
	Begin(in Setup, pending *records.Pending) error
	// Show fills in what its owner is shown of the enrollment of the id.
	Show(db *records.DB, a *records.Account, id string, pending *records.Pending, e *Enrollment) error
	// Finish checks the first proof against the enrollment, whose id is the
	// attempt's Challenge, and returns what the authenticator will be checked with.
	// It fails with ErrInvalidCode for every answer that is not right.
	Finish(db *records.DB, a *records.Account, pending *records.Pending, try Attempt) (records.Authenticator, Proof, error)
	// Ready reports whether the account could give this proof now, on the site.
	Ready(a *records.Account, site string) bool
	// Ask returns what a challenge asks with. It changes nothing, and may be
	// asked again. It fails with [ErrMethodNotAccepted] where it is not Ready.
	Ask(db *records.DB, a *records.Account, challenge, site string) (Asked, error)
	// Match checks an answer against the account and, where it is right, marks
	// in the account what it burns. The caller applies the changed account
	// together with what the proof is worth, or not at all. It fails with
	// ErrInvalidCode for every answer that is not right, used ones included.
	Match(db *records.DB, a *records.Account, try Attempt) (Proof, error)
}

// Deliverer is a Factor whose proof is a code that is sent; see grants.BySent.
// Whether one may be sent is decided before it is asked to.
type Deliverer interface {
	Factor
	// Quota bounds what is sent.
	Quota() quota.Bounds
	// Remember makes a new code the one that answers the challenge, of those that
	// go to d, and returns it.
	Remember(db *records.DB, d *records.Destination, challenge string, now time.Time) (code string)
	// Deliver hands a code over. An error means that it was not, or that nobody
	// knows.
	Deliver(ctx context.Context, to string, m Message) error
	// Hint is by what its owner knows an address again.
	Hint(address string) string
}

// Lister is a Factor whose proofs are handed out beforehand; see grants.ByList.
type Lister interface {
	Factor
	// List makes n new codes for the account, and what is kept of them.
	List(db *records.DB, a *records.Account, n int) (codes []string, kept []records.RecoveryCode)
}

// Setup is what an enrollment is begun with.
type Setup struct {
	Kind  grants.Methods
	Label string
	// Name is what it is called where Label is empty; empty: the label of its
	// kind, in English.
	Name string
	// Address is where codes are to go, as its owner writes it; see
	// grants.Kind.Field. For a kind that is ByIdentity it is the Principal's.
	Address string
	// Site is where the authenticator is to be used.
	Site string
}

// Message is a code on its way.
type Message struct {
	Code string
	// Label is what it is for; empty: to confirm an enrollment.
	Label string
	// Lang is the BCP 47 tag of the reader's language; empty where it is not known.
	Lang string
	Site string
}

// Asked is what a challenge asks with. What does not go with the kind is zero.
type Asked struct {
	// Digits is the length of the codes, the longest where they differ.
	Digits int
	// Options are the JSON with which a browser asks an authenticator.
	Options json.RawMessage
	// Texts are the codes that were sent; see [Deliverer].
	Texts Texts
}

// Attempt is an answer, and what it answers.
type Attempt struct {
	// Challenge is the id of the challenge, or of the enrollment that waits for its
	// first proof; empty where a server sends a code that answers none.
	Challenge string
	// Site is the challenge's scheme and host; empty over the API.
	Site   string
	Answer string
	Now    time.Time
	// UsedUntil is the time before which codes of the current generation's
	// predecessors may have been used (S25); zero: none.
	UsedUntil  time.Time
	Generation uint64
}

// Proof is a right answer.
type Proof struct {
	Method grants.Methods
	// Authenticator is the id of the authenticator that gave it; empty for a
	// recovery code.
	Authenticator string
	// Origin are the means of proof that still count for what gave it (S24). It
	// is package ceremony's to fill in.
	Origin grants.Methods

	// label is what that authenticator is called.
	label string
}

// ClockOff is [ErrInvalidCode] of a code that is right for another time: the
// device's clock is off by By, before ours where that is above zero. The code is
// not accepted. For a pending enrollment, whose secret is before its owner's eyes, it is
// told either way; at a challenge, once the attempt is counted, only of a time that is
// past: such a code is never good again, while of one to come a guesser would learn
// when to send it.
type ClockOff struct{ By time.Duration }

func (e *ClockOff) Error() string   { return ErrInvalidCode.Error() }
func (e *ClockOff) Is(t error) bool { return t == ErrInvalidCode }

// Cause is cause.InvalidCode.
func (e *ClockOff) Cause() cause.Word { return cause.InvalidCode }

// Enrollment is an authenticator that waits for its first proof.
type Enrollment struct {
	ID string
	// Method is its means of proof.
	Method grants.Methods
	Label  string
	// Key is a secret of an authenticator app, URI the same as otpauth. Both
	// are shown to their owner until it is confirmed.
	Key totp.Key
	URI string
	// Sent describes the code that was sent. Expires is zero where none is good
	// now.
	Sent Sent
	// Options are the JSON with which a browser makes a passkey.
	Options json.RawMessage
	Expires time.Time
}

func (s *Service) factor(m grants.Methods) Factor {
	for _, f := range s.factors {
		if f.Method() == m {
			return f
		}
	}
	return nil
}

// factorOf is the factor whose authenticators are stored with the type, or nil.
func (s *Service) factorOf(stored string) Factor { return s.factor(grants.KindOfType(stored).Methods) }

// deliverer is the factor of the type where its codes are sent, or nil.
func (s *Service) deliverer(stored string) Deliverer {
	d, _ := s.factorOf(stored).(Deliverer)
	return d
}

// Offers are the means of proof that p may enroll on the site (scheme://host).
func (s *Service) Offers(p Principal, site string) grants.Methods {
	return s.served(site) &^ s.Unaddressed(p, site)
}

// Unaddressed are those that p could enroll on the site if the identity source gave
// an address.
func (s *Service) Unaddressed(p Principal, site string) (lacking grants.Methods) {
	served := s.served(site)
	for _, k := range grants.Kinds() {
		if k.ByIdentity() && p.Email == "" {
			lacking |= served & k.Methods
		}
	}
	return lacking
}

func (s *Service) served(site string) (served grants.Methods) {
	for _, f := range s.factors {
		if f.Serves(site) {
			served |= f.Method()
		}
	}
	return served
}

// Ask returns what p's challenge asks with for a means of proof. It changes nothing,
// and may be asked again.
//
// It fails with [ErrNotFound], [ErrExpired], or [ErrMethodNotAccepted] where nothing
// of the kind that the subject has does for the challenge.
func (s *Service) Ask(ctx context.Context, p Principal, challenge string, m grants.Methods) (Asked, error) {
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return Asked{}, err
	}
	_, c, err := s.challenge(ctx, db, p, challenge)
	if err != nil {
		return Asked{}, err
	}
	account, err := db.Accounts.Find(ctx, db.Holder(p.Subject), nil)
	if err != nil {
		return Asked{}, err
	}
	f, fit := s.factor(m), s.fit(db, &account.Value, &c)
	if f == nil || !s.accepts(&c, m) || account.Value.State != records.StateEnrolled {
		return Asked{}, ErrMethodNotAccepted
	}
	if !f.Ready(&fit, c.Site) {
		return Asked{}, s.blocked(db, &account.Value, &c, m)
	}
	return s.ask(ctx, db, p, f, &fit, &c)
}

func (s *Service) ask(ctx context.Context, db *records.DB, p Principal, f Factor, fit *records.Account, c *Challenge) (Asked, error) {
	asked, err := f.Ask(db, named(*fit, p), c.ID, c.Site)
	if d, sends := f.(Deliverer); sends && err == nil {
		asked.Texts, err = s.texts(ctx, db, p, d, fit, c.ID)
	}
	return asked, err
}

// named is the account with its subject in it, also where there is none yet.
func named(a records.Account, p Principal) *records.Account {
	a.Tenant, a.User = p.Tenant, p.User
	return &a
}
