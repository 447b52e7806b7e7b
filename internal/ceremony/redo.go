package ceremony

import (
	"context"
	"slices"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/apikeys"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/internal/typed"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// redo applies what events tell was taken away, as far as the database does not
// show it.
func (s *Service) redo(ctx context.Context, db *records.DB, a Acceptance) ([]Redone, error) {
	events := slices.Clone(a.Lost)
	slices.SortStableFunc(events, func(a, b Event) int { return a.Time.Compare(b.Time) })
	r := redoing{s: s, db: db, trust: a.TrustCodes, over: overBy(events), keys: map[string]bool{}}
	keys, err := s.Keys(ctx)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		r.keys[k.ID] = true
	}
	var done []Redone
	for at, e := range events {
		r.at, r.enrolled = at, false
		outcome, err := r.one(ctx, e)
		if err != nil {
			return done, err
		}
		if outcome != shown {
			done = append(done, Redone{Event: e, Applied: outcome == applied, Enrolled: r.enrolled})
		}
	}
	return done, nil
}

type redoing struct {
	s        *Service
	db       *records.DB
	trust    bool
	over     map[string]int  // see overBy
	at       int             // the place of the event in question
	enrolled bool            // whether its subject has an authenticator, of those with the outcome left
	keys     map[string]bool // the ids of those that there are
}

// outcome is what became of one event.
type outcome uint8

const (
	shown   outcome = iota // the database shows it, or it is over
	applied                // it was applied
	left                   // the operator has to do it
)

// overBy gives the places of the events that undid what earlier ones of the same
// object or user did.
func overBy(events []Event) map[string]int {
	over := make(map[string]int)
	for at, e := range events {
		switch e.Did() {
		case "remove done", "disown done", "api_key revoked":
			over[e.Object] = at
		case "vouch done":
			over[vouched+e.Object] = at
		case "reset done":
			over[userOf(e)] = at
		}
	}
	return over
}

// vouched begins what says when the suspension of an authenticator was undone.
const vouched = "vouched\x00"

func userOf(e Event) string { return e.Subject.Tenant + "\x00" + e.Subject.User }

// isOver reports whether something later took away what the event made.
func (r *redoing) isOver(e Event) bool {
	return r.over[e.Object] > r.at || r.over[userOf(e)] > r.at
}

func (r *redoing) one(ctx context.Context, e Event) (outcome, error) {
	if e.Kind == EventAPIKey {
		return r.key(ctx, e)
	}
	if e.Subject.IsZero() || len(e.Subject.User) > MaxUserID || len(e.Subject.Tenant) > MaxUserID || !typed.IsPlain(e.Subject.User) || !typed.IsPlain(e.Subject.Tenant) {
		return shown, nil
	}
	switch e.Did() {
	case "reset done":
		return r.reset(ctx, e)
	case "remove done":
		return r.change(ctx, e, remove)
	case "disown done":
		if r.over[vouched+e.Object] > r.at {
			return shown, nil
		}
		return r.change(ctx, e, disown)
	case "recovery_codes done":
		return r.change(ctx, e, renewed)
	case "verify passed":
		return r.used(ctx, e)
	case "confirm done", "vouch done", "invite done", "verify refused":
		return r.given(ctx, e)
	}
	return shown, nil
}

func (r *redoing) key(ctx context.Context, e Event) (outcome, error) {
	switch there := r.keys[e.Object]; {
	case e.Outcome == Outcome(apikeys.Revoked) && there:
		delete(r.keys, e.Object)
		return applied, r.s.RevokeKey(ctx, e.Object)
	case e.Outcome == Outcome(apikeys.Created) && !there && !r.isOver(e):
		return left, nil
	}
	return shown, nil
}

// slack is how much later than what it tells of an event may be.
const slack = 5 * time.Second

// reset resets a subject again unless all that it has came later, or a mark of a
// reset is there.
func (r *redoing) reset(ctx context.Context, e Event) (outcome, error) {
	row, err := r.db.Accounts.Find(ctx, r.db.Holder(e.Subject), nil)
	if err != nil {
		return shown, err
	}
	older := func(x records.Authenticator) bool { return x.CreatedAt.Before(e.Time) }
	if row.Value.State == records.StateReset || row.Version != 0 && !slices.ContainsFunc(row.Value.Authenticators, older) {
		return shown, nil
	}
	return applied, r.s.ResetBy(ctx, Principal{Subject: e.Subject})
}

// change changes the account if edit does.
func (r *redoing) change(ctx context.Context, e Event, edit func(*redoing, *records.Account, Event) bool) (outcome, error) {
	done := shown
	err := records.Again(func() error {
		row, err := r.db.Accounts.Find(ctx, r.db.Holder(e.Subject), nil)
		if err != nil || row.Version == 0 {
			return err
		}
		account := cloneAccount(row.Value)
		if !edit(r, &account, e) {
			return nil
		}
		account.Set++
		put, err := r.db.Accounts.Update(row, account, never)
		if err != nil {
			return err
		}
		ops := []store.Op{put}
		for i := range row.Value.Authenticators {
			if x := &row.Value.Authenticators[i]; account.Find(x.ID) == nil {
				ops = append(ops, dropNames(r.db, row.Value.Authenticators[i:i+1])...)
			}
		}
		done = applied
		return r.db.Apply(ctx, ops...)
	})
	if err == nil && done == applied {
		again := e
		again.Cause = "older_copy"
		r.s.report(ctx, Principal{Subject: e.Subject}, again)
	}
	return done, err
}

func remove(_ *redoing, a *records.Account, e Event) bool {
	i := index(a, e.Object)
	if i < 0 {
		return false
	}
	a.Authenticators = slices.Delete(a.Authenticators, i, i+1)
	if len(a.Usable().Authenticators) == 0 {
		a.State, a.Authenticators, a.RecoveryCodes, a.CodesOrigin = records.StateReset, nil, nil, nil
	}
	return true
}

func disown(_ *redoing, a *records.Account, e Event) bool {
	x := a.Find(e.Object)
	if x == nil || !x.SuspendedAt.IsZero() {
		return false
	}
	suspend(a, e.Object, e.Time)
	return true
}

// renewed voids the recovery codes that others had replaced.
func renewed(_ *redoing, a *records.Account, e Event) bool {
	if len(a.RecoveryCodes) == 0 || e.Time.Sub(codesGiven(a)) <= slack {
		return false
	}
	a.RecoveryCodes, a.CodesOrigin = nil, nil
	return true
}

// codesGiven is when the account was given its recovery codes. Where that was not
// kept their origin tells, or it was with its first authenticator.
func codesGiven(a *records.Account) time.Time {
	if !a.CodesGivenAt.IsZero() {
		return a.CodesGivenAt
	}
	if a.CodesOrigin != nil {
		return a.CodesOrigin.At
	}
	if len(a.Authenticators) == 0 {
		return time.Time{}
	}
	return slices.MinFunc(a.Authenticators, func(x, y records.Authenticator) int { return x.CreatedAt.Compare(y.CreatedAt) }).CreatedAt
}

// used tells that a recovery code was used of which the account does not say so.
// Which one nobody knows, so that all are void where others are trusted.
func (r *redoing) used(ctx context.Context, e Event) (outcome, error) {
	if e.Method != grants.RecoveryCode.String() {
		return shown, nil
	}
	row, err := r.db.Accounts.Find(ctx, r.db.Holder(e.Subject), nil)
	if err != nil || !unaware(&row.Value, e) {
		return shown, err
	}
	if !r.trust {
		return left, nil
	}
	return r.change(ctx, e, func(_ *redoing, a *records.Account, e Event) bool {
		if !unaware(a, e) {
			return false
		}
		a.RecoveryCodes, a.CodesOrigin = nil, nil
		return true
	})
}

// unaware reports that the account has recovery codes from before the event, and
// that none of them was used then.
func unaware(a *records.Account, e Event) bool {
	return a.RecoveryCodesLeft() > 0 && codesGiven(a).Before(e.Time) && !slices.ContainsFunc(a.RecoveryCodes, func(c records.RecoveryCode) bool {
		return !c.UsedAt.IsZero() && c.UsedAt.Sub(e.Time).Abs() <= slack
	})
}

// given tells of what people were given that the database does not have. It is
// the operator's to give again.
func (r *redoing) given(ctx context.Context, e Event) (outcome, error) {
	row, err := r.db.Accounts.Find(ctx, r.db.Holder(e.Subject), nil)
	if err != nil {
		return shown, err
	}
	a, lost := &row.Value, false
	switch e.Kind {
	case EventConfirm:
		lost = a.Find(e.Object) == nil && !r.isOver(e)
	case EventVouch:
		x := a.Find(e.Object)
		lost = x != nil && !x.SuspendedAt.IsZero() && !r.isOver(e)
	case EventInvite:
		lost = a.State != records.StateEnrolled && !r.isOver(e)
	case EventVerify:
		lost = e.Cause == causeOf(ErrCloned) && slices.ContainsFunc(a.Authenticators, func(x records.Authenticator) bool {
			return x.Passkey != nil && !x.Passkey.Suspect && x.CreatedAt.Before(e.Time)
		})
	}
	if lost {
		r.enrolled = a.State == records.StateEnrolled
		return left, nil
	}
	return shown, nil
}
