package ceremony

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/internal/store"
	"github.com/stepup-gateway/caddy-stepup/totp"
)

// Enrolment is an authenticator app that waits for its first code.
type Enrolment struct {
	ID    string
	Label string
	// Key is a secret. It is shown to its owner until it is confirmed.
	Key     totp.Key
	URI     string // otpauth; a secret too
	Expires time.Time
}

// Leave is what allows an enrolment beyond the policy: an invite for the first
// authenticator, a grant for step_up.manage for further ones.
type Leave struct {
	Invite string
	Manage string // the grant's token
}

// enrolmentIDLen is the length of a pending enrolment's id, in bytes.
const enrolmentIDLen = 16

// Enrol begins the enrolment of an authenticator app. The first one is allowed
// by the operator's policy (S15), further ones by a grant for step_up.manage
// bound to [AddOp] (S14), which it spends.
//
// It fails with [ErrInviteRequired], [ErrEnrolmentDenied], [ErrManageRequired],
// [ErrLimit] or a [Field].
func (s *Service) Enrol(ctx context.Context, p Principal, label string, leave Leave) (Enrolment, error) {
	e, err := s.enrol(ctx, p, label, leave)
	event := Event{Kind: "enrol", Outcome: "begun", Object: e.ID}
	if err != nil {
		event.Outcome, event.Cause = "refused", causeOf(err)
	}
	s.report(ctx, p, event)
	return e, err
}

func (s *Service) enrol(ctx context.Context, p Principal, label string, leave Leave) (Enrolment, error) {
	label, err := cleanLabel(label)
	if err != nil {
		return Enrolment{}, err
	}
	if label == "" {
		label = "Authenticator app"
	}
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return Enrolment{}, err
	}
	key, err := totp.NewKey(s.set.TOTP)
	if err != nil {
		return Enrolment{}, err
	}
	holder, id := db.Holder(p.Subject), make([]byte, enrolmentIDLen)
	rand.Read(id) // never fails: crypto/rand ends the program instead
	pending := records.Pending{
		Label: label, Browser: bytesOf(p.Browser), Expires: s.now().Add(s.set.PendingTTL),
		TOTP: records.TOTP{Secret: key.Secret, Algorithm: key.Algorithm, Digits: key.Digits},
	}
	err = again(func() error {
		account, err := db.Accounts.Find(ctx, holder, nil)
		if err != nil {
			return err
		}
		var ops []store.Op
		pending.Set, pending.Managed, pending.Invite = account.Value.Set, false, nil
		if account.Value.State == records.StateEnrolled {
			if len(account.Value.Authenticators) >= maxAuthenticators {
				return ErrLimit
			}
			spend, err := s.spendManage(ctx, db, p, AddOp, leave.Manage)
			if err != nil {
				return err
			}
			ops, pending.Managed = append(ops, spend), true
		} else if s.firstNeedsInvite(&account.Value) {
			invite, err := s.findInvite(ctx, db, p, inviteHash(leave.Invite))
			if err != nil {
				return err
			}
			pending.Invite = db.Invites.ID(invite)
		} else if s.set.Enrollment == Deny {
			return ErrEnrolmentDenied
		}
		// As in Begin, concurrent callers are made up for.
		old, err := db.Pendings.List(ctx, holder, nil, 5*maxPendings)
		if err != nil {
			return err
		}
		for _, row := range oldest(old, maxPendings-1, func(p *records.Pending) time.Time { return p.Expires }) {
			ops = append(ops, db.Pendings.Drop(row))
		}
		put, err := db.Pendings.Put(holder, id, pending, 0, pending.Expires.Add(tidyAfter))
		if err != nil {
			return err
		}
		return db.Apply(ctx, append(ops, put)...)
	})
	if err != nil {
		return Enrolment{}, err
	}
	return s.enrolment(p, id, &pending), nil
}

// firstNeedsInvite tells whether a subject without authenticators must have an
// invite. Deny lets nobody in, with or without.
func (s *Service) firstNeedsInvite(a *records.Account) bool {
	switch s.set.Enrollment {
	case FirstUse:
		ended := !s.set.Until.IsZero() && !s.now().Before(s.set.Until)
		return ended || a.State == records.StateReset
	case Deny:
		return false
	}
	return true
}

func (s *Service) enrolment(p Principal, id []byte, pending *records.Pending) Enrolment {
	e := Enrolment{ID: base64.RawURLEncoding.EncodeToString(id), Label: pending.Label, Key: s.key(&pending.TOTP), Expires: pending.Expires}
	e.URI = e.Key.URI(s.set.Issuer, p.User)
	return e
}

// key is a stored secret with the skew that is configured today.
func (s *Service) key(t *records.TOTP) totp.Key {
	return totp.Key{Secret: t.Secret, Params: totp.Params{Algorithm: t.Algorithm, Digits: t.Digits, Skew: s.set.TOTP.Skew}}
}

// InvitePrefix begins every invite, so that one is told from a code.
const InvitePrefix = "sui_"

// NewInvite makes an invite and the hash under which [Service.Invite] stores it.
func NewInvite() (code string, hash [32]byte) {
	raw := make([]byte, 16)
	rand.Read(raw) // never fails: crypto/rand ends the program instead
	code = InvitePrefix + base64.RawURLEncoding.EncodeToString(raw)
	return code, inviteHash(code)
}

// inviteHash needs no key: an invite is 128 random bits.
func inviteHash(code string) [32]byte {
	return sha256.Sum256([]byte("step-up invite\x00" + strings.TrimSpace(code)))
}

// findInvite gives p's live invite of that hash, or [ErrInviteRequired].
func (s *Service) findInvite(ctx context.Context, db *records.DB, p Principal, hash [32]byte) (records.Row[records.Invite], error) {
	invite, err := db.Invites.Get(ctx, db.Holder(p.Subject), hash[:])
	if errors.Is(err, records.ErrNotFound) || err == nil && !s.now().Before(invite.Value.Expires) {
		return invite, ErrInviteRequired
	}
	return invite, err
}

// Pending gives p's enrolment that waits for its first code, to show it again.
// [ErrNotFound], [ErrExpired], [ErrVoided] as in Confirm.
func (s *Service) Pending(ctx context.Context, p Principal, id string) (Enrolment, error) {
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return Enrolment{}, err
	}
	row, err := s.findPending(ctx, db, p, id)
	if err != nil {
		return Enrolment{}, err
	}
	account, err := db.Accounts.Find(ctx, db.Holder(p.Subject), nil)
	if err != nil {
		return Enrolment{}, err
	}
	if account.Value.Set != row.Value.Set {
		return Enrolment{}, ErrVoided
	}
	return s.enrolment(p, db.Pendings.ID(row), &row.Value), nil
}

func (s *Service) findPending(ctx context.Context, db *records.DB, p Principal, id string) (records.Row[records.Pending], error) {
	var none records.Row[records.Pending]
	raw, ok := parseID(id, enrolmentIDLen)
	if !ok {
		return none, ErrNotFound
	}
	row, err := db.Pendings.Get(ctx, db.Holder(p.Subject), raw)
	if errors.Is(err, records.ErrNotFound) || err == nil && !slices.Equal(row.Value.Browser, bytesOf(p.Browser)) {
		return none, ErrNotFound
	}
	if err != nil {
		return none, err
	}
	if !s.now().Before(row.Value.Expires) {
		return none, ErrExpired
	}
	return row, nil
}

// MayEnrol tells with nil that p may begin to enrol a first authenticator
// without more ado, and else what is missing: [ErrInviteRequired],
// [ErrEnrolmentDenied], or [ErrManageRequired] for who has one already.
func (s *Service) MayEnrol(ctx context.Context, p Principal) error {
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return err
	}
	account, err := db.Accounts.Find(ctx, db.Holder(p.Subject), nil)
	switch {
	case err != nil:
		return err
	case account.Value.State == records.StateEnrolled:
		return ErrManageRequired
	case s.firstNeedsInvite(&account.Value):
		return ErrInviteRequired
	case s.set.Enrollment == Deny:
		return ErrEnrolmentDenied
	}
	return nil
}
