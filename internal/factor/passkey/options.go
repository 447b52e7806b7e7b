package passkey

import (
	"cmp"
	"encoding/json"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
)

// timeout is how long a browser waits for the authenticator. It is a hint; what
// ends a ceremony is the end of its challenge or enrollment.
const timeout = 5 * time.Minute

// algorithms are the kinds of keys that are taken, the preferred one first (RFC
// 9053, RFC 8812). Nearly all authenticators know ES256; those of Windows with an
// old TPM know only RS256.
var algorithms = []webauthncose.COSEAlgorithmIdentifier{webauthncose.AlgES256, webauthncose.AlgEdDSA, webauthncose.AlgRS256}

// Ask returns PublicKeyCredentialRequestOptions that name the account's passkeys
// for the site, so that the browser offers no other. It fails with
// ceremony.ErrMethodNotAccepted where there are none.
func (f Factor) Ask(db *records.DB, a *records.Account, challenge, site string) (ceremony.Asked, error) {
	rp, ok := f.relyingParty(site)
	keys := keysOf(a, rp)
	if !ok || len(keys) == 0 {
		return ceremony.Asked{}, ceremony.ErrMethodNotAccepted
	}
	asked := challengeFor(db, a, protocol.AssertCeremony, challenge, site)
	options, err := json.Marshal(protocol.PublicKeyCredentialRequestOptions{
		Challenge:          asked[:],
		Timeout:            int(timeout / time.Millisecond),
		RelyingPartyID:     rp,
		AllowedCredentials: describe(keys),
		UserVerification:   protocol.UserVerificationRequirement(f.verification()),
	})
	return ceremony.Asked{Options: options}, err
}

// create returns PublicKeyCredentialCreationOptions that exclude the account's
// passkeys for the site: an authenticator that has one makes no second. It fails
// with ceremony.ErrMethodNotAccepted where the site can have no passkeys.
func (f Factor) create(db *records.DB, a *records.Account, enrollment, site string) (json.RawMessage, error) {
	rp, ok := f.relyingParty(site)
	if !ok {
		return nil, ceremony.ErrMethodNotAccepted
	}
	asked, handle := challengeFor(db, a, protocol.CreateCeremony, enrollment, site), userHandle(db, a)
	named := func(name string) protocol.CredentialEntity { return protocol.CredentialEntity{Name: name} }
	options := protocol.PublicKeyCredentialCreationOptions{
		RelyingParty: protocol.RelyingPartyEntity{CredentialEntity: named(cmp.Or(f.Name, rp)), ID: rp},
		User: protocol.UserEntity{
			CredentialEntity: named(a.User), DisplayName: a.User, ID: protocol.URLEncodedBase64(handle[:]),
		},
		Challenge:             asked[:],
		Timeout:               int(timeout / time.Millisecond),
		CredentialExcludeList: describe(keysOf(a, rp)),
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			AuthenticatorAttachment: f.attachment(),
			// Nobody is asked for a name here, since who it is is known before:
			// a passkey that cannot be discovered does too.
			RequireResidentKey: protocol.ResidentKeyNotRequired(),
			ResidentKey:        protocol.ResidentKeyRequirementPreferred,
			UserVerification:   protocol.UserVerificationRequirement(f.verification()),
		},
		Attestation: protocol.PreferNoAttestation,
	}
	for _, alg := range algorithms {
		options.Parameters = append(options.Parameters,
			protocol.CredentialParameter{Type: protocol.PublicKeyCredentialType, Algorithm: alg})
	}
	return json.Marshal(options)
}

// challengeFor is the WebAuthn challenge of a ceremony: 256 bits that nobody
// without the database's key can foretell, although they follow from the id of
// the step-up's challenge, or of the pending enrollment. That id is random and is
// deleted in the Apply that a right answer leads to. So an answer is good for no
// other challenge, person, site or kind of ceremony, and after it passed, for
// nothing: a replayed one finds no challenge to answer.
func challengeFor(db *records.DB, a *records.Account, kind protocol.CeremonyType, id, site string) [32]byte {
	h := holder(db, a)
	return db.MAC("passkey challenge", []byte(kind), h[:], []byte(id), []byte(site))
}

// userHandle names the account to authenticators. It tells nothing of the person
// to who finds one (WebAuthn section 14.6.1), and is never made twice.
func userHandle(db *records.DB, a *records.Account) [32]byte {
	h := holder(db, a)
	return db.MAC("passkey user", h[:])
}

func holder(db *records.DB, a *records.Account) grants.Holder {
	return db.Holder(grants.Subject{Tenant: a.Tenant, User: a.User})
}

func describe(keys []*records.Authenticator) []protocol.CredentialDescriptor {
	var list []protocol.CredentialDescriptor
	for _, x := range keys {
		d := protocol.CredentialDescriptor{Type: protocol.PublicKeyCredentialType, CredentialID: x.Passkey.CredentialID}
		for _, t := range x.Passkey.Transports {
			d.Transport = append(d.Transport, protocol.AuthenticatorTransport(t))
		}
		list = append(list, d)
	}
	return list
}

func (f Factor) verification() string {
	if f.verifiesUser() {
		return Required
	}
	return f.UserVerification
}

func (f Factor) attachment() protocol.AuthenticatorAttachment {
	switch f.Attachment {
	case Platform:
		return protocol.Platform
	case CrossPlatform:
		return protocol.CrossPlatform
	}
	return ""
}
