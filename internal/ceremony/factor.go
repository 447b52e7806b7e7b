package ceremony

import (
	"encoding/json"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
)

// Factor is one means of proof.
type Factor interface {
	// Method names the means of proof, as a rule asks for it.
	Method() grants.Methods
	// Match holds an answer against the account and, where it is right, marks
	// in the account what it burns. The caller applies the changed account
	// together with what the proof is worth, or not at all. What it marks it
	// marks in what an authenticator points to, since the account may hold only
	// some of those that are stored. It fails with
	// ErrInvalidCode for every answer that is not right, used ones included.
	Match(db *records.DB, a *records.Account, try Attempt) (Proof, error)
	// Ready tells whether the account could give this proof now, on the site
	// (scheme://host; empty over the API).
	Ready(a *records.Account, site string) bool
}

// Attempt is an answer, and what it answers.
type Attempt struct {
	// Challenge is the id of the challenge; empty where a server sends a code
	// that answers none.
	Challenge string
	// Site is the challenge's scheme and host; empty over the API.
	Site   string
	Answer string
	Now    time.Time
	// UsedUntil is the time before which codes of the current generation's
	// predecessors may have been used (S25); zero: none.
	UsedUntil  time.Time
	Generation uint64
}

// Proof is a right answer.
type Proof struct {
	// Method is the means of proof as the grant tells it.
	Method grants.Methods
	// Authenticator is the id of the authenticator that gave it; empty for a
	// recovery code.
	Authenticator string
	// Origin are the means of proof that still count for what gave it (S24). It
	// is package ceremony's to fill in.
	Origin grants.Methods
}

// PasskeyFactor is the factor of passkeys. They are asked for, and made, by
// messages that a browser hands to the authenticator and back, and that only the
// factor understands (WebAuthn level 3).
//
// The account that it is given names its subject also where nobody of that name
// is enrolled yet. A site is scheme://host.
type PasskeyFactor interface {
	Factor
	// Serves tells whether passkeys can be made and used on the site.
	Serves(site string) bool
	// Ask gives the JSON of the PublicKeyCredentialRequestOptions with which a
	// challenge asks.
	Ask(db *records.DB, a *records.Account, challenge, site string) (json.RawMessage, error)
	// Create gives the JSON of the PublicKeyCredentialCreationOptions with
	// which a pending enrollment asks.
	Create(db *records.DB, a *records.Account, enrollment, site string) (json.RawMessage, error)
	// Register reads the browser's answer to Create. It fails with
	// ErrInvalidCode for every answer that is not right.
	Register(db *records.DB, a *records.Account, enrollment, site, answer string) (records.Passkey, error)
}

// passkeys is the factor of passkeys, or nil where there is none.
func (s *Service) passkeys() PasskeyFactor {
	f, _ := s.factor(grants.Passkey).(PasskeyFactor)
	return f
}
