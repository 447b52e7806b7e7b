package ceremony

import (
	"context"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
)

// EventKind is what an [Event] decides on. Codes that are sent have the name of
// their kind of proof.
type EventKind string

// The kinds of events, as they stand in audit logs and metrics.
const (
	EventChallenge     EventKind = "challenge"
	EventVerify        EventKind = "verify"
	EventGrant         EventKind = "grant"
	EventEnroll        EventKind = "enrol"
	EventConfirm       EventKind = "confirm"
	EventRename        EventKind = "rename"
	EventRemove        EventKind = "remove"
	EventVouch         EventKind = "vouch"
	EventDisown        EventKind = "disown"
	EventRecoveryCodes EventKind = "recovery_codes"
	EventRevoke        EventKind = "revoke"
	EventReset         EventKind = "reset"
	EventUnlock        EventKind = "unlock"
	EventInvite        EventKind = "invite"
	EventAPIKey        EventKind = "api_key"
	EventFence         EventKind = "fence"
)

// Outcome is what an [Event] decided.
type Outcome string

// The outcomes.
const (
	Begun     Outcome = "begun"
	Passed    Outcome = "passed"
	Spent     Outcome = "spent"
	GivenBack Outcome = "given_back"
	Vouched   Outcome = "vouched"
	SentOut   Outcome = "sent"
	Refused   Outcome = "refused"
	Done      Outcome = "done"
	Accepted  Outcome = "accepted"
)

// Event is one decision, for the audit log and the counters. It holds no code,
// token or secret (S13).
type Event struct {
	Time time.Time
	// Kind is what was decided on, Outcome what was decided.
	Kind    EventKind
	Outcome Outcome
	// Cause is a word that tells why, where Outcome does not.
	Cause   string
	Subject grants.Subject
	// Action is the action type concerned, where there is one.
	Action string
	// Method is the means of proof, where one was offered.
	Method string
	// Object is the id of the challenge, authenticator or grant concerned, or an
	// enrollment's UUID, since its whole id may be a secret.
	Object  string
	Address string
	// Client is the id of the API key that acted, or [UserClient]; empty for
	// people with a browser and for the operator.
	Client string
}

// Did is what was decided, in two words.
func (e *Event) Did() string { return string(e.Kind) + " " + string(e.Outcome) }

func (s *Service) report(ctx context.Context, p Principal, e Event) {
	e.Time, e.Subject, e.Address = s.now(), p.Subject, p.Address
	e.Client = p.Client
	s.audit(ctx, e)
	s.keepActivity(ctx, p, &e)
}
