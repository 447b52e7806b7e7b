package ceremony

import (
	"context"
	"slices"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/cause"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// Vouch makes a stronger authenticator answer for one that was added by a weaker
// proof, or lets an older one take back that it was suspended. It spends the grant
// in token, which was won for [VouchOp] by the one that vouches.
//
// It fails with [ErrManageRequired], [ErrNotFound], or [ErrMethodNotAccepted]
// where there is nothing to vouch for any more.
func (s *Service) Vouch(ctx context.Context, p Principal, id, token string) (Authenticator, error) {
	var vouched Authenticator
	err := s.changeBy(ctx, p, VouchOp(id), token, func(db *records.DB, a *records.Account, by *records.GrantRow) ([]store.Op, error) {
		t, x := a.Find(id), a.Find(by.CreatedBy)
		if t == nil {
			return nil, ErrNotFound
		}
		// Judged again: the set may have changed since the proof.
		if x == nil || !x.SuspendedAt.IsZero() || !s.mayVouch(a, x, t) {
			return nil, ErrMethodNotAccepted
		}
		if (grants.Methods(by.Methods) | grants.Methods(by.Origin)).StrongerThan(t.Origin.Live(s.now())) {
			t.Origin = at(originOf(a, by), t.Origin.At)
		}
		t.SuspendedAt, t.Unconfirmed = never, false
		vouched = s.view(a, t, mailboxOf(db, p))
		return nil, nil
	})
	s.reportChange(ctx, p, EventVouch, id, vouched.Label, err)
	return vouched, err
}

// RecentAge is how long a new authenticator is shown as one, and its owner may
// disown it.
const RecentAge = 7 * 24 * time.Hour

// ErrNotDisownable tells that an authenticator is not a recent one, or that there
// is no older one that could take its being suspended back.
var ErrNotDisownable = cause.New(cause.NotDisownable, "this authenticator cannot be suspended")

func isRecent(x *records.Authenticator, now time.Time) bool { return now.Sub(x.CreatedAt) < RecentAge }

// mayDisown tells whether x may be suspended without a proof.
func mayDisown(a *records.Account, x *records.Authenticator, now time.Time) bool {
	if !x.SuspendedAt.IsZero() || !isRecent(x, now) {
		return false
	}
	older := a.Authenticators[:max(0, index(a, x.ID))]
	return slices.ContainsFunc(older, func(o records.Authenticator) bool { return o.SuspendedAt.IsZero() })
}

// Disown is what "this was not me" does to a new authenticator: it is suspended
// with all that were added by it, recovery codes that it renewed are void, every
// grant of the subject ends, and so does every pending enrollment.
//
// It needs no proof, since it only takes away (S29). So that a thief of the first
// factor who uses it against the owner's new telephone wins nothing, it suspends
// and does not remove; it reaches only what is recent and has an older one beside
// it, by which the owner takes it back at once, with [Service.Vouch]. It fails
// with [ErrNotFound] and [ErrNotDisownable].
func (s *Service) Disown(ctx context.Context, p Principal, id string) error {
	ctx = store.Taking(ctx)
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return err
	}
	holder := db.Holder(p.Subject)
	var late []store.Op
	var name string
	err = records.Again(func() error {
		row, err := db.Accounts.Find(ctx, holder, nil)
		if err != nil {
			return err
		}
		account, now := cloneAccount(row.Value), s.now()
		x := account.Find(id)
		if x == nil {
			return ErrNotFound
		}
		if !mayDisown(&account, x, now) {
			return ErrNotDisownable
		}
		name = x.Label
		suspend(&account, id, now)
		account.Set++ // which voids what is pending
		put, err := db.Accounts.Update(row, account, never)
		if err != nil {
			return err
		}
		ops, err := dropsBut(ctx, db, p, grants.ID{}, func(*records.GrantRow) bool { return true })
		if err != nil {
			return err
		}
		n := min(len(ops), store.MaxOps/2)
		late = ops[n:]
		return db.Apply(ctx, append(slices.Clone(ops[:n]), put)...)
	})
	if err == nil {
		err = db.ApplyInParts(ctx, late)
	}
	s.reportChange(ctx, p, EventDisown, id, name, err)
	return err
}

// suspend suspends the authenticator and all that go back to it.
func suspend(a *records.Account, id string, now time.Time) {
	gone := map[string]bool{id: true}
	for i := range a.Authenticators { // the older ones come first
		x := &a.Authenticators[i]
		if x.Origin != nil && gone[x.Origin.By] {
			gone[x.ID] = true
		}
		if gone[x.ID] && (x.SuspendedAt.IsZero() || x.Unconfirmed) {
			x.SuspendedAt, x.Unconfirmed = now, false
		}
	}
	if o := a.CodesOrigin; o != nil && gone[o.By] {
		a.RecoveryCodes, a.CodesOrigin = nil, nil
	}
}
