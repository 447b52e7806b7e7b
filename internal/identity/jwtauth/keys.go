package jwtauth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Key verifies signatures with the algorithms of its kind, and no others.
type Key struct {
	id     string   // "kid" in a key set
	fits   []string // the algorithms of its kind; the first is the usual one
	public any      // *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey, or []byte: a shared secret
}

// minRSA is the least size of an RSA key (RFC 7518 section 3.3), in bits.
const minRSA = 2048

// The algorithms of each kind of key (RFC 7518 section 3.1, RFC 8037).
var (
	algorithmsHS = []string{"HS256", "HS384", "HS512"}
	algorithmsRS = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
)

// Known are all algorithms that can be accepted.
var Known = slices.Concat(algorithmsHS, algorithmsRS, []string{"ES256", "ES384", "ES512", "EdDSA"})

// What a key can be refused for. None of them quotes it.
var (
	errPrivate = errors.New("this is a private key: the gateway only verifies, so give it the public key alone")
	errPEM     = errors.New("this is not one public key or certificate in PEM")
	errSmall   = errors.New("the RSA key has less than 2048 bits")
	errKind    = errors.New("keys of this kind are not known: RSA, EC on P-256, P-384 or P-521, and Ed25519 are")
	errSecret  = errors.New("a shared secret has at least 32 random bytes: a shorter one can be guessed from a single token")
)

// ParseKey reads a public key or a certificate in PEM, or else a shared secret:
// the text as it is, without the line break at its end.
func ParseKey(text string) (Key, error) {
	if !strings.Contains(text, "-----BEGIN ") {
		secret := []byte(strings.TrimRight(text, "\r\n"))
		if len(secret) < 32 {
			return Key{}, errSecret
		}
		return Key{public: secret, fits: algorithmsHS}, nil
	}
	block, rest := pem.Decode([]byte(strings.TrimSpace(text)))
	if block == nil || len(strings.TrimSpace(string(rest))) > 0 {
		return Key{}, errPEM
	}
	switch block.Type {
	case "PUBLIC KEY":
		public, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return Key{}, errPEM
		}
		return keyOf(public)
	case "RSA PUBLIC KEY":
		public, err := x509.ParsePKCS1PublicKey(block.Bytes)
		if err != nil {
			return Key{}, errPEM
		}
		return keyOf(public)
	case "CERTIFICATE":
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return Key{}, errPEM
		}
		return keyOf(certificate.PublicKey)
	}
	if strings.Contains(block.Type, "PRIVATE KEY") {
		return Key{}, errPrivate
	}
	return Key{}, errPEM
}

// keyOf takes a public key with the algorithms of its kind.
func keyOf(public any) (Key, error) {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() < minRSA {
			return Key{}, errSmall
		}
		return Key{public: k, fits: algorithmsRS}, nil
	case *ecdsa.PublicKey:
		// The curve belongs to the algorithm (RFC 7518 section 3.4).
		switch k.Curve {
		case elliptic.P256():
			return Key{public: k, fits: []string{"ES256"}}, nil
		case elliptic.P384():
			return Key{public: k, fits: []string{"ES384"}}, nil
		case elliptic.P521():
			return Key{public: k, fits: []string{"ES512"}}, nil
		}
	case ed25519.PublicKey:
		return Key{public: k, fits: []string{"EdDSA"}}, nil
	}
	return Key{}, errKind
}

// accepts are the key's algorithms among those that were listed, or its usual one.
func (k Key) accepts(listed []string) []string {
	if len(listed) == 0 {
		return k.fits[:1]
	}
	var both []string
	for _, a := range k.fits {
		if slices.Contains(listed, a) {
			both = append(both, a)
		}
	}
	return both
}

// algorithms are all that some token may use.
func (v *Verifier) algorithms() []string {
	if len(v.o.Algorithms) > 0 {
		return v.o.Algorithms
	}
	var all []string
	for _, k := range v.o.Keys {
		all = append(all, k.accepts(nil)...)
	}
	if v.o.KeySet != nil {
		all = Known[len(algorithmsHS):] // which one, each key says
	}
	return all
}

// checkAlgorithms refuses algorithms that no key fits, and keys that no algorithm
// fits: such a key would seem to be in use.
func (o *Options) checkAlgorithms() error {
	for _, a := range o.Algorithms {
		switch {
		case o.KeySet != nil && slices.Contains(algorithmsHS, a):
			return fmt.Errorf("algorithm %s needs a shared secret, and a jwks URL is read by everybody: take it out", a)
		case len(o.Keys) > 0 && !slices.ContainsFunc(o.Keys, func(k Key) bool { return slices.Contains(k.fits, a) }):
			return fmt.Errorf("algorithm %s fits none of the keys: take it out, or add its key", a)
		}
	}
	for i, k := range o.Keys {
		if len(k.accepts(o.Algorithms)) == 0 {
			return fmt.Errorf("key %d fits none of the algorithms: add one of %s", i+1, strings.Join(k.fits, ", "))
		}
		if secret, ok := k.public.([]byte); ok {
			for _, a := range k.accepts(o.Algorithms) {
				// RFC 7518 section 3.2: as long as the hash.
				if need := map[string]int{"HS256": 32, "HS384": 48, "HS512": 64}[a]; len(secret) < need {
					return fmt.Errorf("algorithm %s needs a secret of at least %d bytes", a, need)
				}
			}
		}
	}
	return nil
}
