package ceremony

import (
	"context"
	"errors"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/heldrequest"
	"github.com/stepup-gateway/caddy-stepup/internal/inflight"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/store"
)

const (
	// heldCopies is how many copies of a request exist at the same time while it
	// is read and stored: where it is looked at and where it is packed; then where
	// it is sealed, on its way to the engine, in the engine's log and in its table.
	heldCopies = 4

	// heldShare is the part of the memory in flight that one person may take: a
	// quarter.
	heldShare = 4

	// What waits for memory costs a connection. These bound how many do, in all
	// and of one person, and for how long.
	maxHeldWaiting     = 512
	maxHeldWaitingEach = maxHeldWaiting / heldShare
	heldWait           = 10 * time.Second

	// heldLeast is what a small form counts as where those of one person are
	// counted: it is written with rows that are as large whatever it holds.
	heldLeast = 256 << 10

	// heldRetry is when who found no room is told to come back.
	heldRetry = 5 * time.Second
)

// HeldCost is how much memory a request with a body of size bytes takes while it
// is held.
func HeldCost(size int64) int64 { return heldCopies * (size + heldrequest.HeadSize) }

// Room reserves memory for a request of p's that is read whole, with a body of up
// to size bytes, before a byte of it is read. Who calls it waits, up to 10 s, while
// others have the memory. It fails with [Busy] then, and with the error of ctx once
// that ends.
func (s *Service) Room(ctx context.Context, p Principal, size int64) (*inflight.Taken, error) {
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return nil, err
	}
	return s.room(ctx, db, db.Holder(p.Subject), size)
}

// TicketRoom is [Service.Room] for the request that a ticket is for.
func (s *Service) TicketRoom(ctx context.Context, t Ticket) (*inflight.Taken, error) {
	db, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	return s.room(ctx, db, t.holder, t.size)
}

func (s *Service) room(ctx context.Context, db *records.DB, h grants.Holder, size int64) (*inflight.Taken, error) {
	b := inflight.Bounds{
		Bytes: s.set.HeldInFlight, Each: s.set.HeldInFlight / heldShare,
		Waiting: maxHeldWaiting, WaitingEach: maxHeldWaitingEach, Wait: heldWait,
	}
	taken, err := db.InFlight().Take(ctx, inflight.Who(h), HeldCost(size), b)
	if errors.Is(err, inflight.ErrFull) {
		return nil, &Busy{For: heldRetry}
	}
	return taken, err
}

// MayHold counts a request of p's that is about to be held, with a body of up to
// size bytes. It fails with [Busy] where p had too much held recently: each takes
// the place of an older one, and what that leaves on the disk goes only when the
// engine tidies up.
func (s *Service) MayHold(ctx context.Context, p Principal, size int64) error {
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return err
	}
	who := inflight.Who(db.Holder(p.Subject))
	if wait := db.HeldRate().Allow(who, s.now(), max(size, heldLeast), s.set.HeldPerMinute, time.Minute); wait > 0 {
		return &Busy{For: wait, Yours: true}
	}
	return nil
}

// dropHeld gives the ops that drop all that is held of h. The requests are named by
// their tickets: listing them would read them.
func dropHeld(ctx context.Context, db *records.DB, h grants.Holder) ([]store.Op, error) {
	tickets, err := db.Tickets.List(ctx, h, nil, maxListed)
	if err != nil {
		return nil, err
	}
	ops := make([]store.Op, 0, 2*len(tickets))
	for _, row := range tickets {
		ops = append(ops, db.Tickets.Drop(row), db.Held.DropID(h, db.Tickets.ID(row)))
	}
	return ops, nil
}
