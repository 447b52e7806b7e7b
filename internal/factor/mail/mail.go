// Package mail is the step-up by a code that is sent to the mail address that the
// identity source gives for the person, never to one that somebody types. NIST SP
// 800-63B section 3.1.3.1 does not take mail for an out-of-band authenticator: it
// proves that its reader has the mailbox, which is often the same thing as the
// password. Offer it to users who have nothing better, and for what can bear it.
//
// An enrollment confirms one address; what becomes of it when the identity source
// gives another is package ceremony's, as are the quotas.
package mail

import (
	"context"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/sentcode"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/internal/sender"
)

// Factor takes the codes that were sent to the account's mail addresses.
type Factor struct{ sentcode.Codes }

// New makes a Factor. The Kind of the codes is grants.Email, whatever it says.
func New(codes sentcode.Codes) Factor {
	codes.Kind = grants.Email
	return Factor{codes}
}

// Begin takes the address that the identity source gives.
func (f Factor) Begin(in ceremony.Setup, pending *records.Pending) error {
	switch {
	case f.Send == nil:
		return ceremony.ErrNoSMS
	case in.Address == "":
		return ceremony.ErrNoAddress
	}
	pending.Site, pending.Dest.Address = in.Site, in.Address
	return nil
}

// hidden stands for the letters of an address that are not shown.
const hidden = "…"

// Hint is the address with no more of its local part than the first letter. A hint is
// its own.
func (Factor) Hint(address string) string {
	local, domain, ok := strings.Cut(address, "@")
	switch {
	case !ok || strings.HasSuffix(local, hidden):
		return address
	case len(local) < 2:
		return hidden + "@" + domain
	}
	return local[:1] + hidden + "@" + domain
}

// Deliver sends a message. It names no site: a site that takes every Host would have
// the mail lead wherever somebody with the password wants.
func (f Factor) Deliver(ctx context.Context, to string, m ceremony.Message) error {
	return f.Send(sender.WithSubject(ctx, sentcode.Subject(m)), to, f.Sentence(m)+"\n\n"+sentcode.Unasked(m))
}

var _ ceremony.Deliverer = Factor{}
