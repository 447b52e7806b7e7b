package ceremonytest

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"testing"

	"github.com/descope/virtualwebauthn"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
)

// Site is where all challenges of this package are.
const Site = "https://app.test"

// Device is a virtual authenticator that holds one passkey, and the browser that
// it is used with. Its fields may be changed between ceremonies, to make it one
// that is broken, stolen or elsewhere.
type Device struct {
	// Origin is where the browser says it is, RelyingParty what the passkey is
	// bound to; empty for what is asked.
	Origin, RelyingParty string
	virtualwebauthn.Authenticator
	Key virtualwebauthn.Credential
	// Step is what each use adds to the counter; at zero it does not count.
	Step uint32

	t testing.TB
}

// NewDevice makes a device on Site that counts, verifies its user, and keeps its
// passkey to itself. Of the kinds of keys it knows virtualwebauthn's.
func NewDevice(t testing.TB, kind virtualwebauthn.KeyType) *Device {
	d := &Device{Origin: Site, Authenticator: virtualwebauthn.NewAuthenticator(), Step: 1, t: t}
	d.Key = virtualwebauthn.NewCredential(kind)
	// The library leaves out leading zeros of a point's coordinates, one time in
	// a hundred; they belong there (RFC 9053 section 7.1.1).
	const whole = 77
	for kind == virtualwebauthn.KeyTypeEC2 && len(d.Key.Key.AttestationData()) != whole {
		d.Key = virtualwebauthn.NewCredential(kind)
	}
	return d
}

// Create makes the passkey and gives the browser's answer to the options. It ends
// the test where the options exclude the passkey, as a browser refuses then.
func (d *Device) Create(options json.RawMessage) string {
	d.t.Helper()
	o, err := virtualwebauthn.ParseAttestationOptions(string(options))
	if err != nil {
		d.t.Fatal("reading the creation options:", err)
	}
	if d.Key.IsExcludedForAttestation(*o) {
		d.t.Fatal("the passkey is excluded")
	}
	return d.CreateAgain(options)
}

// CreateAgain is Create in a browser that does not heed what is excluded.
func (d *Device) CreateAgain(options json.RawMessage) string {
	d.t.Helper()
	o, err := virtualwebauthn.ParseAttestationOptions(string(options))
	if err != nil {
		d.t.Fatal("reading the creation options:", err)
	}
	d.Options.UserHandle = []byte(o.UserID)
	return virtualwebauthn.CreateAttestationResponse(d.party(o.RelyingPartyID), d.Authenticator, d.Key, *o)
}

// Answer gives the browser's answer to the options, and counts. It does not care
// whether the options allow the passkey.
func (d *Device) Answer(options json.RawMessage) string {
	d.t.Helper()
	o, err := virtualwebauthn.ParseAssertionOptions(string(options))
	if err != nil {
		d.t.Fatal("reading the request options:", err)
	}
	d.Key.Counter += d.Step
	return virtualwebauthn.CreateAssertionResponse(d.party(o.RelyingPartyID), d.Authenticator, d.Key, *o)
}

func (d *Device) party(id string) virtualwebauthn.RelyingParty {
	if d.RelyingParty != "" {
		id = d.RelyingParty
	}
	return virtualwebauthn.RelyingParty{ID: id, Origin: d.Origin}
}

// Said is what an answer to a request says, to be changed and signed anew.
type Said struct {
	Client            map[string]any
	AuthenticatorData []byte
}

// Forge gives the answer with what edit changes in it, signed by the device's own
// key: what a browser or an authenticator with a fault would send.
func (d *Device) Forge(answer string, edit func(*Said)) string {
	d.t.Helper()
	said := Said{Client: map[string]any{}}
	return rewrite(d.t, answer, func(response map[string]string) {
		said.AuthenticatorData = decode(d.t, response["authenticatorData"])
		if err := json.Unmarshal(decode(d.t, response["clientDataJSON"]), &said.Client); err != nil {
			d.t.Fatal(err)
		}
		edit(&said)
		client, err := json.Marshal(said.Client)
		if err != nil {
			d.t.Fatal(err)
		}
		hash := sha256.Sum256(client)
		digest := sha256.Sum256(slices.Concat(said.AuthenticatorData, hash[:]))
		signature, err := d.Key.Key.Sign(digest[:])
		if err != nil {
			d.t.Fatal(err)
		}
		response["authenticatorData"] = encode(said.AuthenticatorData)
		response["clientDataJSON"] = encode(client)
		response["signature"] = encode(signature)
	})
}

// rewrite changes the response in a browser's answer.
func rewrite(t testing.TB, answer string, edit func(response map[string]string)) string {
	t.Helper()
	var whole map[string]json.RawMessage
	response := map[string]string{}
	if err := json.Unmarshal([]byte(answer), &whole); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(whole["response"], &response); err != nil {
		t.Fatal(err)
	}
	edit(response)
	var err error
	if whole["response"], err = json.Marshal(response); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func decode(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// EnrollDevice enrolls the device's passkey for p, who passes challenges with it
// from then on.
func (w *World) EnrollDevice(p ceremony.Principal, d *Device, leave ceremony.Leave) *Person {
	w.t.Helper()
	begun, err := w.EnrollPasskey(w.t.Context(), setup(p), "key", Site, leave)
	if err != nil {
		w.t.Fatal("enrolling:", err)
	}
	done, err := w.Service.Confirm(w.t.Context(), setup(p), begun.ID, d.Create(begun.Options), "")
	if err != nil {
		w.t.Fatal("confirming:", err)
	}
	return &Person{Principal: p, Authenticator: done.Authenticator, Device: d, RecoveryCodes: done.RecoveryCodes}
}

// Asked are the options with which the challenge asks for a passkey.
func (w *World) Asked(p ceremony.Principal, c ceremony.Challenge) json.RawMessage {
	w.t.Helper()
	options, err := w.PasskeyOptions(w.t.Context(), p, c.ID)
	if err != nil {
		w.t.Fatal("asking for a passkey:", err)
	}
	return options
}

// EnrollPasskey begins to enroll a passkey for p.
func (w *World) EnrollPasskey(ctx context.Context, p ceremony.Principal, label, site string, leave ceremony.Leave) (ceremony.Enrollment, error) {
	return w.Service.Enroll(ctx, p, ceremony.Setup{Kind: grants.Passkey, Label: label, Site: site}, leave)
}

// PasskeyOptions are the options with which the challenge of the id asks for a
// passkey.
func (w *World) PasskeyOptions(ctx context.Context, p ceremony.Principal, challenge string) (json.RawMessage, error) {
	asked, err := w.Ask(ctx, p, challenge, grants.Passkey)
	return asked.Options, err
}
