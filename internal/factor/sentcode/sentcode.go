// Package sentcode makes the codes that are sent, keeps a keyed digest of each
// beside the address that it went to, and knows them again: what all factors have in
// common whose proof is a code that was sent (NIST SP 800-63B section 3.1.3). Such a
// factor embeds [Codes], and adds where codes go and what the message says.
//
// It does not count what is sent: that is package ceremony's quotas.
package sentcode

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/quota"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
)

// Digits is the length of a code.
const Digits = 6

// maxCodes bounds the codes that are kept beside one address.
const maxCodes = 5

// Codes are those of one kind. With a Kind alone, none are sent, and those are taken
// that were sent under other settings.
type Codes struct {
	// Kind is the kind; its name goes into the digests, so that a code of one kind
	// is none of another.
	Kind grants.Methods
	// Issuer is the service's name in the messages.
	Issuer string
	// Send hands a text over for delivery; nil where none are sent. An error
	// means that it was not, or that nobody knows.
	Send func(ctx context.Context, to, text string) error
	// Bounds are those of what is sent.
	Bounds quota.Bounds
}

// Method is the kind.
func (c Codes) Method() grants.Methods { return c.Kind }

// Serves reports whether codes are sent.
func (c Codes) Serves(string) bool { return c.Send != nil }

// Quota bounds what is sent.
func (c Codes) Quota() quota.Bounds { return c.Bounds }

// Show has nothing to show but where the code went.
func (Codes) Show(*records.DB, *records.Account, string, *records.Pending, *ceremony.Enrollment) error {
	return nil
}

// Ask tells the length of the codes.
func (Codes) Ask(*records.DB, *records.Account, string, string) (ceremony.Asked, error) {
	return ceremony.Asked{Digits: Digits}, nil
}

// Remember makes a new code the one that answers the challenge, of those that go to
// d, and returns it.
func (c Codes) Remember(db *records.DB, d *records.Destination, challenge string, now time.Time) string {
	code := newCode()
	d.Forget(challenge, now)
	if over := len(d.Codes) - (maxCodes - 1); over > 0 {
		d.Codes = slices.Delete(d.Codes, 0, over)
	}
	d.Codes = append(d.Codes, records.SentCode{
		Challenge: challenge, Hash: c.hash(db, d.Address, challenge, code), Expires: now.Add(c.Bounds.CodeTTL), Generation: db.Generation(),
	})
	return code
}

// Ready reports whether the account has an authenticator of the kind.
func (c Codes) Ready(a *records.Account, _ string) bool {
	return slices.ContainsFunc(a.Authenticators, func(x records.Authenticator) bool { return c.isOf(&x) })
}

// Match uses up the code that was sent to one of the account's authenticators for
// the challenge. It fails with [ceremony.ErrInvalidCode] where the code is another,
// or was used, or ended.
func (c Codes) Match(db *records.DB, a *records.Account, try ceremony.Attempt) (ceremony.Proof, error) {
	for i := range a.Authenticators {
		x := &a.Authenticators[i]
		if !c.isOf(x) {
			continue
		}
		if at := c.find(db, x.Dest, try); at >= 0 {
			x.Dest.Codes = slices.Delete(x.Dest.Codes, at, at+1)
			return ceremony.Proof{Method: c.Kind, Authenticator: x.ID}, nil
		}
	}
	return ceremony.Proof{}, ceremony.ErrInvalidCode
}

// Finish checks the code that confirms an enrollment, and returns the authenticator
// that it becomes.
func (c Codes) Finish(db *records.DB, _ *records.Account, pending *records.Pending, try ceremony.Attempt) (records.Authenticator, ceremony.Proof, error) {
	if c.find(db, &pending.Dest, try) < 0 {
		return records.Authenticator{}, ceremony.Proof{}, ceremony.ErrInvalidCode
	}
	return records.Authenticator{Dest: &records.Destination{Address: pending.Dest.Address, Digest: pending.Dest.Digest}}, ceremony.Proof{Method: c.Kind}, nil
}

func (c Codes) isOf(x *records.Authenticator) bool {
	return x.Dest != nil && grants.KindOfType(x.Type).Methods == c.Kind
}

// find is the index of the live code, or less than 0. All are compared, so that
// time does not tell which.
func (c Codes) find(db *records.DB, d *records.Destination, try ceremony.Attempt) int {
	hash, found := c.hash(db, d.Address, try.Challenge, try.Answer), -1
	for i, sent := range d.Codes {
		if subtle.ConstantTimeCompare(sent.Hash, hash) == 1 && sent.Challenge == try.Challenge && try.Now.Before(sent.Expires) && sent.Generation == db.Generation() {
			found = i
		}
	}
	return found
}

func (c Codes) hash(db *records.DB, address, challenge, code string) []byte {
	mac := db.MAC(c.Kind.String()+" code", []byte(address), []byte(challenge), []byte(code))
	return mac[:]
}

func newCode() string {
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
	if err != nil {
		panic(err) // never happens: crypto/rand ends the program instead
	}
	return fmt.Sprintf("%0*d", Digits, n)
}
