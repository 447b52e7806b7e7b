// Package sms is the step-up by a code that is sent to a phone, an out-of-band
// authenticator that NIST SP 800-63B section 3.1.3.3 restricts: offer it to those
// who have nothing better.
//
// [Numbers] reads phone numbers and refuses those of countries that the operator
// did not name. How often codes are sent, and by whom, is package ceremony's and
// the sender's.
package sms

import (
	"context"
	"strings"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/sentcode"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
)

// Factor takes the codes that were sent to the account's phones. The zero Factor
// sends none, and takes those that were sent under other settings.
type Factor struct {
	// Issuer is the service's name in the messages.
	Issuer  string
	Numbers Numbers
	// Send hands a text over for delivery; nil where none are sent. An error
	// means that it was not, or that nobody knows.
	Send func(ctx context.Context, to, text string) error
	// Bounds are those of what is sent.
	Bounds ceremony.Quota
}

func (f Factor) codes() sentcode.Codes {
	return sentcode.Codes{Kind: grants.SMS, TTL: f.Bounds.CodeTTL}
}

// Method is grants.SMS.
func (Factor) Method() grants.Methods { return grants.SMS }

// Serves reports whether codes are sent to phones.
func (f Factor) Serves(string) bool { return f.Send != nil }

// Begin reads the phone's number.
func (f Factor) Begin(in ceremony.Setup, pending *records.Pending) (err error) {
	if f.Send == nil {
		return ceremony.ErrNoSMS
	}
	pending.Site = in.Site
	pending.Dest.Address, err = f.Numbers.Parse(in.Address)
	return err
}

// Show has nothing to show but where the code went.
func (Factor) Show(*records.DB, *records.Account, string, *records.Pending, *ceremony.Enrollment) error {
	return nil
}

// Finish checks the code that was sent for the enrollment.
func (f Factor) Finish(db *records.DB, _ *records.Account, pending *records.Pending, try ceremony.Attempt) (records.Authenticator, ceremony.Proof, error) {
	return f.codes().Finish(db, pending, try)
}

// Ready reports whether the account has a phone.
func (f Factor) Ready(a *records.Account, _ string) bool { return f.codes().Ready(a) }

// Ask tells the length of the codes.
func (Factor) Ask(*records.DB, *records.Account, string, string) (ceremony.Asked, error) {
	return ceremony.Asked{Digits: sentcode.Digits}, nil
}

// Match uses up the code.
func (f Factor) Match(db *records.DB, a *records.Account, try ceremony.Attempt) (ceremony.Proof, error) {
	return f.codes().Match(db, a, try)
}

// Quota bounds what is sent.
func (f Factor) Quota() ceremony.Quota { return f.Bounds }

// Remember makes a new code.
func (f Factor) Remember(db *records.DB, d *records.Destination, challenge string, now time.Time) string {
	return f.codes().Remember(db, d, challenge, now)
}

// Hint is the number's last digits.
func (Factor) Hint(number string) string { return number[max(0, len(number)-4):] }

// Deliver sends a message.
func (f Factor) Deliver(ctx context.Context, to string, m ceremony.Message) error {
	return f.Send(ctx, to, f.text(m))
}

// text is the message. Its last line lets a phone's browser fill the code in on
// the site it is for, and on no other (WICG, Origin-bound one-time codes).
func (f Factor) text(m ceremony.Message) string {
	text := m.Code + " is your code"
	if m.Label != "" {
		text += " for " + m.Label
	}
	text += " (" + f.Issuer + "). Nobody from us will ever ask you for it."
	if host, ok := strings.CutPrefix(m.Site, "https://"); ok {
		host, _, _ = strings.Cut(host, ":")
		text += "\n\n@" + host + " #" + m.Code
	}
	return text
}

var _ ceremony.Deliverer = Factor{}
