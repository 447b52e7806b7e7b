package ceremony

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// Confirmed is a finished enrollment.
type Confirmed struct {
	Authenticator Authenticator
	// RecoveryCodes come with the first authenticator, and nobody is told them
	// again.
	RecoveryCodes []string
	// Won is the challenge that the first code passed too, if one was named.
	Won *Won
}

// Confirm finishes an enrollment with its first proof: the app's code, the code
// that was sent, or the browser's answer to the options. The policy is held
// against it again, and whatever allowed it is used up (S15). It fails with
// [ErrVoided] where the set of authenticators changed since it began: of two
// pending enrollments the first confirmed wins.
//
// A first enrollment may name p's challenge that sent the person here: what
// confirms is a fresh proof, so it passes that challenge too, and nobody has to
// wait for the app's next code. An empty challenge names none, and one that
// cannot be passed this way is left as it is.
//
// Other errors: [ErrNotFound], [ErrExpired], [ErrInvalidCode], of which a
// [ClockOff] is one, [ErrInviteRequired], [ErrEnrollmentDenied].
func (s *Service) Confirm(ctx context.Context, p Principal, id, code, challenge string) (Confirmed, error) {
	return s.confirm(ctx, p, id, code, also{challenge: challenge})
}

// ConfirmFor is [Service.Confirm] for servers: the code that confirms wins the
// grant that answers d too, if one is asked for. Recovery codes are given only
// with codes; without, [Service.FirstRecoveryCodes] gives them once later.
func (s *Service) ConfirmFor(ctx context.Context, p Principal, id, code string, d *grants.Demand, codes GiveCodes) (Confirmed, error) {
	return s.confirm(ctx, p, id, code, also{demand: d, withhold: codes == CodesLater})
}

// GiveCodes tells when a server gets a subject's first recovery codes.
type GiveCodes bool

// When it may be.
const (
	CodesNow   GiveCodes = true
	CodesLater GiveCodes = false
)

// also is what else the first proof is good for.
type also struct {
	challenge string
	demand    *grants.Demand
	withhold  bool // the recovery codes
}

func (s *Service) confirm(ctx context.Context, p Principal, id, code string, also also) (Confirmed, error) {
	c, method, err := s.finish(ctx, p, id, code, also)
	event := Event{Kind: EventConfirm, Outcome: Done, Object: c.Authenticator.ID, Method: method.String(), label: c.Authenticator.Label}
	if err != nil {
		event.Outcome, event.Cause = Refused, causeOf(err)
	}
	s.report(ctx, p, event)
	if c.Won != nil {
		s.report(ctx, p, Event{Kind: EventVerify, Outcome: Passed, Cause: "first_enrolment", Method: method.String(),
			Object: c.Won.Challenge.ID, Action: c.Won.Challenge.Demand.Action.String(), label: c.Authenticator.Label})
	}
	return c, err
}

func (s *Service) finish(ctx context.Context, p Principal, id, code string, also also) (done Confirmed, method grants.Methods, err error) {
	if err := s.checkListed(ctx, p); err != nil {
		return Confirmed{}, 0, err
	}
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return Confirmed{}, 0, err
	}
	holder := db.Holder(p.Subject)
	if err := s.trySent(ctx, db, p, id); err != nil {
		return Confirmed{}, 0, err
	}
	err = records.Again(func() error {
		done = Confirmed{}
		pending, err := s.findPending(ctx, db, p, id)
		if err != nil {
			return err
		}
		method = grants.KindOfType(pending.Value.Type).Methods
		read, err := db.Accounts.Find(ctx, holder, nil)
		if err != nil {
			return err
		}
		if read.Value.Set != pending.Value.Set {
			return ErrVoided
		}
		// The proof is looked at before the policy: what it proves is only the
		// possession of a secret that this browser was shown anyway.
		made, proof, err := s.firstProof(db, p, &read.Value, id, &pending.Value, code)
		if err != nil {
			return err
		}
		ops := []store.Op{db.Pendings.Delete(pending)}
		if !pending.Value.Managed {
			leave, err := s.firstLeave(ctx, db, p, &read.Value, &pending.Value)
			if errors.Is(err, ErrInviteRequired) {
				// Who was first may have used up the invite since the account was
				// read; then the truth is that this enrollment is void.
				if now, err := db.Accounts.Find(ctx, holder, nil); err != nil || now.Version != read.Version {
					return cmp.Or(err, records.ErrConflict)
				}
			}
			if err != nil {
				return err
			}
			ops = append(ops, leave...)
		}
		account := cloneAccount(read.Value)
		first := account.State != records.StateEnrolled
		made.Origin = s.firstOrigin(&account, &pending.Value)
		added := s.addAuthenticator(&account, p, &pending.Value, made)
		done.Authenticator = s.view(&account, added, mailboxOf(db, p))
		if first {
			account.RecoveryCodes, account.CodesOrigin = nil, nil
			if !also.withhold {
				done.RecoveryCodes = s.giveRecoveryCodes(db, &account, added.Origin)
			}
		}
		names, err := namesOf(db, p, added)
		if err != nil {
			return err
		}
		proof.Authenticator, proof.Origin = added.ID, added.Origin.Live(s.now())
		won, more, err := s.passWith(ctx, db, p, first, also, proof)
		if err != nil {
			return err
		}
		// A browser in which one's authenticator was set up is one's own: what
		// others guess elsewhere must not stand before its first proof.
		known, err := s.remember(ctx, db, p, holder)
		if err != nil {
			return err
		}
		done.Won, ops = won, slices.Concat(ops, names, more, known)
		put, err := db.Accounts.Update(read, account, never)
		if err != nil {
			return err
		}
		return db.Apply(ctx, append(ops, put)...)
	})
	if err != nil {
		return Confirmed{}, method, err
	}
	return done, method, nil
}

// firstProof checks the answer against a pending enrollment, and returns what the
// authenticator will be checked with.
func (s *Service) firstProof(db *records.DB, p Principal, a *records.Account, id string, pending *records.Pending, answer string) (made records.Authenticator, proof Proof, err error) {
	kind := grants.KindOfType(pending.Type)
	given := Answer{Method: kind.Methods, Code: answer}
	f := s.factor(kind.Methods)
	switch {
	case kind.Type == "":
		return made, proof, fmt.Errorf("%w: an enrollment of unknown type", records.ErrCorrupt)
	case given.check() != nil:
		return made, proof, ErrInvalidCode
	case f == nil:
		return made, proof, ErrMethodNotAccepted
	case !mailboxOf(db, p).reaches(pending.Type, &pending.Dest):
		return made, proof, ErrElsewhere
	}
	made, proof, err = f.Finish(db, named(*a, p), pending,
		Attempt{Challenge: id, Site: pending.Site, Answer: given.typed(), Now: s.now(), Generation: db.Generation()})
	if err != nil {
		return made, proof, err
	}
	made.Type = pending.Type
	if p.Client != "" {
		made.Enrollment = id
	}
	return made, proof, nil
}

// namesOf gives the ops by which servers find the subject, and the enrollment
// that became its authenticator.
func namesOf(db *records.DB, p Principal, added *records.Authenticator) ([]store.Op, error) {
	alias, err := aliasOp(db, p.Subject)
	if err != nil || added.Enrollment == "" {
		return []store.Op{alias}, err
	}
	raw, ok := parseID(added.Enrollment, enrollmentIDLen)
	if !ok {
		return nil, ErrNotFound
	}
	name, err := db.Names.Set(enrollmentAlias(db, raw), nil, records.Name{Tenant: p.Tenant, User: p.User, Enrollment: added.Enrollment}, never)
	return []store.Op{alias, name}, err
}

// firstLeave holds a first enrollment against today's policy, and gives the ops
// that use up what allowed it.
func (s *Service) firstLeave(ctx context.Context, db *records.DB, p Principal, a *records.Account, pending *records.Pending) ([]store.Op, error) {
	if s.set.Enrollment == Deny {
		return nil, ErrEnrollmentDenied
	}
	if p.isServer() && pending.Key != "" {
		return nil, nil
	}
	if len(pending.Invite) != 32 {
		if s.firstNeedsInvite(a) {
			return nil, ErrInviteRequired
		}
		return nil, nil
	}
	invite, err := s.findInvite(ctx, db, p, [32]byte(pending.Invite))
	if err != nil {
		return nil, err
	}
	return []store.Op{db.Invites.Delete(invite)}, nil
}

// firstOrigin is what vouches for an authenticator that is about to be confirmed
// (S24): what proved the operation that allowed it; nothing that is known for an
// API key after a reset, and for an enrollment that began before that was kept. A
// nil one is full strength.
func (s *Service) firstOrigin(a *records.Account, pending *records.Pending) *records.Origin {
	switch {
	case pending.Managed && pending.Origin != nil:
		return at(pending.Origin, s.now())
	case pending.Managed, pending.Key != "" && a.State == records.StateReset:
		return unvouched(s.now())
	}
	return nil
}

func (s *Service) addAuthenticator(a *records.Account, p Principal, pending *records.Pending, made records.Authenticator) *records.Authenticator {
	made.ID, made.CreatedAt, made.Label = idText(newID(12)), s.now(), pending.Label
	if a.CreatedAt.IsZero() {
		a.Tenant, a.User, a.CreatedAt = p.Tenant, p.User, made.CreatedAt
	}
	a.State = records.StateEnrolled
	a.Set++
	for n := 2; hasLabel(a, made.Label); n++ {
		made.Label = fmt.Sprintf("%s (%d)", pending.Label, n)
	}
	a.Authenticators = append(a.Authenticators, made)
	return &a.Authenticators[len(a.Authenticators)-1]
}

func hasLabel(a *records.Account, label string) bool {
	for i := range a.Authenticators {
		if a.Authenticators[i].Label == label {
			return true
		}
	}
	return false
}

// passWith gives the ops by which a first enrollment passes p's challenge too, or
// wins the grant that a server asks for, or nothing where it cannot.
func (s *Service) passWith(ctx context.Context, db *records.DB, p Principal, first bool, also also, proof Proof) (*Won, []store.Op, error) {
	if !first || also.challenge == "" && also.demand == nil {
		return nil, nil, nil
	}
	// While no answer is looked at, this one is none either: an enrollment after
	// the removal of the last authenticator must not get around the wait.
	if b, err := s.budget(ctx, db, p, db.Holder(p.Subject)); err != nil {
		return nil, nil, err
	} else if b.wait(s.now()) != nil {
		return nil, nil, nil
	}
	if d := also.demand; d != nil {
		if !d.Methods.Accepts(proof.Method | proof.Origin) {
			return nil, nil, nil
		}
		won := &Won{Challenge: Challenge{Demand: *d}}
		put, err := s.issue(db, p, won, nil, proof)
		return won, []store.Op{put}, err
	}
	row, c, err := s.challenge(ctx, db, p, also.challenge)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrExpired) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	if c.Operation != "" || !s.accepts(&c, proof.Method|proof.Origin) {
		return nil, nil, nil
	}
	won := &Won{Challenge: c}
	put, err := s.issue(db, p, won, row.Value.Request, proof)
	if err != nil {
		return nil, nil, err
	}
	closing, err := s.closing(ctx, db, p, row, won)
	return won, append(closing, put), err
}
