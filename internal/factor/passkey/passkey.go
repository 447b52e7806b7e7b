// Package passkey is the step-up by a passkey: a public key credential that a
// browser's authenticator keeps for one site (WebAuthn level 3).
//
// A passkey is made by [Factor.Show] and [Factor.Finish], and asked for by
// [Factor.Ask] and [Factor.Match]: each first gives the options that a browser
// hands to the authenticator, and then reads the browser's answer. The answers are
// read by go-webauthn, which knows their forms; what they must say is held against
// them here, check by check, in the order of WebAuthn sections 7.1 and 7.2.
//
// The WebAuthn challenge is stored nowhere. It is derived from the id of the
// step-up's challenge, or of the pending enrollment, which is random and ends with
// the first right answer: so an answer is good for one challenge only, and only
// once.
//
// The package does not judge who made an authenticator (attestation): it asks for
// no statement about that and knows no makers.
package passkey

import (
	"bytes"
	"net"
	"net/url"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
)

// The words for Factor.UserVerification and Factor.Attachment.
const (
	Required      = "required"
	Preferred     = "preferred"
	Discouraged   = "discouraged"
	Platform      = "platform"
	CrossPlatform = "cross_platform"
)

// Factor takes the passkeys that were made for the site on which they are asked
// for.
type Factor struct {
	// RelyingParty is the domain that passkeys are made for, and good on, with
	// all names below it: a site elsewhere has none. Empty stands for each
	// site's own host.
	RelyingParty string
	// Name is what an authenticator calls the service. Empty: the relying
	// party's domain.
	Name string
	// UserVerification reports whether the authenticator must check who uses it,
	// by PIN, finger or face: Required, Preferred or Discouraged. Anything else
	// is Required.
	UserVerification string
	// Attachment is Platform for authenticators that are built into the device,
	// CrossPlatform for those that are not. It is a wish to the browser: no
	// answer tells reliably. Empty: either.
	Attachment string
}

// Method is grants.Passkey; a proof tells which kind it was.
func (Factor) Method() grants.Methods { return grants.Passkey }

// Serves reports whether passkeys can be made and used on the site.
func (f Factor) Serves(site string) bool {
	_, ok := f.relyingParty(site)
	return ok
}

// Begin notes the site that the passkey is for.
func (f Factor) Begin(in ceremony.Setup, pending *records.Pending) error {
	if !f.Serves(in.Site) {
		return ceremony.ErrMethodNotAccepted
	}
	pending.Site = in.Site
	return nil
}

// Show fills in the options with which the browser makes the passkey.
func (f Factor) Show(db *records.DB, a *records.Account, id string, pending *records.Pending, e *ceremony.Enrollment) (err error) {
	e.Options, err = f.create(db, a, id, pending.Site)
	return err
}

// Finish reads the browser's answer to Show.
func (f Factor) Finish(db *records.DB, a *records.Account, pending *records.Pending, try ceremony.Attempt) (made records.Authenticator, proof ceremony.Proof, err error) {
	key, err := f.register(db, a, try.Challenge, pending.Site, try.Answer)
	if err != nil {
		return made, proof, err
	}
	return records.Authenticator{Passkey: &key}, ceremony.Proof{Method: key.Methods()}, nil
}

// Ready reports whether the account has a passkey that is good on the site.
func (f Factor) Ready(a *records.Account, site string) bool {
	rp, ok := f.relyingParty(site)
	return ok && len(keysOf(a, rp)) > 0
}

// relyingParty is the id of the relying party that the site belongs to. There is
// none over the API, where the site is empty, and none where browsers would have
// none either: at an IP address, at a site outside of the configured domain, and
// without TLS but on the machine itself, which is no secure context.
func (f Factor) relyingParty(site string) (id string, ok bool) {
	u, err := url.Parse(site)
	if err != nil || u.Host == "" || site != u.Scheme+"://"+u.Host {
		return "", false
	}
	host := u.Hostname()
	local := host == "localhost" || strings.HasSuffix(host, ".localhost")
	if u.Scheme != "https" && !(u.Scheme == "http" && local) {
		return "", false
	}
	if host == "" || strings.Contains(host, ":") || net.ParseIP(host) != nil {
		return "", false
	}
	if f.RelyingParty == "" {
		return host, true
	}
	return f.RelyingParty, host == f.RelyingParty || strings.HasSuffix(host, "."+f.RelyingParty)
}

// keysOf are the account's authenticators that are passkeys of the relying party.
func keysOf(a *records.Account, rp string) []*records.Authenticator {
	var keys []*records.Authenticator
	for i := range a.Authenticators {
		if x := &a.Authenticators[i]; x.Passkey != nil && x.Passkey.RelyingParty == rp {
			keys = append(keys, x)
		}
	}
	return keys
}

func findKey(keys []*records.Authenticator, credential []byte) *records.Authenticator {
	for _, x := range keys {
		if bytes.Equal(x.Passkey.CredentialID, credential) {
			return x
		}
	}
	return nil
}

func (f Factor) verifiesUser() bool {
	return f.UserVerification != Preferred && f.UserVerification != Discouraged
}

var _ ceremony.Factor = Factor{}
