package adminapi

import (
	"context"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// FenceAnswer is how the database stands with what it may have lost.
type FenceAnswer struct {
	// Kind is none, unsure or rolled_back; Reason says why, unless it is none.
	Kind   string `json:"kind"`
	Reason string `json:"reason,omitempty"`
	// Generation counts how often what could be used once was made void: last at
	// Since, because of Cause.
	Generation uint64     `json:"generation"`
	Since      *time.Time `json:"since,omitempty"`
	Cause      string     `json:"cause,omitempty"`
	// CodesAfter is when codes of authenticator apps are taken again, give or
	// take their skew; left out once that is over.
	CodesAfter *time.Time `json:"codes_after,omitempty"`
	// CodesBarred tells that recovery codes of earlier generations are not taken.
	CodesBarred bool `json:"recovery_codes_barred"`
	// SuspendedKeys are the ids of API keys that wait to be enabled.
	SuspendedKeys []string `json:"suspended_keys,omitempty"`
	// Unconfirmed tells that authenticators are suspended, since the database was restored
	// from a backup, and wait to be confirmed.
	Unconfirmed bool `json:"unconfirmed,omitempty"`
}

// LostEvent is a line of the audit log.
type LostEvent struct {
	Time    time.Time `json:"time"`
	Event   string    `json:"event"`
	Outcome string    `json:"outcome"`
	Cause   string    `json:"cause,omitempty"`
	Tenant  string    `json:"tenant,omitempty"`
	User    string    `json:"user,omitempty"`
	Method  string    `json:"method,omitempty"`
	Object  string    `json:"object,omitempty"`
}

// FenceRequest accepts an older copy.
type FenceRequest struct {
	// TrustCodes takes recovery codes of before.
	TrustCodes bool        `json:"trust_codes,omitempty"`
	Lost       []LostEvent `json:"lost,omitempty"` // up to 50,000
}

// RedoneEvent is an event that the copy did not show.
type RedoneEvent struct {
	LostEvent
	// Applied tells that the gateway did it again; else the operator may.
	Applied bool `json:"applied"`
	// Enrolled tells that the user has an authenticator all the same.
	Enrolled bool `json:"enrolled,omitempty"`
}

// FenceAccepted is how the database stands once it is accepted, and what became
// of the events.
type FenceAccepted struct {
	FenceAnswer
	Redone []RedoneEvent `json:"redone"`
}

// maxLostBody bounds the body in which events are sent.
const maxLostBody = 32 << 20

var fenceKinds = map[store.FenceKind]string{store.FenceNone: "none", store.FenceUnsure: "unsure", store.FenceRolledBack: "rolled_back"}

func fence(ctx context.Context, g Gateway, _ struct{}) (FenceAnswer, error) {
	status, err := g.Service().Fence(ctx)
	if err != nil {
		return FenceAnswer{}, err
	}
	out := FenceAnswer{
		Kind: fenceKinds[status.Kind], Reason: status.Reason, Generation: status.Generation, Cause: status.Cause,
		CodesBarred: status.CodesBarred, SuspendedKeys: status.SuspendedKeys, Unconfirmed: status.Unconfirmed,
	}
	if !status.Since.IsZero() {
		out.Since = &status.Since
	}
	if status.CodesAfter.After(time.Now()) {
		out.CodesAfter = &status.CodesAfter
	}
	return out, nil
}

func acceptFence(ctx context.Context, g Gateway, in FenceRequest) (FenceAccepted, error) {
	done, err := g.Service().AcceptFence(ctx, ceremony.Acceptance{TrustCodes: in.TrustCodes, Lost: EventsOf(in.Lost)})
	if err != nil {
		return FenceAccepted{}, err
	}
	out := FenceAccepted{Redone: RedoneOf(done)}
	out.FenceAnswer, err = fence(ctx, g, struct{}{})
	return out, err
}

// EventsOf returns the events that lines of the audit log tell of.
func EventsOf(lines []LostEvent) []ceremony.Event {
	events := make([]ceremony.Event, 0, len(lines))
	for _, e := range lines {
		events = append(events, ceremony.Event{
			Time: e.Time, Kind: ceremony.EventKind(e.Event), Outcome: ceremony.Outcome(e.Outcome), Cause: e.Cause,
			Subject: grants.Subject{Tenant: e.Tenant, User: e.User}, Method: e.Method, Object: e.Object,
		})
	}
	return events
}

// RedoneOf returns, for an operator, what became of events.
func RedoneOf(done []ceremony.Redone) []RedoneEvent {
	out := make([]RedoneEvent, 0, len(done))
	for _, r := range done {
		out = append(out, RedoneEvent{Applied: r.Applied, Enrolled: r.Enrolled, LostEvent: LostEvent{
			Time: r.Time, Event: string(r.Kind), Outcome: string(r.Outcome), Cause: r.Cause,
			Tenant: r.Subject.Tenant, User: r.Subject.User, Method: r.Method, Object: r.Object,
		}})
	}
	return out
}
