package passkey

import (
	"bytes"
	"crypto/sha256"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
)

// maxPublicKey bounds a stored public key, in bytes: an account's passkeys lie in
// one record. An RSA key of 8192 bits has half of it.
const maxPublicKey = 2 << 10

// register reads the browser's answer to create (WebAuthn section 7.1): what
// AuthenticatorAttestationResponse.toJSON gives.
func (f Factor) register(db *records.DB, a *records.Account, enrollment, site, answer string) (records.Passkey, error) {
	rp, ok := f.relyingParty(site)
	if !ok {
		return records.Passkey{}, ceremony.ErrInvalidCode
	}
	// An error of the library quotes what it read, so none is handed on.
	parsed, err := protocol.ParseCredentialCreationResponseBytes([]byte(answer))
	if err != nil {
		return records.Passkey{}, ceremony.ErrInvalidCode
	}
	said, object := &parsed.Response.CollectedClientData, &parsed.Response.AttestationObject
	data := &object.AuthData
	if !saysSo(said, protocol.CreateCeremony, challengeFor(db, a, protocol.CreateCeremony, enrollment, site), site) ||
		!f.vouches(data, rp) ||
		!bytes.Equal(parsed.RawID, data.AttData.CredentialID) ||
		hasCredential(a, data.AttData.CredentialID) {
		return records.Passkey{}, ceremony.ErrInvalidCode
	}
	key, err := webauthncose.ParsePublicKey(data.AttData.CredentialPublicKey)
	if err != nil || !isAllowed(key) || len(data.AttData.CredentialPublicKey) > maxPublicKey {
		return records.Passkey{}, ceremony.ErrInvalidCode
	}
	// No statement was asked for, and the browser takes out that of a maker. One
	// that is there must hold, such as the key's own signature;
	// it is trusted no more for it.
	hash := sha256.Sum256(parsed.Raw.AttestationResponse.ClientDataJSON)
	if err := object.VerifyAttestation(hash[:], nil, protocol.AttestationPolicy{}, protocol.SignaturePolicy{}); err != nil {
		return records.Passkey{}, ceremony.ErrInvalidCode
	}
	return records.Passkey{
		CredentialID: data.AttData.CredentialID,
		PublicKey:    data.AttData.CredentialPublicKey,
		RelyingParty: rp,
		AAGUID:       data.AttData.AAGUID,
		Transports:   knownTransports(parsed.Response.Transports),
		SignCount:    data.Counter,
		Synced:       data.Flags.HasBackupEligible(),
		UserVerified: data.Flags.HasUserVerified(),
	}, nil
}

// hasCredential reports whether the account has the credential, for whatever site.
// Other accounts are not searched: a proof is held against
// the passkeys of its own account only, so that the id of another's is worth
// nothing.
func hasCredential(a *records.Account, id []byte) bool {
	return slices.ContainsFunc(a.Authenticators, func(x records.Authenticator) bool {
		return x.Passkey != nil && bytes.Equal(x.Passkey.CredentialID, id)
	})
}

// knownTransports are those that the specification names (section 5.8.4), each
// once. They are hints for later, and come unsigned from the client.
func knownTransports(said []protocol.AuthenticatorTransport) []string {
	var known []string
	for _, t := range []protocol.AuthenticatorTransport{
		protocol.USB, protocol.NFC, protocol.BLE, protocol.SmartCard, protocol.Hybrid, protocol.Internal,
	} {
		if slices.Contains(said, t) {
			known = append(known, string(t))
		}
	}
	return known
}
