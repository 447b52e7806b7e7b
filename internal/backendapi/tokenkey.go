package backendapi

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"sync"
)

// tokenKey is a key whose private half nobody has: the gateway signs no tokens,
// but clients of the step-up API fetch a key when they start, and end where they
// get none. It is made when it is first asked for, and is the process's own.
var tokenKey = sync.OnceValues(func() (*rsa.PublicKey, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	return &key.PublicKey, nil
})

// tokenVerificationMetadata tells the key, as SubjectPublicKeyInfo (RFC 5280
// section 4.1.2.7) in PEM.
func (c *call) tokenVerificationMetadata() error {
	key, err := tokenKey()
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, struct {
		PEM string `json:"verifier_key_pem"`
	}{string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))})
}
