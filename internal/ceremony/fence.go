package ceremony

import (
	"context"
	"errors"

	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// ErrNotFenced is what [Service.AcceptFence] returns where there is nothing to
// accept.
var ErrNotFenced = records.ErrNotFenced

// Fencing is how the database stands with what it may have lost.
type Fencing = records.Fencing

// FenceStatus is a Fencing with what is suspended because of it.
type FenceStatus struct {
	Fencing
	// SuspendedKeys are the ids of API keys that wait to be enabled.
	SuspendedKeys []string
}

// Fence tells how the database stands.
func (s *Service) Fence(ctx context.Context) (FenceStatus, error) {
	db, err := s.open(ctx)
	if err != nil {
		return FenceStatus{}, err
	}
	status := FenceStatus{Fencing: db.Fencing()}
	if status.Kind == store.FenceRolledBack {
		return status, nil // nothing is read
	}
	keys, err := s.Keys(ctx)
	for _, k := range keys {
		if k.Suspended {
			status.SuspendedKeys = append(status.SuspendedKeys, k.ID)
		}
	}
	return status, err
}

// MaxLost bounds the events that [Service.AcceptFence] takes.
const MaxLost = 50_000

// Redone is what became of an event of the audit log that the database does not
// show.
type Redone struct {
	Event
	// Applied tells that the gateway has taken away again what was taken away
	// then; else the operator has to do what the event says, if they want it done.
	Applied bool
	// Enrolled tells that the subject has an authenticator all the same.
	Enrolled bool
}

// Acceptance is how an operator takes an older copy of the database.
type Acceptance struct {
	// TrustCodes takes the recovery codes that the copy shows unused, though
	// some may have been used since; but for those of users of whom Lost tells
	// that they used one.
	TrustCodes bool
	// Lost are the events of the audit log, in any order. Those that the
	// database shows are passed over, so they may be of any time.
	Lost []Event
}

// AcceptFence makes an older copy of the database the one that counts; see
// records.DB.AcceptFence. What the events tell was taken away is taken away
// again before anything is served. It gives those that the database does not
// show, in the order of their times.
//
// It fails with [ErrNotFenced] where there is no older copy; TrustCodes alone is
// good without one too. After any other error the database is still refused, and
// it may be done again.
func (s *Service) AcceptFence(ctx context.Context, a Acceptance) ([]Redone, error) {
	if len(a.Lost) > MaxLost {
		return nil, &Field{Name: "lost", Detail: "holds more than 50000 events"}
	}
	db, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	// What is void, suspended and taken away goes on where space is short.
	ctx = store.Taking(ctx)
	var done []Redone
	err = db.AcceptFence(ctx, records.Acceptance{Now: s.now(), TrustCodes: a.TrustCodes, Mend: func(view *records.DB) (err error) {
		m := *s
		m.open = func(context.Context) (*records.DB, error) { return view, nil }
		m.Ring = m.ringOver(m.open)
		done, err = m.redo(ctx, view, a)
		return err
	}})
	e := Event{Kind: EventFence, Outcome: Accepted}
	if errors.Is(err, ErrNotFenced) {
		return nil, err
	}
	if err != nil {
		e.Outcome, e.Cause = Refused, causeOf(err)
	}
	s.report(asOperator(ctx), Principal{}, e)
	return done, err
}
