package ceremony

import (
	"context"
	"errors"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// lapsedFor is how long a challenge that ran out is known, so that whoever comes
// back to its window can begin again. It is a day: windows stay open overnight.
const lapsedFor = 24 * time.Hour

// Lapsed is a challenge that ran out.
type Lapsed struct {
	Challenge
	// Kept is until when the request is held that waits for the challenge. It is
	// zero where Held is not set, and where the request made room for others.
	Kept time.Time
}

// Lapsed returns p's challenge that ran out. [ErrNotFound] for one that did not, and
// as in Describe.
func (s *Service) Lapsed(ctx context.Context, p Principal, id string) (Lapsed, error) {
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return Lapsed{}, err
	}
	row, err := s.lapsed(ctx, db, p, id)
	if err != nil {
		return Lapsed{}, err
	}
	var l Lapsed
	if l.Challenge, err = challengeOf(db, row); err != nil || !l.Held {
		return l, err
	}
	ticket, err := s.keptTicket(ctx, db, p, row)
	if errors.Is(err, ErrNotFound) {
		return l, nil
	}
	l.Kept = ticket.Value.Kept
	return l, err
}

func (s *Service) lapsed(ctx context.Context, db *records.DB, p Principal, id string) (records.Row[records.Challenge], error) {
	row, err := s.ownChallenge(ctx, db, p, id)
	if err == nil && (row.Value.Passed || s.now().Before(row.Value.Expires)) {
		return records.Row[records.Challenge]{}, ErrNotFound
	}
	return row, err
}

// ticketID is the id of the ticket of a challenge that has one.
func ticketID(db *records.DB, c records.Row[records.Challenge]) []byte {
	id := db.Challenges.ID(c)
	if len(c.Value.Ticket) == 0 {
		return id
	}
	return append(id[:len(id)-challengeIDLen:len(id)-challengeIDLen], c.Value.Ticket...)
}

// keptTicket is the ticket of a challenge that ran out. [ErrNotFound] where what it
// is for cannot be carried on with any more.
func (s *Service) keptTicket(ctx context.Context, db *records.DB, p Principal, c records.Row[records.Challenge]) (records.Row[records.Ticket], error) {
	row, err := db.Tickets.Get(ctx, db.Holder(p.Subject), ticketID(db, c))
	if errors.Is(err, records.ErrNotFound) || err == nil && (len(row.Value.Spent) > 0 || !s.now().Before(row.Value.Kept)) {
		return records.Row[records.Ticket]{}, ErrNotFound
	}
	return row, err
}

// BeginAgain begins p's challenge that ran out again: for the same demand and the
// same address, and with the same held request, which is not copied. What its page
// says of where it leads, and of another site that sent the person there, stays. The
// one that ran out is gone then, so that of concurrent callers one succeeds.
//
// It fails with [ErrNotFound] as Lapsed does, and where a request was held that is
// not any more.
func (s *Service) BeginAgain(ctx context.Context, p Principal, id string) (Challenge, error) {
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return Challenge{}, err
	}
	old, err := s.lapsed(ctx, db, p, id)
	if err != nil {
		return Challenge{}, err
	}
	holder, now := db.Holder(p.Subject), s.now()
	ops := []store.Op{db.Challenges.Delete(old)}
	want := old.Value
	want.CreatedAt, want.Expires, want.OpenUntil = now, now.Add(s.set.ChallengeTTL), time.Time{}
	if want.Held {
		row, err := s.keptTicket(ctx, db, p, old)
		if err != nil {
			return Challenge{}, err
		}
		name := ticketID(db, old)
		want.Ticket = name[len(name)-challengeIDLen:]
		ticket := row.Value
		ticket.Expires = want.Expires.Add(resumeGrace)
		put, err := db.Tickets.Update(row, ticket, ticket.Until().Add(tidyAfter))
		if err != nil {
			return Challenge{}, err
		}
		ops = append(ops, put)
	}
	key := append(p.Browser[:], newID(challengeIDLen)...)
	put, err := db.Challenges.Put(holder, key, want, 0, want.Expires.Add(lapsedFor))
	if err != nil {
		return Challenge{}, err
	}
	if err := db.Apply(ctx, append(ops, put)...); errors.Is(err, records.ErrConflict) {
		return Challenge{}, ErrNotFound
	} else if err != nil {
		return Challenge{}, err
	}
	c, err := challengeIn(&want)
	c.ID = idText(key[len(key)-challengeIDLen:])
	s.report(ctx, p, Event{Kind: EventChallenge, Outcome: Begun, Action: want.Action, Object: c.ID})
	return c, err
}
