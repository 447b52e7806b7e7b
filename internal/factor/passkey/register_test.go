package passkey_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/passkey"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
)

// made is an answer to creation options, put together by hand: for what the
// virtual authenticator cannot be told to do.
type made struct {
	credential []byte
	key        map[int64]any // COSE
	flags      byte
	format     string
	statement  map[string]any
	transports []string
}

func newMade(key map[int64]any) made {
	return made{credential: []byte("credential"), key: key, flags: 1 | 4 | 64, format: "none", statement: map[string]any{}}
}

func (m made) answer(t *testing.T, options json.RawMessage) string {
	t.Helper()
	key, err := webauthncbor.Marshal(m.key)
	if err != nil {
		t.Fatal(err)
	}
	rp := sha256.Sum256([]byte("app.test"))
	data := slices.Concat(rp[:], []byte{m.flags}, make([]byte, 4), make([]byte, 16),
		binary.BigEndian.AppendUint16(nil, uint16(len(m.credential))), m.credential, key)
	object, err := webauthncbor.Marshal(map[string]any{"fmt": m.format, "attStmt": m.statement, "authData": data})
	if err != nil {
		t.Fatal(err)
	}
	return answerOf(clientData("webauthn.create", options), m.credential, map[string]any{
		"attestationObject": base64.RawURLEncoding.EncodeToString(object), "transports": m.transports,
	})
}

func clientData(kind string, options json.RawMessage) []byte {
	var asked struct{ Challenge string }
	if err := json.Unmarshal(options, &asked); err != nil {
		panic(err)
	}
	return []byte(`{"type":"` + kind + `","challenge":"` + asked.Challenge + `","origin":"` + site + `","crossOrigin":false,"other_keys_can_be_added_here":"do not compare clientDataJSON against a template"}`)
}

// answerOf is what PublicKeyCredential.toJSON gives.
func answerOf(client, credential []byte, response map[string]any) string {
	id := base64.RawURLEncoding.EncodeToString(credential)
	response["clientDataJSON"] = base64.RawURLEncoding.EncodeToString(client)
	answer, err := json.Marshal(map[string]any{"id": id, "rawId": id, "type": "public-key",
		"authenticatorAttachment": "platform", "clientExtensionResults": map[string]any{}, "response": response})
	if err != nil {
		panic(err)
	}
	return string(answer)
}

func es256(t *testing.T) map[int64]any {
	t.Helper()
	return elliptical(t, elliptic.P256(), -7, 1)
}

func elliptical(t *testing.T, curve elliptic.Curve, alg, crv int64) map[int64]any {
	t.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := k.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	half := len(point) / 2
	return map[int64]any{1: 2, 3: alg, -1: crv, -2: point[1 : 1+half], -3: point[1+half:]}
}

func rsaKey(t *testing.T, alg int64, bits int) map[int64]any {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return map[int64]any{1: 3, 3: alg, -1: k.N.Bytes(), -2: []byte{1, 0, 1}}
}

func TestPasskeyRegistration(t *testing.T) {
	b := newBed(t, passkey.Factor{})
	m := newMade(es256(t))
	m.transports = []string{"internal", "cable", "nfc", "internal", "carrier pigeon", strings.Repeat("x", 1000)}
	key, err := register(b.Factor, b.db, person("alice"), enrollment, site, m.answer(t, b.creation(person("alice"))))
	if err != nil || string(key.CredentialID) != "credential" || !slices.Equal(key.Transports, []string{"nfc", "hybrid", "internal"}) || key.Synced || !key.UserVerified {
		t.Errorf("%+v, %v", key, err)
	}
	for name, kind := range map[string]map[int64]any{"RS256": rsaKey(t, -257, 2048)} {
		if _, err := register(b.Factor, b.db, person("alice"), enrollment, site, newMade(kind).answer(t, b.creation(person("alice")))); err != nil {
			t.Error(name, err)
		}
	}
}

func TestPasskeyOfUnknownAlgorithm(t *testing.T) {
	b := newBed(t, passkey.Factor{})
	offCurve := es256(t)
	offCurve[-3] = make([]byte, 32)
	short := es256(t)
	short[-2] = short[-2].([]byte)[:31]
	mixed := es256(t)
	mixed[3] = int64(-8)
	for name, key := range map[string]map[int64]any{
		"ES384":              elliptical(t, elliptic.P384(), -35, 2),
		"ES512":              elliptical(t, elliptic.P521(), -36, 3),
		"ES256 over P-384":   elliptical(t, elliptic.P384(), -7, 2),
		"RS1":                rsaKey(t, -65535, 2048),
		"PS256":              rsaKey(t, -37, 2048),
		"RS256, 1024 bits":   rsaKey(t, -257, 1024),
		"RS256, too long":    {1: 3, 3: -257, -1: slices.Repeat([]byte{0xff}, 4096), -2: []byte{1, 0, 1}},
		"symmetric":          {1: 4, 3: 5, -1: make([]byte, 32)},
		"Ed448":              {1: 1, 3: -8, -1: 7, -2: make([]byte, 57)},
		"not on its curve":   offCurve,
		"a short coordinate": short,
		"EdDSA of a point":   mixed,
		"no algorithm":       {1: 2, -1: 1, -2: make([]byte, 32), -3: make([]byte, 32)},
		"nothing":            {},
	} {
		if _, err := register(b.Factor, b.db, person("alice"), enrollment, site, newMade(key).answer(t, b.creation(person("alice")))); err != ceremony.ErrInvalidCode {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The virtual authenticator has no key of this kind.
func TestPasskeyEd25519(t *testing.T) {
	b := newBed(t, passkey.Factor{})
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := person("alice")
	key, err := register(b.Factor, b.db, a, enrollment, site, newMade(map[int64]any{1: 1, 3: -8, -1: 6, -2: []byte(public)}).answer(t, b.creation(a)))
	if err != nil {
		t.Fatal(err)
	}
	a.Authenticators = []records.Authenticator{{ID: "a", Passkey: &key}}
	client := clientData("webauthn.get", b.request(a))
	rp, hash := sha256.Sum256([]byte("app.test")), sha256.Sum256(client)
	data := slices.Concat(rp[:], []byte{1 | 4, 0, 0, 0, 0})
	signature := ed25519.Sign(private, slices.Concat(data, hash[:]))
	answer := func(signature []byte) string {
		return answerOf(client, key.CredentialID, map[string]any{"userHandle": nil,
			"authenticatorData": base64.RawURLEncoding.EncodeToString(data), "signature": base64.RawURLEncoding.EncodeToString(signature)})
	}
	if _, err := b.match(a, answer(signature)); err != nil {
		t.Error(err)
	}
	signature[0]++
	b.refuses("a changed signature", a, ceremony.Attempt{Challenge: challenge, Site: site, Answer: answer(signature)})
}

func TestPasskeyRegistrationRefused(t *testing.T) {
	b := newBed(t, passkey.Factor{})
	a := person("alice")
	options := b.creation(a)
	edited := func(edit func(*made)) string {
		m := newMade(es256(t))
		edit(&m)
		return m.answer(t, options)
	}
	other := func(a *records.Account, enrollment, at string) string {
		options, err := create(b.Factor, b.db, a, enrollment, at)
		if err != nil {
			t.Fatal(err)
		}
		return newMade(es256(t)).answer(t, options)
	}
	known := ceremonytest.NewDevice(t, kinds[0])
	good := known.Create(options)
	selfSigned := ceremonytest.NewDevice(t, kinds[0])
	for name, answer := range map[string]string{
		"nobody was there":            edited(func(m *made) { m.flags &^= 1 }),
		"no user verification":        edited(func(m *made) { m.flags &^= 4 }),
		"backed up but not eligible":  edited(func(m *made) { m.flags |= 16 }),
		"no credential":               edited(func(m *made) { m.flags &^= 64 }),
		"too long a credential id":    edited(func(m *made) { m.credential = make([]byte, 1024) }),
		"empty credential id":         edited(func(m *made) { m.credential = nil }),
		"none with a statement":       edited(func(m *made) { m.statement = map[string]any{"sig": []byte{1}} }),
		"unknown statement":           edited(func(m *made) { m.format = "mine" }),
		"self-signed by nobody":       edited(func(m *made) { m.format, m.statement = "packed", map[string]any{"alg": -7, "sig": []byte{1}} }),
		"for another enrollment":      other(a, "enrollment-2", site),
		"for another person":          other(person("bob"), enrollment, site),
		"for another site":            other(a, enrollment, "https://other.test"),
		"an assertion":                ceremonytest.NewDevice(t, kinds[0]).Answer(options),
		"self-signed, then relabeled": relabel(t, selfSigned.Create(options), known.Key.ID),
		"empty":                       "",
		"null":                        "null",
		"twice in one":                good + good,
	} {
		if key, err := register(b.Factor, b.db, a, enrollment, site, answer); err != ceremony.ErrInvalidCode || !reflect.DeepEqual(key, records.Passkey{}) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The device's own authenticator is not taken a second time, for whatever site.
	if _, err := register(b.Factor, b.db, a, enrollment, site, good); err != nil {
		t.Fatal(err)
	}
	a.Authenticators = []records.Authenticator{{Passkey: &records.Passkey{CredentialID: known.Key.ID, RelyingParty: "other.test"}}}
	if _, err := register(b.Factor, b.db, a, enrollment, site, good); err != ceremony.ErrInvalidCode {
		t.Error("an excluded credential:", err)
	}
}

// relabel returns the answer under the id of another credential.
func relabel(t *testing.T, answer string, id []byte) string {
	t.Helper()
	var whole map[string]any
	if err := json.Unmarshal([]byte(answer), &whole); err != nil {
		t.Fatal(err)
	}
	whole["id"] = base64.RawURLEncoding.EncodeToString(id)
	whole["rawId"] = whole["id"]
	out, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestPasskeyOptions(t *testing.T) {
	b := newBed(t, passkey.Factor{Name: "Acme", Attachment: passkey.CrossPlatform})
	a := person("alice")
	first := string(b.creation(a))
	for _, part := range []string{
		`"rp":{"name":"Acme","id":"app.test"}`, `"name":"alice","displayName":"alice"`, `"timeout":300000`, `"attestation":"none"`,
		`"pubKeyCredParams":[{"type":"public-key","alg":-7},{"type":"public-key","alg":-8},{"type":"public-key","alg":-257}]`,
		`"authenticatorSelection":{"authenticatorAttachment":"cross-platform","requireResidentKey":false,"residentKey":"preferred","userVerification":"required"}`,
	} {
		if !strings.Contains(first, part) {
			t.Errorf("no %s in %s", part, first)
		}
	}
	if strings.Contains(first, "excludeCredentials") || strings.Contains(first, "=") {
		t.Error(first)
	}
	if string(b.creation(a)) != first {
		t.Error("asked again, the options differ")
	}
	var ids struct {
		Challenge string
		User      struct{ ID string }
	}
	seen := map[string]string{}
	for what, options := range map[string]json.RawMessage{"creation": b.creation(a), "creation of another": b.creation(person("bob"))} {
		if err := json.Unmarshal(options, &ids); err != nil || len(ids.Challenge) != 43 || len(ids.User.ID) != 43 {
			t.Errorf("%s: %+v %v", what, ids, err)
		}
		for _, id := range []string{ids.Challenge, ids.User.ID} {
			if seen[id] != "" {
				t.Errorf("%s: %s of %s", what, id, seen[id])
			}
			seen[id] = what
		}
	}
	if _, err := ask(b.Factor, b.db, a, challenge, site); err != ceremony.ErrMethodNotAccepted {
		t.Error("without a passkey:", err)
	}
	m := newMade(es256(t))
	m.transports = []string{"usb"}
	key, err := register(b.Factor, b.db, a, enrollment, site, m.answer(t, b.creation(a)))
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := key
	elsewhere.RelyingParty, elsewhere.CredentialID = "other.test", []byte("elsewhere")
	a.Authenticators = []records.Authenticator{{Passkey: &key}, {Passkey: &elsewhere}, {TOTP: &records.TOTP{}}}
	list := `[{"type":"public-key","id":"Y3JlZGVudGlhbA","transports":["usb"]}]`
	for _, tt := range []struct{ options, part string }{
		{string(b.creation(a)), `"excludeCredentials":` + list},
		{string(b.request(a)), `"allowCredentials":` + list},
		{string(b.request(a)), `"rpId":"app.test"`},
		{string(b.request(a)), `"userVerification":"required"`},
	} {
		if !strings.Contains(tt.options, tt.part) {
			t.Errorf("no %s in %s", tt.part, tt.options)
		}
	}
	for word, want := range map[string]string{passkey.Platform: `"authenticatorAttachment":"platform"`, "": `"authenticatorSelection":{"requireResidentKey"`} {
		b.Attachment = word
		if got := string(b.creation(a)); !strings.Contains(got, want) {
			t.Errorf("%q: %s", word, got)
		}
	}
}

// onlyRefuses holds that an error is one of those that tell nothing.
func onlyRefuses(t *testing.T, err error) {
	if err != nil && !errors.Is(err, ceremony.ErrInvalidCode) {
		t.Error(err)
	}
}

// responseOf returns one of the byte strings in a browser's answer.
func responseOf(t testing.TB, answer, name string) []byte {
	t.Helper()
	var whole struct{ Response map[string]any }
	if err := json.Unmarshal([]byte(answer), &whole); err != nil {
		t.Fatal(err)
	}
	text, _ := whole.Response[name].(string)
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
