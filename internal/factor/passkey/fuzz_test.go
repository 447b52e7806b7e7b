package passkey_test

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/passkey"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
)

// FuzzAnswer reads any text as an answer of either kind. None of the seeds' own
// challenge ever comes up again, so all are refused.
func FuzzAnswer(f *testing.F) {
	db, factor := ceremonytest.New(f).DB, passkey.Factor{}
	a, d := person("alice"), ceremonytest.NewDevice(f, kinds[0])
	options, err := create(factor, db, a, enrollment, site)
	if err != nil {
		f.Fatal(err)
	}
	registration := d.Create(options)
	key, err := register(factor, db, a, enrollment, site, registration)
	if err != nil {
		f.Fatal(err)
	}
	a.Authenticators = []records.Authenticator{{Passkey: &key}}
	request, err := ask(factor, db, a, challenge, site)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{registration, d.Answer(request), "", "{}", `{"id":"","type":"public-key"}`, `{"response":{"clientDataJSON":null}}`, `[]`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, answer string) {
		if _, err := register(factor, db, a, "another", site, answer); err != ceremony.ErrInvalidCode {
			t.Error(err)
		}
		if _, err := factor.Match(db, a, ceremony.Attempt{Challenge: "another", Site: site, Answer: answer}); err != ceremony.ErrInvalidCode {
			t.Error(err)
		}
	})
}

// FuzzAttestationObject reads any bytes as the CBOR of a new passkey, in an answer
// that is right otherwise.
func FuzzAttestationObject(f *testing.F) {
	db, factor, a := ceremonytest.New(f).DB, passkey.Factor{}, person("alice")
	options, err := create(factor, db, a, enrollment, site)
	if err != nil {
		f.Fatal(err)
	}
	for _, kind := range kinds {
		f.Add(responseOf(f, ceremonytest.NewDevice(f, kind).Create(options), "attestationObject"), []byte("credential"))
	}
	f.Add([]byte{0xa3, 0x63, 'f', 'm', 't', 0x64, 'n', 'o', 'n', 'e', 0x67, 'a', 't', 't', 'S', 't', 'm', 't', 0xa0}, []byte("credential"))
	client := clientData("webauthn.create", options)
	f.Fuzz(func(t *testing.T, object, credential []byte) {
		key, err := register(factor, db, a, enrollment, site, answerOf(client, credential, map[string]any{
			"attestationObject": base64.RawURLEncoding.EncodeToString(object),
		}))
		onlyRefuses(t, err)
		if err == nil && (len(key.CredentialID) == 0 || len(key.CredentialID) > 1023 || len(key.PublicKey) == 0 || !key.UserVerified) {
			t.Errorf("%+v", key)
		}
	})
}

// FuzzAuthenticatorData reads any bytes as what an authenticator signs, and signs
// them: only what stands in them decides.
func FuzzAuthenticatorData(f *testing.F) {
	db, factor := ceremonytest.New(f).DB, passkey.Factor{}
	a, d := person("alice"), ceremonytest.NewDevice(f, kinds[0])
	options, err := create(factor, db, a, enrollment, site)
	if err != nil {
		f.Fatal(err)
	}
	key, err := register(factor, db, a, enrollment, site, d.Create(options))
	if err != nil {
		f.Fatal(err)
	}
	a.Authenticators = []records.Authenticator{{Passkey: &key}}
	request, err := ask(factor, db, a, challenge, site)
	if err != nil {
		f.Fatal(err)
	}
	rp := sha256.Sum256([]byte("app.test"))
	f.Add(slices.Concat(rp[:], []byte{5, 0, 0, 0, 1}))
	f.Add(slices.Concat(rp[:], []byte{5 | 128, 0, 0, 0, 1, 0xa1, 0x61, 'x', 0xf5}))
	f.Add(slices.Concat(rp[:], []byte{5 | 64, 0, 0, 0, 1}, make([]byte, 40)))
	client := clientData("webauthn.get", request)
	hash := sha256.Sum256(client)
	f.Fuzz(func(t *testing.T, data []byte) {
		digest := sha256.Sum256(slices.Concat(data, hash[:]))
		signature, err := d.Key.Key.Sign(digest[:])
		if err != nil {
			t.Fatal(err)
		}
		fresh := key
		account := *a
		account.Authenticators = []records.Authenticator{{Passkey: &fresh}}
		_, err = factor.Match(db, &account, ceremony.Attempt{Challenge: challenge, Site: site, Answer: answerOf(client, key.CredentialID, map[string]any{
			"authenticatorData": base64.RawURLEncoding.EncodeToString(data), "signature": base64.RawURLEncoding.EncodeToString(signature),
		})})
		onlyRefuses(t, err)
		if err == nil && (len(data) < 37 || !slices.Equal(data[:32], rp[:]) || data[32]&(1|4|8|16) != 1|4) {
			t.Errorf("accepted: %x", data)
		}
	})
}
