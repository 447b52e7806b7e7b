package ceremony

import (
	"bytes"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/cause"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
)

// Codes of a kind whose address the identity source gives (grants.Kind.ByIdentity)
// go to the address that it gives now, [Principal.Email], and an authenticator of
// such a kind is good for the one address that was confirmed. Of that a keyed digest
// is kept, and not the address.
//
// If the source gives another address, the authenticator proves nothing until the
// source gives the first one again. The new one is enrolled as any second factor is,
// with what vouches for it (S14, S24): whoever can change the address at the source
// has the first factor, and must not get the second by it.

var (
	// ErrNoAddress reports that the identity source gives no address to which codes
	// could go.
	ErrNoAddress = cause.New(cause.NoAddress, "the identity source gives no address to send codes to")
	// ErrElsewhere is [ErrMethodNotAccepted] of an authenticator whose codes would
	// go to an address that the identity source does not give any more.
	ErrElsewhere = cause.Narrow(ErrMethodNotAccepted, cause.Elsewhere, "the identity source does not give its address")
)

// mailbox is the keyed digest of an address that the identity source gives; zero
// where it gives none, and for servers.
type mailbox [32]byte

func mailboxOf(db *records.DB, p Principal) mailbox {
	if p.Email == "" {
		return mailbox{}
	}
	return db.MAC("mailbox", []byte(p.Email))
}

// reaches reports whether codes for an authenticator of the type reach the address
// that the identity source gives. Kinds whose owner writes the address are always
// reached.
func (m mailbox) reaches(stored string, d *records.Destination) bool {
	if !grants.KindOfType(stored).ByIdentity() {
		return true
	}
	return m != mailbox{} && d != nil && bytes.Equal(d.Digest, m[:])
}

// recipient is where d's codes for p go.
func recipient(p Principal, d Deliverer, to *records.Destination) string {
	if grants.KindOf(d.Method()).ByIdentity() {
		return p.Email
	}
	return to.Address
}

// conceal leaves of the address of a pending enrollment what is kept, if the identity
// source gave it.
func conceal(db *records.DB, p Principal, d Deliverer, pending *records.Pending) {
	if d == nil || !grants.KindOf(d.Method()).ByIdentity() {
		return
	}
	m := mailboxOf(db, p)
	pending.Dest = records.Destination{Address: d.Hint(p.Email), Digest: m[:]}
}

// elsewhere lists the labels of the account's authenticators that the challenge takes
// and that are not used, since the identity source does not give their address.
func (s *Service) elsewhere(a *records.Account, c *Challenge) (labels []string) {
	usable := a.Usable()
	for i := range usable.Authenticators {
		x := &usable.Authenticators[i]
		if s.accepts(c, factorMethod(x)) && !c.mailbox.reaches(x.Type, x.Dest) {
			labels = append(labels, x.Label)
		}
	}
	return labels
}
