package ceremony

import (
	"context"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
)

// Restoration is how an operator takes a database that was restored from a backup.
type Restoration struct {
	// Known reports that Lost tells all that was taken away since the backup was made.
	// Else every authenticator is suspended until it is confirmed.
	Known bool
	// TrustCodes and Lost are those of [Acceptance].
	TrustCodes bool
	Lost       []Event
	Now        time.Time
}

// Restored takes away again, in a database that was restored from a backup and is not
// served yet, what was taken away since, as [Service.AcceptFence] does; or suspends
// what it may have been. It returns what the events told and how many users have
// authenticators that wait to be confirmed.
func Restored(ctx context.Context, db *records.DB, r Restoration) (done []Redone, waiting int, err error) {
	s := &Service{
		open:  func(context.Context) (*records.DB, error) { return db, nil },
		set:   DefaultSettings(),
		now:   func() time.Time { return r.Now },
		audit: func(context.Context, Event) {}, // the command that restores tells the operator
	}
	s.Ring = s.ringOver(s.open)
	if len(r.Lost) > 0 {
		// Recovery codes that others tell were used are void whatever is trusted later.
		if done, err = s.redo(ctx, db, Acceptance{TrustCodes: true, Lost: r.Lost}); err != nil {
			return done, 0, err
		}
	}
	if r.Known {
		return done, 0, nil
	}
	for cursor := []byte(nil); ; {
		rows, next, err := db.Accounts.All(ctx, cursor, maxUsers)
		if err != nil {
			return done, waiting, err
		}
		for _, row := range rows {
			account := cloneAccount(row.Value)
			if !doubt(&account, r.Now) {
				continue
			}
			op, err := db.Accounts.Update(row, account, never)
			if err == nil {
				err = db.Apply(ctx, op)
			}
			if err != nil {
				return done, waiting, err
			}
			waiting++
		}
		if cursor = next; len(next) == 0 {
			return done, waiting, nil
		}
	}
}

// doubt suspends all authenticators of an account that are not, and reports whether there
// were any.
func doubt(a *records.Account, now time.Time) (changed bool) {
	for i := range a.Authenticators {
		if x := &a.Authenticators[i]; x.SuspendedAt.IsZero() {
			x.SuspendedAt, x.Unconfirmed, changed = now, true, true
		}
	}
	if changed {
		a.Set++ // what was begun with them is over
	}
	return changed
}

// isUnconfirmed reports whether an account has authenticators that wait to be confirmed.
func isUnconfirmed(a *records.Account) bool {
	for i := range a.Authenticators {
		if a.Authenticators[i].Unconfirmed {
			return true
		}
	}
	return false
}

// ConfirmAuthenticators takes a subject's authenticators again that are suspended since
// the database was restored from a backup. It fails with [ErrNotFound] where there are
// none.
func (s *Service) ConfirmAuthenticators(ctx context.Context, who grants.Subject) error {
	db, err := s.openFor(ctx, who)
	if err != nil {
		return err
	}
	err = records.Again(func() error {
		row, err := db.Accounts.Find(ctx, db.Holder(who), nil)
		if err != nil {
			return err
		}
		if !isUnconfirmed(&row.Value) {
			return ErrNotFound
		}
		account := cloneAccount(row.Value)
		for i := range account.Authenticators {
			if x := &account.Authenticators[i]; x.Unconfirmed {
				x.SuspendedAt, x.Unconfirmed = never, false
			}
		}
		op, err := db.Accounts.Update(row, account, never)
		if err != nil {
			return err
		}
		return db.Apply(ctx, op)
	})
	s.reportChange(asOperator(ctx), Principal{Subject: who}, EventAuthenticators, "", "", err)
	return err
}

// Unconfirmed lists subjects, of one tenant or with the empty one of all, whose
// authenticators wait to be confirmed, out of the next page of accounts. The cursor that
// is returned continues; an empty one tells that there are no more.
func (s *Service) Unconfirmed(ctx context.Context, tenant string, cursor []byte, limit int) (waiting []grants.Subject, next []byte, err error) {
	db, err := s.open(ctx)
	if err != nil || !db.Fencing().Unconfirmed {
		return nil, nil, err
	}
	rows, next, err := db.Accounts.All(ctx, cursor, min(max(limit, 1), maxUsers))
	for i := range rows {
		if a := &rows[i].Value; isUnconfirmed(a) && (tenant == "" || a.Tenant == tenant) {
			waiting = append(waiting, grants.Subject{Tenant: a.Tenant, User: a.User})
		}
	}
	return waiting, next, err
}

// AllConfirmed notes that no authenticator waits to be confirmed any more.
func (s *Service) AllConfirmed(ctx context.Context) error {
	db, err := s.open(ctx)
	if err != nil {
		return err
	}
	return db.Confirmed(ctx)
}
