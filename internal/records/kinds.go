package records

import (
	"slices"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/totp"
)

// All records below are stored as the byte 1 and their JSON, sealed; those that
// can be used once as the byte 2, their generation and their JSON. Held requests
// and grants have forms of their own. A change of
// their form gets a new first byte and a reader for the old one.

// State tells where a subject stands with enrollment.
type State string

// The states. That a subject has no account at all is [StateNew] too: nobody of
// that name ever enrolled. A reset, or the removal of the last authenticator,
// leaves [StateReset] for good, so that absence never lets a thief of the first
// factor enroll as if for the first time.
const (
	StateNew      State = ""
	StateEnrolled State = "enrolled"
	StateReset    State = "reset"
)

// Account is what is known of one subject, stored under "s/" holder. Codes are
// burned by changing it in the same Apply that acts on them.
type Account struct {
	Tenant string `json:"tenant"`
	User   string `json:"user"`
	State  State  `json:"state"`
	// Set counts the changes to the set of authenticators. A pending enrollment
	// remembers it and is void once it has changed.
	Set            uint64          `json:"set"`
	Authenticators []Authenticator `json:"authenticators,omitempty"`
	RecoveryCodes  []RecoveryCode  `json:"recovery_codes,omitempty"`
	// CodesOrigin is what vouched for the recovery codes. They were given at
	// CodesGivenAt, which is zero where that was before it was kept, and under
	// CodesGeneration; see [DB.TakesRecoveryCodes].
	CodesOrigin     *Origin   `json:"codes_origin,omitempty"`
	CodesGivenAt    time.Time `json:"codes_given_at,omitzero"`
	CodesGeneration uint64    `json:"codes_generation,omitempty"`
	CreatedAt       time.Time `json:"created_at"`
}

// OriginAge is how long an authenticator is worth no more than what vouched for
// it (S24).
const OriginAge = 24 * time.Hour

// Origin is what vouched for an authenticator or for recovery codes (S24), as in
//
//	{"methods":1,"ever":3,"by":"dGhlIG90aGVy","at":"2027-01-15T12:00:00Z"}
//
// A nil one is full strength: a first enrollment under the policy in force, by an
// invite, and whatever was stored before there were origins. It is replaced and
// never changed, since copies of an account share it.
type Origin struct {
	// Methods are the means of proof by which it was added, and those that
	// counted for the authenticator that gave the proof. They count for
	// [OriginAge] from At on.
	Methods uint16 `json:"methods"`
	// Ever are the means of proof on the whole way back, whatever their age.
	Ever uint16 `json:"ever"`
	// By is the id of the authenticator that gave the proof; empty for a
	// recovery code and for none.
	By string    `json:"by,omitempty"`
	At time.Time `json:"at,omitzero"`
}

// Live are the means of proof that count at now, none where it is worth what it
// is. A clock that was set back makes it younger.
func (o *Origin) Live(now time.Time) grants.Methods {
	if o == nil || now.Sub(o.At) >= OriginAge {
		return 0
	}
	return grants.Methods(o.Methods)
}

// Always are the means of proof on the whole way back.
func (o *Origin) Always() grants.Methods {
	if o == nil {
		return 0
	}
	return grants.Methods(o.Ever)
}

// Authenticator is one enrolled means of proof.
type Authenticator struct {
	ID         string    `json:"id"`
	Type       string    `json:"type"` // see grants.Kind
	Label      string    `json:"label"`
	CreatedAt  time.Time `json:"created_at"`
	LastUsedAt time.Time `json:"last_used_at,omitzero"`
	Origin     *Origin   `json:"origin,omitempty"`
	// SuspendedAt is when its owner said that it is not theirs: it proves
	// nothing until an older one has vouched for it.
	SuspendedAt time.Time `json:"suspended_at,omitzero"`
	// Unconfirmed reports that it is suspended not by its owner but since the database was
	// restored from a backup, after which it may have been taken away: until an operator
	// confirms it.
	Unconfirmed bool `json:"unconfirmed,omitempty"`
	// One of them is set, by Type; Dest, whose stored name is older than the other
	// places to which codes go, for all to which they are sent.
	TOTP    *TOTP        `json:"totp,omitempty"`
	Dest    *Destination `json:"phone,omitempty"`
	Passkey *Passkey     `json:"passkey,omitempty"`
	// Enrollment is the id of the pending enrollment that it was, by which
	// servers go on to name it.
	Enrollment string `json:"enrolment,omitempty"`
}

// Methods are what a proof by the authenticator is worth by itself; none where its
// type is not known.
func (a *Authenticator) Methods() grants.Methods {
	if a.Passkey != nil {
		return a.Passkey.Methods()
	}
	return grants.KindOfType(a.Type).Methods
}

// TOTP is what an authenticator app's codes are checked with.
type TOTP struct {
	Secret    []byte         `json:"secret"`
	Algorithm totp.Algorithm `json:"algorithm"`
	Digits    int            `json:"digits"`
	// Last is the last step accepted. It only ever rises.
	Last totp.Step `json:"last"`
	// Generation is the one under which the secret was made: no code of it was
	// used before.
	Generation uint64 `json:"generation,omitempty"`
}

// Destination is where codes are sent, and those that were sent and not used.
type Destination struct {
	// Address is a phone's number, E.164. Of an address that the identity source gives
	// it is only by what its owner knows it again, and Digest is DB.MAC of it.
	Address string     `json:"number"`
	Digest  []byte     `json:"digest,omitempty"`
	Codes   []SentCode `json:"codes,omitempty"`
}

// Forget makes void what was sent there for the challenge, and lets go of what ran
// out. A nil Destination has nothing to forget.
func (d *Destination) Forget(challenge string, now time.Time) {
	if d == nil {
		return
	}
	d.Codes = slices.DeleteFunc(d.Codes, func(c SentCode) bool {
		return c.Challenge == challenge || !now.Before(c.Expires)
	})
}

// SentCode is a code that was sent for one challenge: DB.MAC of it. It is good
// under the generation under which it was sent.
type SentCode struct {
	Challenge  string    `json:"challenge"`
	Hash       []byte    `json:"hash"`
	Expires    time.Time `json:"expires"`
	Generation uint64    `json:"generation,omitempty"`
}

// Passkey is a public key credential (WebAuthn level 3 section 4).
type Passkey struct {
	CredentialID []byte `json:"credential_id"`
	// PublicKey is in COSE form (RFC 9052), as the authenticator gave it.
	PublicKey []byte `json:"public_key"`
	// RelyingParty is the id of the relying party that it was made for.
	RelyingParty string   `json:"relying_party"`
	AAGUID       []byte   `json:"aaguid,omitempty"`
	Transports   []string `json:"transports,omitempty"`
	// SignCount is the last counter that the authenticator showed. Suspect
	// reports that one went backwards: the key may have been copied.
	SignCount uint32 `json:"sign_count,omitempty"`
	Suspect   bool   `json:"suspect,omitempty"`
	// Synced reports that its provider may copy it (backup eligible). UserVerified
	// reports that it checked who uses it when it was made.
	Synced       bool `json:"synced,omitempty"`
	UserVerified bool `json:"user_verified,omitempty"`
}

// Methods are what a proof by the passkey is worth.
func (k *Passkey) Methods() grants.Methods {
	if k.Synced {
		return grants.SyncedPasskey
	}
	return grants.BoundPasskey
}

// RecoveryCode is one look-up secret: DB.MAC of it, and when it was used.
type RecoveryCode struct {
	Hash   []byte    `json:"hash"`
	UsedAt time.Time `json:"used_at,omitzero"`
}

// RecoveryCodesLeft counts the codes that were not used.
func (a *Account) RecoveryCodesLeft() int {
	n := 0
	for i := range a.RecoveryCodes {
		if a.RecoveryCodes[i].UsedAt.IsZero() {
			n++
		}
	}
	return n
}

// Usable is the account with those authenticators only that are not suspended.
// What a proof marks in them, or in the recovery codes, it marks in a too: both
// share what the authenticators and codes point to.
func (a *Account) Usable() Account {
	usable := *a
	usable.Authenticators = make([]Authenticator, 0, len(a.Authenticators))
	for _, x := range a.Authenticators {
		if x.SuspendedAt.IsZero() {
			usable.Authenticators = append(usable.Authenticators, x)
		}
	}
	return usable
}

// Find returns the authenticator with the id, or nil.
func (a *Account) Find(id string) *Authenticator {
	for i := range a.Authenticators {
		if a.Authenticators[i].ID == id {
			return &a.Authenticators[i]
		}
	}
	return nil
}

// Attempts counts wrong answers, stored under "a/" holder budget. It is raised
// before an answer is looked at, and never runs out.
type Attempts struct {
	// Wrong counts by means of proof, since only a success with the same one
	// forgives its own.
	Wrong map[string]int `json:"wrong"`
	// NotBefore is when the next answer is looked at.
	NotBefore time.Time `json:"not_before,omitzero"`
}

// Total is all wrong answers that stand.
func (a Attempts) Total() int {
	n := 0
	for _, w := range a.Wrong {
		n += w
	}
	return n
}

// Challenge is one pending step-up, stored under "c/" holder browser id.
type Challenge struct {
	Action  string        `json:"action"`
	Label   string        `json:"label,omitempty"`
	Use     string        `json:"use"`
	TTL     time.Duration `json:"ttl"`
	Methods []string      `json:"methods,omitempty"`
	// Session and Request are the binding that the grant will have.
	Session []byte `json:"session,omitempty"`
	Request []byte `json:"request,omitempty"`
	// Operation is what a step_up.manage challenge is for.
	Operation string `json:"operation,omitempty"`
	// Site is the scheme and host that the challenge belongs to, ReturnTo the
	// path and query there to which the browser is sent afterwards (S09).
	Site     string `json:"site"`
	ReturnTo string `json:"return_to,omitempty"`
	// Held reports that a request and its ticket are stored under the same name, or
	// under the id Ticket of an earlier challenge, which ran out.
	Held   bool   `json:"held,omitempty"`
	Ticket []byte `json:"ticket,omitempty"`
	// Foreign reports that another site sent the browser, From which one, where
	// that is known.
	Foreign bool   `json:"foreign,omitempty"`
	From    string `json:"from,omitempty"`
	// OpenUntil reports that a proof for another challenge of the browser has opened
	// the action until then: there is nothing left to ask.
	OpenUntil time.Time `json:"open_until,omitzero"`
	// Passed tells that the challenge is over, and known only so that its other
	// windows are sent on.
	Passed bool `json:"passed,omitempty"`
	// Show is what the challenge's page shows of the request that Request is
	// the digest of.
	Show      []Shown   `json:"show,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	Expires   time.Time `json:"expires"`
}

// Shown is one occurrence of a field in a request, made fit to be read: without
// characters that do not show, and cut where it is long.
type Shown struct {
	Name  string `json:"name"`
	Label string `json:"label,omitempty"` // what the operator calls the field
	Value string `json:"value"`
	Cut   bool   `json:"cut,omitempty"` // Value is only its beginning
}

// Pending is an enrollment that waits for its first proof, stored under "p/"
// holder id.
type Pending struct {
	// Type is the type that the authenticator will have.
	Type    string `json:"type"`
	Label   string `json:"label"`
	Browser []byte `json:"browser"`
	// Name is what the authenticator is to call the subject.
	Name string `json:"name,omitempty"`
	TOTP TOTP   `json:"totp,omitzero"`
	// Dest is where codes go, with the one that was sent last, and Tries the codes
	// that were compared with it.
	Dest  Destination `json:"phone,omitzero"`
	Tries int         `json:"tries,omitempty"`
	// Site is the site that a passkey is made for.
	Site string `json:"site,omitempty"`
	// Set is Account.Set as it was when the enrollment began.
	Set uint64 `json:"set"`
	// Invite is the hash of the invite that allowed it, if one did.
	Invite []byte `json:"invite,omitempty"`
	// Managed reports that a grant for step_up.manage allowed it, Key the API key
	// that did.
	Managed bool   `json:"managed,omitempty"`
	Key     string `json:"key,omitempty"`
	// Origin is what the authenticator's will be, with Managed.
	Origin  *Origin   `json:"origin,omitempty"`
	Expires time.Time `json:"expires"`
}

// Invite is leave to enroll, stored under "i/" holder SHA-256-of-code.
type Invite struct {
	CreatedAt time.Time `json:"created_at"`
	Expires   time.Time `json:"expires"`
}

// Device remembers that a subject once passed a step-up in a browser, stored
// under "d/" holder browser. It gives that browser a budget of its own.
type Device struct {
	Expires time.Time `json:"expires"`
}
