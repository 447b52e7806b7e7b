package config

import (
	"slices"
	"strings"
	"testing"
)

func TestPasskeys(t *testing.T) {
	for _, tt := range []struct {
		name     string
		passkeys Passkeys
		says     string // "": it is good
	}{
		{"nothing", Passkeys{}, ""},
		{"a domain", Passkeys{RelyingParty: "example.com"}, ""},
		{"below a domain", Passkeys{RelyingParty: "login.example.co.uk"}, ""},
		{"a name of one's own", Passkeys{RelyingParty: "corp.internal"}, ""},
		{"beyond a to z", Passkeys{RelyingParty: "xn--bcher-kva.example"}, ""},
		{"localhost", Passkeys{RelyingParty: "localhost"}, ""},
		{"below localhost", Passkeys{RelyingParty: "app.localhost"}, ""},
		{"everything", Passkeys{RelyingParty: "example.com", UserVerification: "discouraged", Attachment: "cross_platform"}, ""},
		{"off", Passkeys{Disabled: true}, ""},
		{"a scheme", Passkeys{RelyingParty: "https://example.com"}, "has a scheme"},
		{"a port", Passkeys{RelyingParty: "example.com:443"}, "has a port"},
		{"an address", Passkeys{RelyingParty: "192.0.2.1"}, "is an address"},
		{"an IPv6 address", Passkeys{RelyingParty: "[2001:db8::1]"}, "is an address"},
		{"capitals", Passkeys{RelyingParty: "Example.com"}, "small letters"},
		{"a path", Passkeys{RelyingParty: "example.com/"}, "no domain"},
		{"a dot at the end", Passkeys{RelyingParty: "example.com."}, "no domain"},
		{"a dot at the beginning", Passkeys{RelyingParty: ".example.com"}, "no domain"},
		{"a wildcard", Passkeys{RelyingParty: "*.example.com"}, "no domain"},
		{"a placeholder", Passkeys{RelyingParty: "{host}"}, "no domain"},
		{"other letters", Passkeys{RelyingParty: "bücher.example"}, "xn--"},
		{"too long", Passkeys{RelyingParty: strings.Repeat("a.", 127) + "com"}, "no domain"},
		{"everybody's", Passkeys{RelyingParty: "com"}, "not yours alone"},
		{"everybody's in a country", Passkeys{RelyingParty: "co.uk"}, "not yours alone"},
		{"everybody's at a host", Passkeys{RelyingParty: "github.io"}, "not yours alone"},
		{"a single word", Passkeys{RelyingParty: "intranet"}, "not yours alone"},
		{"unknown verification", Passkeys{UserVerification: "always"}, `user_verification "always"`},
		{"unknown attachment", Passkeys{Attachment: "usb"}, `attachment "usb"`},
		{"off with settings", Passkeys{Disabled: true, UserVerification: "required"}, "are off"},
	} {
		err := tt.passkeys.Validate()
		if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.says)
		}
		if app := (App{Passkeys: tt.passkeys}).Validate(); (app == nil) != (err == nil) {
			t.Errorf("%s: the whole says %v", tt.name, app)
		}
	}
	if got := (App{}).WithDefaults().Passkeys; got != (Passkeys{UserVerification: "required"}) {
		t.Errorf("%+v", got)
	}
}

// A rule that takes only what there is not would let nobody pass.
func TestMethodsThatThereAre(t *testing.T) {
	for _, tt := range []struct {
		app     App
		offered string
	}{
		{App{}, "passkey totp recovery_code"},
		{App{SMS: &SMS{Country: "DE"}}, "passkey totp sms recovery_code"},
		{App{Email: &SentCodes{}}, "passkey totp email recovery_code"},
		{App{Passkeys: Passkeys{Disabled: true}}, "totp recovery_code"},
	} {
		if got := strings.Join(tt.app.Methods(), " "); got != tt.offered {
			t.Errorf("%+v: %s", tt.app, got)
		}
	}
	offered := (App{Passkeys: Passkeys{Disabled: true}}).Methods()
	for methods, good := range map[string]bool{"totp": true, "passkey totp": true, "passkey": false, "sms": false, "passkey sms": false, "": true} {
		r := Rule{Action: "A", Methods: strings.Fields(methods)}.withDefaults()
		if err := r.CheckOffered(offered); (err == nil) != good || err != nil && !strings.Contains(err.Error(), "A takes only "+strings.ReplaceAll(methods, " ", ", ")) {
			t.Errorf("%q: %v", methods, err)
		}
		if methods == "" && !slices.Equal(r.Methods, []string{"passkey", "totp", "sms", "email", "recovery_code"}) {
			t.Error(r.Methods)
		}
	}
}
