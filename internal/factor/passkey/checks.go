package passkey

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"math/big"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
)

// saysSo holds what the browser says about the ceremony, and what the
// authenticator signs, against what was asked: its kind and challenge, and that it
// happened on this site, not on one that looks like it. The origin is compared to
// the letter, since browsers write it in one way; the library would take other
// spellings.
func saysSo(d *protocol.CollectedClientData, kind protocol.CeremonyType, challenge [32]byte, site string) bool {
	asked := base64.RawURLEncoding.EncodeToString(challenge[:])
	return d.Type == kind &&
		subtle.ConstantTimeCompare([]byte(d.Challenge), []byte(asked)) == 1 &&
		d.Origin == site &&
		// Not in a frame of another site, whose page could lay itself over ours.
		!d.CrossOrigin && d.TopOrigin == ""
}

// vouches checks what the authenticator says about itself against what is demanded
// of it: that the key belongs to this relying party, that a person was there and,
// where that is required, was verified.
func (f Factor) vouches(d *protocol.AuthenticatorData, rp string) bool {
	hash := sha256.Sum256([]byte(rp))
	return bytes.Equal(d.RPIDHash, hash[:]) &&
		d.Flags.HasUserPresent() &&
		(d.Flags.HasUserVerified() || !f.verifiesUser()) &&
		// What is not eligible for backup cannot be backed up.
		(d.Flags.HasBackupEligible() || !d.Flags.HasBackupState())
}

// minRSA is the shortest RSA key that is taken, in bits (NIST SP 800-131A).
const minRSA = 2048

// isAllowed reports whether a key is of one of the algorithms that were asked for.
// That it is a good one of its kind (a point on its curve) was checked when it was
// parsed.
func isAllowed(key any) bool {
	var alg int64
	switch k := key.(type) {
	case webauthncose.EC2PublicKeyData:
		alg = k.Algorithm
	case webauthncose.OKPPublicKeyData:
		alg = k.Algorithm
	case webauthncose.RSAPublicKeyData:
		if new(big.Int).SetBytes(k.Modulus).BitLen() < minRSA {
			return false
		}
		alg = k.Algorithm
	default:
		return false
	}
	return slices.Contains(algorithms, webauthncose.COSEAlgorithmIdentifier(alg))
}

// isSigned verifies the signature over what the authenticator and the browser say.
func isSigned(publicKey, authenticatorData, clientData, signature []byte) bool {
	key, err := webauthncose.ParsePublicKey(publicKey)
	if err != nil || !isAllowed(key) {
		return false
	}
	hash := sha256.Sum256(clientData)
	ok, err := webauthncose.VerifySignature(key, slices.Concat(authenticatorData, hash[:]), signature)
	return err == nil && ok
}
