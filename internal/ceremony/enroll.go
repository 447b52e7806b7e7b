package ceremony

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"slices"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/invite"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/internal/typed"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// Leave is what allows an enrollment beyond the policy: an invite for the first
// authenticator, a grant for step_up.manage for further ones. A server's API key
// is leave for the first one by itself.
type Leave struct {
	Invite string
	Manage string // the grant's token
}

// newID makes an id that the store's records are filed under.
func newID(size int) []byte {
	id := make([]byte, size)
	rand.Read(id) // never fails: crypto/rand ends the program instead
	return id
}

func idText(id []byte) string { return base64.RawURLEncoding.EncodeToString(id) }

// enrollmentIDLen is the length of a pending enrollment's id, in bytes: a UUID
// (version 4, RFC 9562), for clients that take nothing else, and 64 random bits
// more.
const enrollmentIDLen = 24

func newEnrollmentID() []byte { return asUUID(newID(enrollmentIDLen)) }

// newUUID makes an id that is a UUID.
func newUUID() []byte { return asUUID(newID(16)) }

// asUUID marks the first 16 bytes of an id as a UUID of version 4.
func asUUID(id []byte) []byte {
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return id
}

// Enroll begins the enrollment of an authenticator. The first one is allowed by the
// operator's policy (S15), further ones by a grant for step_up.manage bound to
// [AddOp] (S14), which it spends. Where codes are sent, the first one is: if it
// cannot be, the enrollment stands, and [Service.SendFirstCode] sends another; the
// error is then [ErrNotSent] or a [quota.Wait], and the Enrollment is good.
//
// It fails with [ErrInviteRequired], [ErrEnrollmentDenied], [ErrManageRequired],
// [ErrEnrolled], [ErrLimit], [ErrMethodNotAccepted], a [Field], or what else the
// factor's Begin fails with.
func (s *Service) Enroll(ctx context.Context, p Principal, in Setup, leave Leave) (Enrollment, error) {
	e, err := s.enroll(ctx, p, in, leave)
	// Who has the whole id of a server's is shown the secret: see Begun.
	event := Event{Kind: EventEnroll, Outcome: Begun, Object: EnrollmentUUID(e.ID), Method: e.Method.String()}
	if err != nil {
		event.Outcome, event.Cause = Refused, causeOf(err)
	}
	s.report(ctx, p, event)
	return e, err
}

func (s *Service) enroll(ctx context.Context, p Principal, in Setup, leave Leave) (Enrollment, error) {
	if err := s.checkListed(ctx, p); err != nil {
		return Enrollment{}, err
	}
	kind, f := grants.KindOf(in.Kind), s.factor(in.Kind)
	if f == nil || kind.Type == "" {
		return Enrollment{}, ErrMethodNotAccepted
	}
	pending := records.Pending{Type: kind.Type, Label: in.Label}
	if kind.ByIdentity() {
		in.Address = p.Email
	}
	// Asked first: the grant that allows it would be spent for nothing.
	if err := f.Begin(in, &pending); err != nil {
		return Enrollment{}, err
	}
	db, id, err := s.begin(ctx, p, &pending, cmp.Or(in.Name, kind.Label), leave)
	if err != nil {
		return Enrollment{}, err
	}
	e, err := s.enrollment(ctx, db, p, id, &pending)
	if d, sends := f.(Deliverer); sends && err == nil {
		e.Sent, err = s.sendFirstCode(ctx, db, p, e.ID)
		e.Sent.Suffix = d.Hint(pending.Dest.Address)
	}
	return e, err
}

// begin stores a pending enrollment, and uses up what allowed it.
func (s *Service) begin(ctx context.Context, p Principal, pending *records.Pending, name string, leave Leave) (*records.DB, []byte, error) {
	label, err := typed.Label(pending.Label)
	if err != nil {
		return nil, nil, err
	}
	if pending.Label = label; label == "" {
		pending.Label = name
	}
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return nil, nil, err
	}
	conceal(db, p, s.deliverer(pending.Type), pending)
	holder, id := db.Holder(p.Subject), newEnrollmentID()
	pending.Name, pending.Browser, pending.Expires = p.Shown(), bytesOf(p.Browser), s.now().Add(s.set.PendingTTL)
	err = records.Again(func() error {
		ops, err := s.takeLeave(ctx, db, p, pending, leave)
		if err != nil {
			return err
		}
		// As in Begin, concurrent callers are made up for.
		old, err := db.Pendings.List(ctx, holder, nil, 5*maxPendings)
		if err != nil {
			return err
		}
		for _, row := range oldest(old, maxPendings-1, func(p *records.Pending) time.Time { return p.Expires }) {
			ops = append(ops, db.Pendings.Drop(row))
		}
		until := pending.Expires.Add(tidyAfter)
		put, err := db.Pendings.Put(holder, id, *pending, 0, until)
		if err != nil {
			return err
		}
		if p.Client != "" {
			name, err := db.Names.Set(enrollmentAlias(db, id), nil, records.Name{Tenant: p.Tenant, User: p.User, Enrollment: idText(id)}, until)
			if err != nil {
				return err
			}
			ops = append(ops, name)
		}
		return db.Apply(ctx, append(ops, put)...)
	})
	return db, id, err
}

// takeLeave decides whether the enrollment may begin, notes in it what allowed
// it, and gives the ops that use that up.
func (s *Service) takeLeave(ctx context.Context, db *records.DB, p Principal, pending *records.Pending, leave Leave) ([]store.Op, error) {
	account, err := db.Accounts.Find(ctx, db.Holder(p.Subject), nil)
	if err != nil {
		return nil, err
	}
	pending.Set, pending.Managed, pending.Invite, pending.Key, pending.Origin = account.Value.Set, false, nil, "", nil
	switch {
	case account.Value.State == records.StateEnrolled && p.Client != "":
		return nil, ErrEnrolled
	case account.Value.State == records.StateEnrolled:
		if len(account.Value.Authenticators) >= maxAuthenticators {
			return nil, ErrLimit
		}
		spend, by, err := s.spendManage(ctx, db, p, AddOp, leave.Manage)
		if err != nil {
			return nil, err
		}
		pending.Managed, pending.Origin = true, originOf(&account.Value, by)
		return []store.Op{spend}, nil
	case s.set.Enrollment == Deny:
		return nil, ErrEnrollmentDenied
	case p.isServer():
		pending.Key = p.Client
	case s.firstNeedsInvite(&account.Value):
		row, err := s.findInvite(ctx, db, p, invite.Hash(leave.Invite))
		if err != nil {
			return nil, err
		}
		pending.Invite = db.Invites.ID(row)
	}
	return nil, nil
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

// enrollment is what its owner is shown of a pending one.
func (s *Service) enrollment(ctx context.Context, db *records.DB, p Principal, id []byte, pending *records.Pending) (Enrollment, error) {
	e := Enrollment{ID: idText(id), Method: grants.KindOfType(pending.Type).Methods, Label: pending.Label, Expires: pending.Expires}
	f := s.factorOf(pending.Type)
	if f == nil {
		return e, ErrMethodNotAccepted
	}
	account, err := db.Accounts.Find(ctx, db.Holder(p.Subject), nil)
	if err != nil {
		return e, err
	}
	if err := f.Show(db, named(account.Value, p), e.ID, pending, &e); err != nil {
		return e, err
	}
	if d, sends := f.(Deliverer); sends {
		e.Sent, err = s.sentFirst(ctx, db, p, d, e.ID, &pending.Dest)
	}
	return e, err
}

// Pending gives p's enrollment that waits for its first proof, to show it again.
// [ErrNotFound], [ErrExpired], [ErrVoided] as in Confirm.
func (s *Service) Pending(ctx context.Context, p Principal, id string) (Enrollment, error) {
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return Enrollment{}, err
	}
	row, err := s.findPending(ctx, db, p, id)
	if err != nil {
		return Enrollment{}, err
	}
	account, err := db.Accounts.Find(ctx, db.Holder(p.Subject), nil)
	if err != nil {
		return Enrollment{}, err
	}
	if account.Value.Set != row.Value.Set {
		return Enrollment{}, ErrVoided
	}
	return s.enrollment(ctx, db, p, db.Pendings.ID(row), &row.Value)
}

func (s *Service) findPending(ctx context.Context, db *records.DB, p Principal, id string) (records.Row[records.Pending], error) {
	var none records.Row[records.Pending]
	raw, ok := parseID(id, enrollmentIDLen)
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

// MayEnroll tells with nil that p may begin to enroll a first authenticator
// without more ado, and else what is missing: [ErrInviteRequired],
// [ErrEnrollmentDenied], or [ErrManageRequired] for who has one already.
func (s *Service) MayEnroll(ctx context.Context, p Principal) error {
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
		return ErrEnrollmentDenied
	}
	return nil
}

// findInvite gives p's live invite of that hash, or [ErrInviteRequired].
func (s *Service) findInvite(ctx context.Context, db *records.DB, p Principal, hash [32]byte) (records.Row[records.Invite], error) {
	row, err := db.Invites.Get(ctx, db.Holder(p.Subject), hash[:])
	if errors.Is(err, records.ErrNotFound) || err == nil && !s.now().Before(row.Value.Expires) {
		return row, ErrInviteRequired
	}
	return row, err
}
