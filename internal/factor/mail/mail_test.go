package mail_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/mail"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/sentcode"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
)

func TestHint(t *testing.T) {
	f := mail.New(sentcode.Codes{})
	for address, want := range map[string]string{
		"alice@example.com": "a…@example.com",
		"al@example.com":    "a…@example.com",
		"a@example.com":     "…@example.com",
		"":                  "",
	} {
		if got := f.Hint(address); got != want {
			t.Errorf("%q: %q, want %q", address, got, want)
		}
		if got := f.Hint(want); got != want {
			t.Errorf("the hint of the hint %q is %q", want, got)
		}
	}
}

func TestFactor(t *testing.T) {
	var to, text string
	send := func(_ context.Context, t, x string) error { to, text = t, x; return nil }
	f := mail.New(sentcode.Codes{Kind: grants.SMS, Issuer: "Acme", Send: send})
	if f.Method() != grants.Email || !f.Serves("https://app.test") || mail.New(sentcode.Codes{}).Serves("") {
		t.Errorf("%v", f.Method())
	}
	var pending records.Pending
	if err := f.Begin(ceremony.Setup{}, &pending); !errors.Is(err, ceremony.ErrNoAddress) {
		t.Errorf("without an address: %v", err)
	}
	if err := mail.New(sentcode.Codes{}).Begin(ceremony.Setup{Address: "a@example.com"}, &pending); !errors.Is(err, ceremony.ErrNoSMS) {
		t.Errorf("where nothing is sent: %v", err)
	}
	if err := f.Begin(ceremony.Setup{Address: "alice@example.com", Site: "https://app.test"}, &pending); err != nil || pending.Dest.Address != "alice@example.com" {
		t.Errorf("%+v, %v", pending, err)
	}
	err := f.Deliver(t.Context(), "alice@example.com", ceremony.Message{Code: "481632", Label: "Transfer money", Site: "https://evil.example"})
	if err != nil || to != "alice@example.com" || !strings.HasPrefix(text, "481632 is your code for Transfer money (Acme).") || strings.Contains(text, "evil") {
		t.Errorf("to %q: %q, %v", to, text, err)
	}
}

// TestStrength: mail vouches for nothing, and rules can leave it out.
func TestStrength(t *testing.T) {
	for _, m := range grants.AllMethods() {
		if grants.Email.StrongerThan(m) {
			t.Errorf("mail is stronger than %s", m)
		}
	}
	if !grants.SMS.StrongerThan(grants.Email) || grants.Email.AMR() != "otp" || (grants.TOTP | grants.Passkey | grants.SMS).Accepts(grants.Email) {
		t.Errorf("amr %q", grants.Email.AMR())
	}
}
