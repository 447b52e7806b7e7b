package ceremony

import (
	"context"
	"slices"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
)

// Description is a challenge with what its page shows.
type Description struct {
	Challenge
	// Enrolled tells whether the subject has an authenticator at all.
	Enrolled bool
	// Methods are the means of proof that the challenge takes and the subject
	// could give now, preferred ones first.
	Methods []grants.Methods
	// Young are those that it takes and the subject has, but that are too new
	// for it (S24); the next to be good come first.
	Young []Young
	// Elsewhere are the labels of those that it takes and that are not used, since
	// the identity source does not give their address; see [ErrElsewhere].
	Elsewhere []string
	// Addable are those that it takes and that the subject, who has nothing that does,
	// could add.
	Addable grants.Methods
	// Recent are the subject's authenticators that are new, for it to notice.
	Recent []Authenticator
	// AttemptsLeft counts the wrong answers that this browser may still give.
	AttemptsLeft int
	// Wait is not nil while no answer is looked at.
	Wait *Wait
	// Asks are what it asks with, one for each of Methods.
	Asks []Asked
}

// Asked is what the challenge asks with for one of its Methods; zero for others.
func (d *Description) Asked(m grants.Methods) Asked {
	if i := slices.Index(d.Methods, m); i >= 0 {
		return d.Asks[i]
	}
	return Asked{}
}

// Describe tells how p's challenge stands. [ErrNotFound] and [ErrExpired] as in
// Verify.
func (s *Service) Describe(ctx context.Context, p Principal, id string) (Description, error) {
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return Description{}, err
	}
	var d Description
	if _, d.Challenge, err = s.challenge(ctx, db, p, id); err != nil {
		return d, err
	}
	holder := db.Holder(p.Subject)
	account, err := db.Accounts.Find(ctx, holder, nil)
	if err != nil {
		return d, err
	}
	d.Enrolled = account.Value.State == records.StateEnrolled
	fit := s.fit(db, &account.Value, &d.Challenge)
	for _, f := range s.factors {
		if !s.accepts(&d.Challenge, f.Method()) || !f.Ready(&fit, d.Site) {
			continue
		}
		asked, err := s.ask(ctx, db, p, f, &fit, &d.Challenge)
		if err != nil {
			return d, err
		}
		d.Methods, d.Asks = append(d.Methods, f.Method()), append(d.Asks, asked)
	}
	if len(d.Methods) == 0 && d.Enrolled && s.canAdd(db, &account.Value, &d.Challenge) {
		d.Addable = s.Offers(p, d.Site)
		if takes := d.Demand.Methods; takes != 0 {
			d.Addable &= takes
		}
	}
	d.Young = s.young(db, &account.Value, &d.Challenge)
	d.Elsewhere = s.elsewhere(&account.Value, &d.Challenge)
	for i := range account.Value.Authenticators {
		if x := &account.Value.Authenticators[i]; x.SuspendedAt.IsZero() && isRecent(x, s.now()) {
			d.Recent = append(d.Recent, s.view(&account.Value, x, d.mailbox))
		}
	}
	b, err := s.budget(ctx, db, p, holder)
	if err != nil {
		return d, err
	}
	d.AttemptsLeft, d.Wait = b.left(), b.wait(s.now())
	return d, nil
}

// canAdd reports whether the account has what adding an authenticator takes, for a
// challenge of an action of the operator's.
func (s *Service) canAdd(db *records.DB, a *records.Account, c *Challenge) bool {
	if c.Operation != "" {
		return false
	}
	adding := Challenge{Operation: AddOp, Site: c.Site, mailbox: c.mailbox}
	fit := s.fit(db, a, &adding)
	return slices.ContainsFunc(s.factors, func(f Factor) bool { return s.accepts(&adding, f.Method()) && f.Ready(&fit, c.Site) })
}
