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

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/sentcode"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
)

// Factor takes the codes that were sent to the account's phones.
type Factor struct {
	sentcode.Codes
	numbers Numbers
	names   func(host string) bool
}

// New makes a Factor that sends to the numbers. The Kind of the codes is grants.SMS,
// whatever it says. names reports whether the operator named the host, and not whoever
// sent the request; nil: none.
func New(codes sentcode.Codes, numbers Numbers, names func(host string) bool) Factor {
	codes.Kind = grants.SMS
	return Factor{codes, numbers, names}
}

// Begin reads the phone's number.
func (f Factor) Begin(in ceremony.Setup, pending *records.Pending) (err error) {
	if f.Send == nil {
		return ceremony.ErrNoSMS
	}
	pending.Site = in.Site
	pending.Dest.Address, err = f.numbers.Parse(in.Address)
	return err
}

// Hint is the number's last digits.
func (Factor) Hint(number string) string { return number[max(0, len(number)-4):] }

// Deliver sends a message. Its last line lets a phone's browser fill the code in on
// the site it is for, and on no other (WICG, Origin-bound one-time codes). A site that
// takes every Host has no such line: a phone would offer the code to whatever site
// somebody with the password named.
func (f Factor) Deliver(ctx context.Context, to string, m ceremony.Message) error {
	text := f.Sentence(m)
	if host, ok := strings.CutPrefix(m.Site, "https://"); ok {
		host, _, _ = strings.Cut(host, ":")
		if f.names == nil || !f.names(host) {
			return f.Send(ctx, to, text)
		}
		text += "\n\n@" + host + " #" + m.Code
	}
	return f.Send(ctx, to, text)
}

var _ ceremony.Deliverer = Factor{}
