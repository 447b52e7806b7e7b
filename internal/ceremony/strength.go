package ceremony

import (
	"slices"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/cause"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
)

// An authenticator is worth what vouched for it (S24). Until it is a day old, a
// proof by it counts as one by all of: itself, the means of proof by which it was
// added, and those that counted for whatever gave that proof. So a recovery code
// opens no door that does not take recovery codes, neither by an authenticator
// that it adds nor by one that this one adds. The grant carries the set, and
// grants.Grant.Check compares it with the rule.
//
// A stronger authenticator may vouch for a young one before the day is over, by
// an operation of its own; see [VouchOp].

// TooNew is [ErrAuthenticatorTooNew] with when it is not any more.
type TooNew struct{ Until time.Time }

func (e *TooNew) Error() string   { return ErrAuthenticatorTooNew.Error() }
func (e *TooNew) Is(t error) bool { return t == ErrAuthenticatorTooNew }

// Cause is cause.AuthenticatorTooNew.
func (e *TooNew) Cause() cause.Word { return cause.AuthenticatorTooNew }

// ErrWeakOrigin is [ErrAuthenticatorTooNew] of an authenticator that a recovery
// code or a code that was sent vouched for, and that is to remove an older one. It never
// may: who has neither that one nor a stronger one needs a reset and an invite.
var ErrWeakOrigin = cause.Narrow(ErrAuthenticatorTooNew, cause.WeakOrigin, "added with a recovery code or a code that was sent, it does not remove older ones")

// never removes an older authenticator what one of these vouched for.
var weakOrigins = grants.TOTP.Weaker()

// worth is what a proof by the authenticator counts as at now.
func worth(x *records.Authenticator, now time.Time) grants.Methods {
	return x.Methods() | x.Origin.Live(now)
}

// originOf is the origin of what a grant for step_up.manage is about to add to the
// account.
func originOf(a *records.Account, g *records.GrantRow) *records.Origin {
	by := a.CodesOrigin
	if x := a.Find(g.CreatedBy); x != nil {
		by = x.Origin
	}
	return &records.Origin{Methods: g.Methods | g.Origin, Ever: g.Methods | g.Origin | uint16(by.Always()), By: g.CreatedBy}
}

// unvouched is the origin of what nothing vouched for that is known.
func unvouched(now time.Time) *records.Origin {
	return &records.Origin{Methods: uint16(grants.Unvouched), Ever: uint16(grants.Unvouched), At: now}
}

// at is the origin of something that was made at now. A nil one stays nil.
func at(o *records.Origin, now time.Time) *records.Origin {
	if o == nil {
		return nil
	}
	made := *o
	made.At = now
	return &made
}

// index is the authenticator's place in its account, in which the older ones come
// first; less than 0 where there is none of that id.
func index(a *records.Account, id string) int {
	return slices.IndexFunc(a.Authenticators, func(x records.Authenticator) bool { return x.ID == id })
}

// barred tells why a proof by x, one of the account's authenticators, does not do
// for a challenge that takes its method: a [TooNew], [ErrWeakOrigin], [ErrElsewhere]
// or [ErrMethodNotAccepted]; nil where it does.
func (s *Service) barred(a *records.Account, x *records.Authenticator, c *Challenge) error {
	now, op := s.now(), c.Operation
	if !c.mailbox.reaches(x.Type, x.Dest) {
		return ErrElsewhere
	}
	if target := op.removes(); target != "" && x.Origin.Always()&weakOrigins != 0 {
		if i := index(a, target); i >= 0 && i < index(a, x.ID) {
			return ErrWeakOrigin
		}
	}
	if x.Origin.Live(now) != 0 && !s.accepts(c, worth(x, now)) {
		return &TooNew{Until: x.Origin.At.Add(records.OriginAge)}
	}
	if op.needsAge() && now.Sub(x.CreatedAt) < minAge && hasOlder(a, now) {
		return &TooNew{Until: x.CreatedAt.Add(minAge)}
	}
	if target := op.vouchesFor(); target != "" {
		if t := a.Find(target); t != nil && !s.mayVouch(a, x, t) {
			return ErrMethodNotAccepted
		}
	}
	return nil
}

// ErrCodesBarred is [ErrMethodNotAccepted] of recovery codes that were given
// before an older copy of the database was put back: those that were used since
// look unused in it (S25). New ones, which another proof or the operator can get
// the person, are taken.
var ErrCodesBarred = cause.Narrow(ErrMethodNotAccepted, cause.CodesBarred, "the recovery codes may have been used before the database was restored")

// codesBarred is barred of the account's recovery codes.
func (s *Service) codesBarred(db *records.DB, a *records.Account, c *Challenge) error {
	if !db.TakesRecoveryCodes(a.CodesGeneration) {
		return ErrCodesBarred
	}
	live := a.CodesOrigin.Live(s.now())
	if live != 0 && !s.accepts(c, grants.RecoveryCode|live) {
		return &TooNew{Until: a.CodesOrigin.At.Add(records.OriginAge)}
	}
	return nil
}

// mayVouch tells whether x may vouch for t: nothing as weak as what vouches for t
// so far may, and for one that was suspended only an older one.
func (s *Service) mayVouch(a *records.Account, x, t *records.Authenticator) bool {
	now := s.now()
	if !t.SuspendedAt.IsZero() {
		return index(a, x.ID) < index(a, t.ID)
	}
	return t.Origin.Live(now) != 0 && worth(x, now).StrongerThan(t.Origin.Live(now))
}

// fit is the account with those authenticators and recovery codes only by which
// the challenge can be passed now.
func (s *Service) fit(db *records.DB, a *records.Account, c *Challenge) records.Account {
	fit := a.Usable()
	fit.Authenticators = s.fitting(a, c)
	if s.codesBarred(db, a, c) != nil {
		fit.RecoveryCodes = nil
	}
	return fit
}

// fitting are the account's authenticators by which the challenge can be passed
// now.
func (s *Service) fitting(a *records.Account, c *Challenge) []records.Authenticator {
	return slices.DeleteFunc(a.Usable().Authenticators, func(x records.Authenticator) bool {
		return s.barred(a, &x, c) != nil
	})
}

// Young is a means of proof that a challenge takes, and that its subject has, but
// too new for it.
type Young struct {
	Method grants.Methods
	// Label is the authenticator's; empty for recovery codes.
	Label string
	// Until is when it does; zero: never, for what it is asked for.
	Until time.Time
}

// young lists what the account has for the challenge that is too new, the first
// to be good first.
func (s *Service) young(db *records.DB, a *records.Account, c *Challenge) []Young {
	var list []Young
	add := func(m grants.Methods, label string, err error) {
		y := Young{Method: m, Label: label}
		if tooNew, ok := err.(*TooNew); ok {
			y.Until = tooNew.Until
		} else if err != ErrWeakOrigin {
			return
		}
		list = append(list, y)
	}
	usable := a.Usable()
	for i := range usable.Authenticators {
		x := &usable.Authenticators[i]
		m, alone := factorMethod(x), usable
		alone.Authenticators = usable.Authenticators[i : i+1]
		if f := s.factor(m); f != nil && s.accepts(c, m) && f.Ready(&alone, c.Site) {
			add(m, x.Label, s.barred(a, x, c))
		}
	}
	if s.factor(grants.RecoveryCode) != nil && s.accepts(c, grants.RecoveryCode) && a.RecoveryCodesLeft() > 0 {
		add(grants.RecoveryCode, "", s.codesBarred(db, a, c))
	}
	slices.SortStableFunc(list, func(a, b Young) int {
		if a.Until.IsZero() != b.Until.IsZero() {
			if a.Until.IsZero() {
				return 1
			}
			return -1
		}
		return a.Until.Compare(b.Until)
	})
	return list
}

// factorMethod is the method of the factor that takes the authenticator's proofs.
func factorMethod(x *records.Authenticator) grants.Methods { return grants.KindOfType(x.Type).Methods }

// blocked adds to [ErrMethodNotAccepted] that a method is one that is only too new
// for the challenge, or barred, if it is.
func (s *Service) blocked(db *records.DB, a *records.Account, c *Challenge, m grants.Methods) error {
	if m == grants.RecoveryCode && !db.TakesRecoveryCodes(a.CodesGeneration) {
		return ErrCodesBarred
	}
	for _, y := range s.young(db, a, c) {
		if y.Method != m {
			continue
		}
		if y.Until.IsZero() {
			return ErrWeakOrigin
		}
		return &TooNew{Until: y.Until}
	}
	if grants.KindOf(m).ByIdentity() && len(s.elsewhere(a, c)) > 0 {
		return ErrElsewhere
	}
	return ErrMethodNotAccepted
}
