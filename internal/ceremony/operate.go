package ceremony

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// User is a subject as the operator sees it.
type User struct {
	Subject           grants.Subject
	State             records.State
	Authenticators    []Authenticator
	RecoveryCodesLeft int
	Grants            int
	// Locked names the budgets that are used up; see [Service.Unlock].
	Locked []string
	// LockedUntil is when the longest wait that wrong answers began ends, among the
	// budgets that are not used up; the zero time if nobody has to wait.
	LockedUntil time.Time
	CreatedAt   time.Time
}

// Users lists up to limit subjects that ever enrolled or were reset, of one
// tenant or with the empty one of all, in an order of their own. The cursor
// that is returned continues; an empty one tells that there are no more. A page
// may hold fewer than limit, or none, where others' subjects lie in between.
func (s *Service) Users(ctx context.Context, tenant string, cursor []byte, limit int) ([]User, []byte, error) {
	db, err := s.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	rows, next, err := db.Accounts.All(ctx, cursor, min(max(limit, 1), maxUsers))
	if err != nil {
		return nil, nil, err
	}
	users := make([]User, 0, len(rows))
	for _, row := range rows {
		if tenant != "" && row.Value.Tenant != tenant {
			continue
		}
		u, err := s.user(ctx, db, row)
		if err != nil {
			return nil, nil, err
		}
		users = append(users, u)
	}
	return users, next, nil
}

func (s *Service) user(ctx context.Context, db *records.DB, row records.Row[records.Account]) (User, error) {
	a := row.Value
	u := User{Subject: grants.Subject{Tenant: a.Tenant, User: a.User}, State: a.State, RecoveryCodesLeft: codesLeft(db, &a), CreatedAt: a.CreatedAt}
	for i := range a.Authenticators {
		u.Authenticators = append(u.Authenticators, s.viewOf(&a.Authenticators[i]))
	}
	holder := db.Accounts.Holder(row)
	live, err := s.liveGrants(ctx, db, holder)
	if err != nil {
		return u, err
	}
	u.Grants = len(live)
	for _, name := range []string{budgetAPI, budgetBrowser, budgetDevice} {
		counted, err := s.readBudget(ctx, db, holder, name)
		if err != nil {
			return u, err
		}
		now := s.now()
		switch wait := s.budgetOf(name, counted).wait(now); {
		case wait == nil:
		case wait.Disabled:
			u.Locked = append(u.Locked, name)
		case now.Add(wait.For).After(u.LockedUntil):
			u.LockedUntil = now.Add(wait.For)
		}
	}
	return u, nil
}

// User gives one subject; [ErrNotFound] where it never enrolled.
func (s *Service) User(ctx context.Context, who grants.Subject) (User, error) {
	db, err := s.openFor(ctx, who)
	if err != nil {
		return User{}, err
	}
	row, err := db.Accounts.Find(ctx, db.Holder(who), nil)
	if err != nil {
		return User{}, err
	}
	if row.Version == 0 {
		return User{}, ErrNotFound
	}
	return s.user(ctx, db, row)
}

// Reset takes all authenticators, recovery codes, grants, challenges, pending
// enrollments, invites and remembered browsers from a subject, and unlocks it. A
// mark stays: from now on it enrolls with an invite only, also where it never
// was enrolled.
func (s *Service) Reset(ctx context.Context, who grants.Subject) error {
	return s.ResetBy(asOperator(ctx), Principal{Subject: who})
}

// ResetBy is [Service.Reset] of p's subject by who p says: a server's key.
func (s *Service) ResetBy(ctx context.Context, p Principal) error {
	ctx = store.Taking(ctx)
	who := p.Subject
	db, err := s.openFor(ctx, who)
	if err != nil {
		return err
	}
	h := db.Holder(who)
	err = records.Again(func() error {
		row, err := db.Accounts.Find(ctx, h, nil)
		if err != nil {
			return err
		}
		names := dropNames(db, row.Value.Authenticators)
		a := records.Account{Tenant: who.Tenant, User: who.User, State: records.StateReset, Set: row.Value.Set + 1, CreatedAt: row.Value.CreatedAt}
		if a.CreatedAt.IsZero() {
			a.CreatedAt = s.now()
		}
		put, err := db.Accounts.Update(row, a, time.Time{})
		if err != nil {
			return err
		}
		return db.Apply(ctx, append(names, put)...)
	})
	if err != nil {
		return err
	}
	// From here on nothing new can be won: every proof is conditional on the
	// account. What was won before goes now.
	ops, err := everythingOf(ctx, db, h)
	if err != nil {
		return err
	}
	if err := db.ApplyInParts(ctx, ops); err != nil {
		return err
	}
	s.report(ctx, p, Event{Kind: EventReset, Outcome: Done})
	return nil
}

// everythingOf gives the ops that drop all of a subject but its account.
func everythingOf(ctx context.Context, db *records.DB, h grants.Holder) ([]store.Op, error) {
	grantRows, err := db.GrantsOf(ctx, h, maxListed)
	if err != nil {
		return nil, err
	}
	var ops []store.Op
	for _, row := range grantRows {
		ops = append(ops, db.DropGrant(row))
	}
	for _, list := range []func() ([]store.Op, error){
		func() ([]store.Op, error) { return db.Challenges.DropAll(ctx, h, maxListed) },
		func() ([]store.Op, error) { return db.Pendings.DropAll(ctx, h, maxListed) },
		func() ([]store.Op, error) { return db.Invites.DropAll(ctx, h, maxListed) },
		func() ([]store.Op, error) { return db.Devices.DropAll(ctx, h, maxListed) },
		func() ([]store.Op, error) { return db.Attempts.DropAll(ctx, h, maxListed) },
		func() ([]store.Op, error) { return dropHeld(ctx, db, h) },
	} {
		more, err := list()
		if err != nil {
			return nil, err
		}
		ops = append(ops, more...)
	}
	return ops, nil
}

// Unlock forgives a subject all its wrong answers.
func (s *Service) Unlock(ctx context.Context, who grants.Subject) error {
	db, err := s.openFor(ctx, who)
	if err != nil {
		return err
	}
	ops, err := db.Attempts.DropAll(ctx, db.Holder(who), maxListed)
	if err != nil {
		return err
	}
	if err := db.ApplyInParts(ctx, ops); err != nil {
		return err
	}
	s.report(asOperator(ctx), Principal{Subject: who}, Event{Kind: EventUnlock, Outcome: Done})
	return nil
}

// Invite lets a subject enroll once with the code whose hash is given, until
// expires; see [invite.New]. [ErrLimit] where it has too many invites already.
func (s *Service) Invite(ctx context.Context, who grants.Subject, hash [32]byte, expires time.Time) error {
	if !expires.After(s.now()) {
		return &Field{Name: "expires", Detail: "lies in the past"}
	}
	if s.set.Enrollment == Deny {
		return ErrEnrollmentDenied // it would not be accepted
	}
	db, err := s.openFor(ctx, who)
	if err != nil {
		return err
	}
	h := db.Holder(who)
	old, err := db.Invites.List(ctx, h, nil, maxInvites)
	if err != nil {
		return err
	}
	var ops []store.Op
	old = slices.DeleteFunc(old, func(row records.Row[records.Invite]) bool {
		dead := !s.now().Before(row.Value.Expires)
		if dead {
			ops = append(ops, db.Invites.Drop(row))
		}
		return dead
	})
	if len(old) >= maxInvites {
		return ErrLimit
	}
	put, err := db.Invites.Put(h, hash[:], records.Invite{CreatedAt: s.now(), Expires: expires}, 0, expires.Add(tidyAfter))
	if err != nil {
		return err
	}
	if err := db.Apply(ctx, append(ops, put)...); errors.Is(err, records.ErrConflict) {
		return &Field{Name: "hash", Detail: "is that of another invite"}
	} else if err != nil {
		return err
	}
	s.report(asOperator(ctx), Principal{Subject: who}, Event{Kind: EventInvite, Outcome: Done})
	return nil
}

// Revoke ends all of a subject's grants, or those for one action type, and
// counts them. Challenges that are pending stay: they need a proof yet. Enrollments
// that a grant for step_up.manage allowed need none, and end with those.
func (s *Service) Revoke(ctx context.Context, who grants.Subject, action string) (int, error) {
	ctx = store.Taking(ctx)
	db, err := s.openFor(ctx, who)
	if err != nil {
		return 0, err
	}
	var only []byte // the digest: a row may hold but the beginning of a name
	if action != "" {
		a, err := grants.NewAction(action)
		if err != nil {
			return 0, &Field{Name: "action_type", Detail: err.Error()}
		}
		digest := a.Digest()
		only = digest[:]
	}
	n, err := s.dropGrants(ctx, db, db.Holder(who), func(row records.Row[records.GrantRow]) bool {
		return only == nil || bytes.Equal(row.Value.Digest, only)
	})
	if err != nil {
		return 0, err
	}
	if action == "" || action == grants.ManageAction {
		if err := dropManaged(ctx, db, db.Holder(who)); err != nil {
			return 0, err
		}
	}
	s.report(asOperator(ctx), Principal{Subject: who}, Event{Kind: EventRevoke, Outcome: Done, Action: action, Cause: "operator"})
	return n, nil
}

// dropManaged drops the pending enrollments that a grant for step_up.manage allowed.
func dropManaged(ctx context.Context, db *records.DB, h grants.Holder) error {
	rows, err := db.Pendings.List(ctx, h, nil, maxListed)
	if err != nil {
		return err
	}
	var ops []store.Op
	for _, row := range rows {
		if row.Value.Managed {
			ops = append(ops, db.Pendings.Drop(row))
		}
	}
	return db.ApplyInParts(ctx, ops)
}
