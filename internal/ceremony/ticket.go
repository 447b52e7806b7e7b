package ceremony

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/heldrequest"
	"github.com/stepup-gateway/caddy-stepup/internal/quota"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// Ticket is a held request that may be carried on with, once.
type Ticket struct {
	Action string
	Site   string
	// URL is the path and query that was asked for.
	URL string
	// Gate is the gateway instance that held the request; see [Ask.Gate].
	Gate string

	id     []byte // browser and challenge
	holder grants.Holder
	size   int64  // of the held request as stored
	claim  []byte // set by Claim
}

// claimTTL is how long a claimed ticket waits for its request to be identified.
// After that it may be claimed again, so that a crash in between costs the
// person a minute and not the form; the first claim is void by then.
const claimTTL = time.Minute

// heldBinding is the binding of a one-time grant that is won for a held request:
// SHA-256 over the ticket's id, which names the browser and the challenge. It is
// no digest of any request, so that the grant passes nothing else.
func heldBinding(id []byte) [32]byte {
	return sha256.Sum256(append([]byte("step-up held request\x00"), id...))
}

// Ticket returns the ticket of that id, which is its challenge's, for the browser
// that it was made for. Nobody has said yet who is asking: [Service.Owns] tells
// that later. It fails with [ErrNotFound] for an unknown one or another browser's,
// [ErrExpired] for one that ran out, and [ErrNoGrant] for one that was used or is
// claimed.
func (s *Service) Ticket(ctx context.Context, browser [32]byte, id string) (Ticket, error) {
	raw, ok := parseID(id, challengeIDLen)
	if !ok || browser == [32]byte{} {
		return Ticket{}, ErrNotFound
	}
	db, err := s.open(ctx)
	if err != nil {
		return Ticket{}, err
	}
	t := Ticket{id: append(browser[:], raw...)}
	whose, err := db.Resumes.Get(ctx, grants.Holder{}, t.id)
	if errors.Is(err, records.ErrNotFound) {
		return Ticket{}, ErrNotFound
	}
	if err != nil {
		return Ticket{}, err
	}
	if len(whose.Value.Holder) != len(t.holder) {
		return Ticket{}, records.ErrCorrupt
	}
	t.holder = grants.Holder(whose.Value.Holder)
	row, err := db.Tickets.Get(ctx, t.holder, t.id)
	if errors.Is(err, records.ErrNotFound) {
		return Ticket{}, ErrNotFound
	}
	if err != nil {
		return Ticket{}, err
	}
	t.Action, t.Site, t.URL, t.Gate, t.size = row.Value.Action, row.Value.Site, row.Value.URL, row.Value.Gate, row.Value.Size
	return t, s.claimable(&row.Value)
}

// claimable reports why a ticket cannot be claimed now.
func (s *Service) claimable(t *records.Ticket) error {
	now := s.now()
	switch {
	case len(t.Spent) > 0, len(t.Claim) > 0 && now.Before(t.ClaimedUntil) && t.ClaimedUntil.Sub(now) <= claimTTL+quota.ClockSkew:
		return ErrNoGrant
	case !now.Before(t.Expires):
		return ErrExpired
	}
	return nil
}

// Claim reserves a ticket for one request, durably, before anything sees the
// request that it stands for. Of concurrent callers exactly one succeeds; the
// others fail with [ErrNoGrant].
func (s *Service) Claim(ctx context.Context, t Ticket) (Ticket, error) {
	t.claim = make([]byte, 16)
	rand.Read(t.claim) // never fails: crypto/rand ends the program instead
	return t, s.changeTicket(ctx, t, func(row *records.Ticket) error {
		if err := s.claimable(row); err != nil {
			return err
		}
		row.Claim, row.ClaimedUntil = t.claim, s.now().Add(claimTTL)
		return nil
	})
}

// Unclaim gives a claimed ticket back, where nothing was carried on with. One
// that was redeemed meanwhile stays used.
func (s *Service) Unclaim(ctx context.Context, t Ticket) error {
	err := s.changeTicket(ctx, t, func(row *records.Ticket) error {
		if len(row.Spent) > 0 || subtle.ConstantTimeCompare(row.Claim, t.claim) != 1 {
			return ErrNoGrant
		}
		row.Claim, row.ClaimedUntil = nil, time.Time{}
		return nil
	})
	if errors.Is(err, ErrNoGrant) {
		return nil
	}
	return err
}

// changeTicket changes a stored ticket if nobody else does at the same time.
func (s *Service) changeTicket(ctx context.Context, t Ticket, change func(*records.Ticket) error) error {
	db, err := s.open(ctx)
	if err != nil {
		return err
	}
	row, err := db.Tickets.Get(ctx, t.holder, t.id)
	if errors.Is(err, records.ErrNotFound) {
		return ErrNoGrant
	}
	if err != nil {
		return err
	}
	ticket := row.Value
	if err := change(&ticket); err != nil {
		return err
	}
	op, err := db.Tickets.Update(row, ticket, ticket.Until().Add(tidyAfter))
	if err != nil {
		return err
	}
	if err := db.Apply(ctx, op); errors.Is(err, records.ErrConflict) {
		return ErrNoGrant
	} else if err != nil {
		return err
	}
	return nil
}

// Owns fails with [ErrNotFound] where the ticket is not p's: another subject's,
// browser's or session's.
func (s *Service) Owns(ctx context.Context, p Principal, t Ticket) error {
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return err
	}
	holder := db.Holder(p.Subject)
	if subtle.ConstantTimeCompare(holder[:], t.holder[:]) != 1 || p.Browser == [32]byte{} || !bytes.HasPrefix(t.id, p.Browser[:]) {
		return ErrNotFound
	}
	row, err := db.Tickets.Get(ctx, holder, t.id)
	if errors.Is(err, records.ErrNotFound) || err == nil && !bytes.Equal(row.Value.Session, bytesOf(p.Session)) {
		return ErrNotFound
	}
	return err
}

// HeldRequest returns the request that the ticket is for; see [Ask.Held]. Memory
// for it is reserved before by [Service.TicketRoom].
func (s *Service) HeldRequest(ctx context.Context, t Ticket) (heldrequest.Request, error) {
	db, err := s.open(ctx)
	if err != nil {
		return heldrequest.Request{}, err
	}
	held, err := db.ReadHeld(ctx, t.holder, t.id)
	if errors.Is(err, records.ErrNotFound) {
		return held, ErrNotFound
	}
	return held, err
}

// CheckHeld is [Service.Check] for the request of a ticket. The grant that was won
// for it comes first: it passes this request only, so nothing else can have taken
// it. Else the grant behind the token must satisfy the demand, as for any request.
func (s *Service) CheckHeld(ctx context.Context, p *Principal, d *grants.Demand, request [32]byte, t Ticket, token string) (Pass, error) {
	if d.Use == grants.OneTimeUse {
		pass, err := s.checkWon(ctx, p, d, request, t)
		if !errors.Is(err, ErrNoGrant) {
			return pass, err
		}
	}
	return s.Check(ctx, p, d, request, token)
}

func (s *Service) checkWon(ctx context.Context, p *Principal, d *grants.Demand, request [32]byte, t Ticket) (Pass, error) {
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return Pass{}, err
	}
	holder := db.Holder(p.Subject)
	row, err := db.Tickets.Get(ctx, holder, t.id)
	if errors.Is(err, records.ErrNotFound) || err == nil && len(row.Value.Grant) != len(grants.ID{}) {
		return Pass{}, ErrNoGrant
	}
	if err != nil {
		return Pass{}, err
	}
	if request == [32]byte{} {
		request = heldBinding(t.id)
	}
	return s.checkGrant(ctx, db, p, d, request, grants.ID(row.Value.Grant))
}

// link is the op by which a ticket knows the one-time grant that was won for it;
// none where the ticket made room for others meanwhile.
func (s *Service) link(ctx context.Context, db *records.DB, h grants.Holder, id []byte, grant grants.ID) ([]store.Op, error) {
	row, err := db.Tickets.Get(ctx, h, id)
	if errors.Is(err, records.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	ticket := row.Value
	ticket.Grant = grant[:]
	op, err := db.Tickets.Update(row, ticket, ticket.Until().Add(tidyAfter))
	return []store.Op{op}, err
}

// Redeem uses up the ticket and those of the grants that are good for one request
// only, as one record: of concurrent callers exactly one succeeds, and the others
// fail with [ErrNoGrant].
func (s *Service) Redeem(ctx context.Context, p *Principal, passes []Pass, t Ticket) (Receipt, error) {
	return s.spend(ctx, p, passes, onceOnly(passes), &t)
}

// Forget removes the request of a redeemed ticket, which nobody needs any more.
// The ticket stays until it runs out, so that it is told as used.
func (s *Service) Forget(ctx context.Context, t Ticket) error {
	ctx = store.Taking(ctx)
	db, err := s.open(ctx)
	if err != nil {
		return err
	}
	return db.Apply(ctx, db.Held.DropID(t.holder, t.id))
}
