package config

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// What an authenticator must check of who uses it.
const (
	VerificationRequired    = "required"
	VerificationPreferred   = "preferred"
	VerificationDiscouraged = "discouraged"
)

// Where an authenticator is.
const (
	AttachmentPlatform      = "platform"
	AttachmentCrossPlatform = "cross_platform"
)

// Passkeys is how passkeys are made and asked for (WebAuthn). They need no
// settings: without any, each site has its own.
type Passkeys struct {
	// RelyingParty is the domain that passkeys are made for: they are then good
	// on it and on all names below it, and a site elsewhere takes none. Each of
	// those sites can ask for them, so name no domain that others have names
	// below. Changing it makes all passkeys useless that there are. Default: the
	// name of each site, for itself alone.
	RelyingParty string `json:"relying_party,omitempty"`

	// UserVerification is whether the authenticator must check who uses it, by
	// PIN, finger or face: required, preferred or discouraged. With anything less
	// than required who finds a security key passes with it. Default: required.
	UserVerification string `json:"user_verification,omitempty"`

	// Attachment is which authenticators new passkeys are made in: platform for
	// those that are built into the device, cross_platform for those that are
	// not. Browsers heed it, but nothing proves it. Default: either.
	Attachment string `json:"attachment,omitempty"`

	// Disabled takes no passkeys. Those that there are prove nothing then, and
	// are kept. Default: false.
	Disabled bool `json:"disabled,omitempty"`
}

func (p Passkeys) withDefaults() Passkeys {
	if p.UserVerification == "" {
		p.UserVerification = VerificationRequired
	}
	return p
}

// Validate returns the first thing that is wrong with p, as a sentence.
func (p Passkeys) Validate() error {
	if p.Disabled && p != (Passkeys{Disabled: true}) {
		return errors.New("passkeys are off, and have settings: keep one of the two")
	}
	if err := CheckRelyingParty(p.RelyingParty); p.RelyingParty != "" && err != nil {
		return err
	}
	switch p.UserVerification {
	case "", VerificationRequired, VerificationPreferred, VerificationDiscouraged:
	default:
		return oneOf("passkeys user_verification", p.UserVerification, VerificationRequired, VerificationPreferred, VerificationDiscouraged)
	}
	switch p.Attachment {
	case "", AttachmentPlatform, AttachmentCrossPlatform:
		return nil
	}
	return oneOf("passkeys attachment", p.Attachment, AttachmentPlatform, AttachmentCrossPlatform)
}

// domainForm is a domain name as browsers compare it: in small letters, without a
// dot at its end.
var domainForm = regexp.MustCompile(`\A([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\z`)

// CheckRelyingParty refuses what browsers would refuse later, when somebody wants
// to make a passkey (WebAuthn level 3 section 5.1.3).
func CheckRelyingParty(domain string) error {
	const want = "write a domain alone, such as example.com"
	switch {
	case strings.Contains(domain, "://"):
		return fmt.Errorf("passkeys relying_party %q has a scheme: %s", domain, want)
	case net.ParseIP(strings.Trim(domain, "[]")) != nil:
		return fmt.Errorf("passkeys relying_party %q is an address, for which browsers make no passkeys: %s", domain, want)
	case strings.Contains(domain, ":"):
		return fmt.Errorf("passkeys relying_party %q has a port: %s", domain, want)
	case strings.ToLower(domain) != domain:
		return fmt.Errorf("passkeys relying_party %q must be in small letters, as browsers compare it", domain)
	case len(domain) > 253 || !domainForm.MatchString(domain):
		return fmt.Errorf("passkeys relying_party %q is no domain: %s; letters beyond a to z as xn--…", domain, want)
	case domain == "localhost" || strings.HasSuffix(domain, ".localhost"):
		return nil
	}
	if _, err := publicsuffix.EffectiveTLDPlusOne(domain); err != nil {
		return fmt.Errorf("passkeys relying_party %q is not yours alone: names below it are given to others, or it is a single word. "+
			"Write a domain that you registered, such as example.com, or leave it out", domain)
	}
	return nil
}
