package browser

import (
	"context"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// Device gives the window a device that keeps passkeys and at once says that it
// was its user, as by a fingerprint.
func (w *Window) Device() {
	w.t.Helper()
	w.run("plugging in a device", tell(webauthn.Enable, webauthn.EnableParams{}), chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		made, err := cdp.Call(ctx, t, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
			Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal,
			HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
		}})
		if err == nil {
			w.device = made.AuthenticatorID
		}
		return err
	}))
}

// DeviceOf gives the window the device of another: the browser keeps one for
// each window, though people have one in hand. The other's must not be used
// afterwards, or its passkeys look like copies; hand it back the same way.
func (w *Window) DeviceOf(other *Window) {
	w.t.Helper()
	var keys []*webauthn.Credential
	other.run("looking into a device", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		got, err := cdp.Call(ctx, t, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: other.device})
		if err == nil {
			keys = got.Credentials
		}
		return err
	}))
	if w.device == "" {
		w.Device()
	}
	w.run("handing over a device", tell(webauthn.ClearCredentials, webauthn.ClearCredentialsParams{AuthenticatorID: w.device}))
	for _, k := range keys {
		w.run("handing over a passkey", tell(addCredential, given{w.device, credential{k.CredentialID, true, k.RpID, k.PrivateKey, k.UserHandle, k.SignCount}}))
	}
}

// addCredential is webauthn.AddCredential without what devices of this kind have
// no word for: where that is said at all, the browser refuses.
var addCredential = cdp.Command[given, cdp.Empty]{Method: webauthn.CommandAddCredential}

type given struct {
	AuthenticatorID webauthn.AuthenticatorID `json:"authenticatorId"`
	Credential      credential               `json:"credential"`
}

type credential struct {
	CredentialID         []byte  `json:"credentialId"`
	IsResidentCredential bool    `json:"isResidentCredential"`
	RpID                 string  `json:"rpId"`
	PrivateKey           []byte  `json:"privateKey"`
	UserHandle           []byte  `json:"userHandle"`
	SignCount            float64 `json:"signCount"`
}
