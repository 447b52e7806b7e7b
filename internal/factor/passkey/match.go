package passkey

import (
	"crypto/subtle"

	"github.com/go-webauthn/webauthn/protocol"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
)

// Match reads the browser's answer to Ask (WebAuthn section 7.2): what
// AuthenticatorAssertionResponse.toJSON gives. A right answer raises the passkey's
// counter; nothing else is marked, but that a counter went backwards.
func (f Factor) Match(db *records.DB, a *records.Account, try ceremony.Attempt) (ceremony.Proof, error) {
	rp, ok := f.relyingParty(try.Site)
	if !ok || try.Challenge == "" {
		return ceremony.Proof{}, ceremony.ErrInvalidCode
	}
	// An error of the library quotes what it read, so none is handed on.
	parsed, err := protocol.ParseCredentialRequestResponseBytes([]byte(try.Answer))
	if err != nil {
		return ceremony.Proof{}, ceremony.ErrInvalidCode
	}
	// The passkeys that were asked for are the person's own: another's is not
	// found, whatever it signs.
	used := findKey(keysOf(a, rp), parsed.RawID)
	if used == nil {
		return ceremony.Proof{}, ceremony.ErrInvalidCode
	}
	key, said, data := used.Passkey, &parsed.Response.CollectedClientData, &parsed.Response.AuthenticatorData
	if !isOurs(userHandle(db, a), parsed.Response.UserHandle) ||
		!saysSo(said, protocol.AssertCeremony, challengeFor(db, a, protocol.AssertCeremony, try.Challenge, try.Site), try.Site) ||
		!f.vouches(data, rp) ||
		// A passkey is made to be copied or not, for good.
		data.Flags.HasBackupEligible() != key.Synced ||
		!isSigned(key.PublicKey, parsed.Raw.AssertionResponse.AuthenticatorData, parsed.Raw.AssertionResponse.ClientDataJSON, parsed.Response.Signature) {
		return ceremony.Proof{}, ceremony.ErrInvalidCode
	}
	// Last, since only who has the key can say so: a counter that did not rise
	// tells of a second copy (section 6.1.1). Which of the two is the thief's
	// nobody knows. Authenticators that do not count stay at zero.
	if (data.Counter != 0 || key.SignCount != 0) && data.Counter <= key.SignCount {
		key.Suspect = true
		return ceremony.Proof{}, ceremony.ErrCloned
	}
	key.SignCount = data.Counter
	return ceremony.Proof{Method: key.Methods(), Authenticator: used.ID}, nil
}

// isOurs reports whether the user handle that a discoverable passkey keeps is the
// account's. Others keep none and give none.
func isOurs(ours [32]byte, given []byte) bool {
	return len(given) == 0 || subtle.ConstantTimeCompare(ours[:], given) == 1
}
