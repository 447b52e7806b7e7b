package ceremony

import (
	"context"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
)

// Event is one decision, for the audit log and the counters. It holds no code,
// token or secret (S13).
type Event struct {
	Time time.Time
	// Kind is what was decided on: challenge, verify, grant, enroll, confirm,
	// rename, remove, vouch, disown, recovery_codes, revoke, reset, unlock, invite, sms,
	// api_key.
	Kind string
	// Outcome is what was decided: begun, passed, spent, given_back, vouched,
	// sent, created, revoked, enabled, refused, done.
	Outcome string
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

func (s *Service) report(ctx context.Context, p Principal, e Event) {
	e.Time, e.Subject, e.Address = s.now(), p.Subject, p.Address
	e.Client = p.Client
	s.audit(ctx, e)
	s.keepActivity(ctx, p, &e)
}
