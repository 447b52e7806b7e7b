package ceremony

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/internal/store"
	"github.com/stepup-gateway/caddy-stepup/totp"
)

// Confirmed is a finished enrolment.
type Confirmed struct {
	Authenticator Authenticator
	// RecoveryCodes come with the first authenticator, and nobody is told them
	// again.
	RecoveryCodes []string
	// Won is the challenge that the first code passed too, if one was named.
	Won *Won
}

// Confirm finishes an enrolment with the app's first code. The policy is held
// against it again, and whatever allowed it is used up (S15). It fails with
// [ErrVoided] where the set of authenticators changed since it began: of two
// pending enrolments the first confirmed wins.
//
// A first enrolment may name p's challenge that sent the person here: the code
// that confirms is a fresh proof, so it passes that challenge too, and nobody
// has to wait for the app's next code. An empty challenge names none, and one
// that cannot be passed this way is left as it is.
//
// Other errors: [ErrNotFound], [ErrExpired], [ErrInvalidCode],
// [ErrInviteRequired], [ErrEnrolmentDenied].
func (s *Service) Confirm(ctx context.Context, p Principal, id, code, challenge string) (Confirmed, error) {
	c, err := s.confirm(ctx, p, id, code, challenge)
	event := Event{Kind: "confirm", Outcome: "done", Object: c.Authenticator.ID}
	if err != nil {
		event.Outcome, event.Cause = "refused", causeOf(err)
	}
	s.report(ctx, p, event)
	if c.Won != nil {
		s.report(ctx, p, Event{Kind: "verify", Outcome: "passed", Cause: "first_enrolment", Method: grants.TOTP.String(),
			Object: c.Won.Challenge.ID, Action: c.Won.Challenge.Demand.Action.String()})
	}
	return c, err
}

func (s *Service) confirm(ctx context.Context, p Principal, id, code, challenge string) (Confirmed, error) {
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return Confirmed{}, err
	}
	holder := db.Holder(p.Subject)
	var done Confirmed
	err = again(func() error {
		done = Confirmed{}
		pending, err := s.findPending(ctx, db, p, id)
		if err != nil {
			return err
		}
		read, err := db.Accounts.Find(ctx, holder, nil)
		if err != nil {
			return err
		}
		if read.Value.Set != pending.Value.Set {
			return ErrVoided
		}
		// The code is looked at before the policy: what it proves is only the
		// possession of a secret that this browser was shown anyway.
		step, err := totp.Match(s.key(&pending.Value.TOTP), code, s.now(), 0)
		if err != nil {
			return ErrInvalidCode
		}
		ops := []store.Op{db.Pendings.Delete(pending)}
		if !pending.Value.Managed {
			leave, err := s.firstLeave(ctx, db, p, &read.Value, &pending.Value)
			if errors.Is(err, ErrInviteRequired) {
				// Who was first may have used up the invite since the account was
				// read; then the truth is that this enrolment is void.
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
		added := s.addAuthenticator(&account, p, &pending.Value, step)
		done.Authenticator = viewOf(added)
		if first {
			done.RecoveryCodes = s.giveRecoveryCodes(db, &account)
		}
		if won, more, err := s.passWith(ctx, db, p, first, challenge, added.ID); err != nil {
			return err
		} else if won != nil {
			done.Won, ops = won, append(ops, more...)
		}
		put, err := db.Accounts.Update(read, account, time.Time{})
		if err != nil {
			return err
		}
		return db.Apply(ctx, append(ops, put)...)
	})
	if err != nil {
		return Confirmed{}, err
	}
	return done, nil
}

// firstLeave holds a first enrolment against today's policy, and gives the ops
// that use up what allowed it.
func (s *Service) firstLeave(ctx context.Context, db *records.DB, p Principal, a *records.Account, pending *records.Pending) ([]store.Op, error) {
	if s.set.Enrollment == Deny {
		return nil, ErrEnrolmentDenied
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

func (s *Service) addAuthenticator(a *records.Account, p Principal, pending *records.Pending, step totp.Step) *records.Authenticator {
	now, id := s.now(), make([]byte, 12)
	rand.Read(id) // never fails: crypto/rand ends the program instead
	if a.CreatedAt.IsZero() {
		a.Tenant, a.User, a.CreatedAt = p.Tenant, p.User, now
	}
	key := pending.TOTP
	key.Last = step // the confirming code is used up
	a.State = records.StateEnrolled
	a.Set++
	label := pending.Label
	for n := 2; hasLabel(a, label); n++ {
		label = fmt.Sprintf("%s (%d)", pending.Label, n)
	}
	a.Authenticators = append(a.Authenticators, records.Authenticator{
		ID: base64.RawURLEncoding.EncodeToString(id), Type: records.TypeTOTP, Label: label, CreatedAt: now, TOTP: &key,
	})
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

// passWith gives the ops by which a first enrolment passes p's challenge too,
// or nothing where it cannot.
func (s *Service) passWith(ctx context.Context, db *records.DB, p Principal, first bool, challenge, authenticator string) (*Won, []store.Op, error) {
	if !first || challenge == "" {
		return nil, nil, nil
	}
	row, err := s.findChallenge(ctx, db, p, challenge)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrExpired) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	c, err := challengeOf(db, row)
	if err != nil {
		return nil, nil, err
	}
	if c.Operation != "" || !s.accepts(&c, grants.TOTP) {
		return nil, nil, nil
	}
	// While no answer is looked at, this one is none either: an enrolment after
	// the removal of the last authenticator must not get around the wait.
	if b, err := s.budget(ctx, db, p, db.Holder(p.Subject)); err != nil {
		return nil, nil, err
	} else if b.wait(s.now()) != nil {
		return nil, nil, nil
	}
	won := &Won{Challenge: c}
	put, err := s.issue(db, p, won, row.Value.Request, Proof{Method: grants.TOTP, Authenticator: authenticator})
	if err != nil {
		return nil, nil, err
	}
	return won, []store.Op{put, db.Challenges.Delete(row)}, nil
}
