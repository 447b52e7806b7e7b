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
	EventChallenge      EventKind = "challenge"      // a challenge began, or a request was sent to one that was open
	EventVerify         EventKind = "verify"         // a code or passkey was checked at a challenge
	EventGrant          EventKind = "grant"          // a grant was used, given back, or checked for a server
	EventEnroll         EventKind = "enrol"          // an enrollment began
	EventConfirm        EventKind = "confirm"        // an enrollment was confirmed: the authenticator is there from now on
	EventRename         EventKind = "rename"         // an authenticator got another name
	EventRemove         EventKind = "remove"         // an authenticator was removed
	EventVouch          EventKind = "vouch"          // a stronger authenticator vouched for one
	EventDisown         EventKind = "disown"         // a person said that an authenticator is not theirs
	EventRecoveryCodes  EventKind = "recovery_codes" // new recovery codes replaced the earlier ones
	EventRevoke         EventKind = "revoke"         // grants were ended before their time
	EventReset          EventKind = "reset"          // an operator took everything away that a user had enrolled
	EventUnlock         EventKind = "unlock"         // an operator gave a user their attempts back
	EventInvite         EventKind = "invite"         // an operator made an invite
	EventAPIKey         EventKind = "api_key"        // an API key was made, revoked, or enabled again
	EventFence          EventKind = "fence"          // an operator accepted an older copy of the database
	EventAuthenticators EventKind = "authenticators" // an operator confirmed what was suspended since a backup was restored
	EventBackup         EventKind = "backup"         // an operator took a backup: it began, or is where it is to be
	EventTenant         EventKind = "tenant"         // an operator accepted another identity source, or another user_id, of a tenant
	EventAPICall        EventKind = "api_call"       // a call of the API for servers was refused before it did anything
)

// Outcome is what an [Event] decided.
type Outcome string

// The outcomes.
const (
	Begun     Outcome = "begun"      // it began, and waits for the person
	Passed    Outcome = "passed"     // the answer was right: there is a grant
	Spent     Outcome = "spent"      // a one-time grant was used
	GivenBack Outcome = "given_back" // a one-time grant was given back, as no connection to the application was made
	Vouched   Outcome = "vouched"    // the authenticator counts as what vouched for it
	SentOut   Outcome = "sent"       // a code was handed to the sender
	Refused   Outcome = "refused"    // it was refused; see `cause`
	Done      Outcome = "done"       // it was carried out
	Accepted  Outcome = "accepted"   // an older copy of the database was accepted
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
	// Actor is who did it.
	Actor Actor
	// LeftOut is how many more of the kind were decided on that have no event of
	// their own; see package caddymodule.
	LeftOut int

	// label is what the authenticator concerned is called, for its owner alone:
	// people write what they like in it, so it is in no log.
	label string
}

// Did is what was decided, in two words.
func (e *Event) Did() string { return string(e.Kind) + " " + string(e.Outcome) }

func (s *Service) report(ctx context.Context, p Principal, e Event) {
	e.Time, e.Subject = s.now(), p.Subject
	e.By(ctx, &p)
	s.audit(ctx, e)
	s.keepActivity(ctx, p, &e)
}
