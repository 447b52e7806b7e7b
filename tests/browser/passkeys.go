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
	for _, key := range keys {
		w.run("handing over a passkey", tell(webauthn.AddCredential, webauthn.AddCredentialParams{AuthenticatorID: w.device, Credential: key}))
	}
}
