// Package jwtauth tells who is asking by a signed token (RFC 7519) that the
// request carries in a cookie or as a bearer token.
//
//	verifier, err := jwtauth.New(jwtauth.Options{Bearer: true, Keys: keys, Issuer: "https://id.example.com", …})
//	claims, err := verifier.Identify(r)
//
// It promises that a name is given only by a token whose signature was made, with
// an algorithm that fits the key and was allowed, by a key of the operator's or of
// the issuer's key set; which has not expired; and which was made by that issuer
// for that audience. A token is never believed about how it is to be verified: not
// about "alg" beyond the key's own, and not about keys it brings along.
//
// It does not know revocation: a token is good until it expires, so a logout ends
// grants only where the token goes away with it. Encrypted tokens are not read.
package jwtauth

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/stepup-gateway/caddy-stepup/internal/identity"
	"github.com/stepup-gateway/caddy-stepup/internal/nearest"
)

// Limits and defaults.
const (
	DefaultLeeway = 30 * time.Second
	MaxLeeway     = 2 * time.Minute
	// DefaultUser is the claim that names the subject (RFC 7519 section 4.1.2).
	DefaultUser = "sub"
	// DefaultSession is the claim that names the session (OpenID Connect
	// Back-Channel Logout section 2.1).
	DefaultSession = "sid"

	// DefaultEmail is the claim that has the mail address, and emailVerified the one
	// that says whether the issuer checked it (OpenID Connect Core section 5.1).
	DefaultEmail  = "email"
	emailVerified = "email_verified"

	// maxToken bounds a token, in bytes, before anything of it is decoded.
	maxToken = 8 << 10
	// maxTries bounds the keys that one token is held against.
	maxTries = 8
)

// Options say where the token is, who vouches for it and what is read from it.
type Options struct {
	// Cookie names the cookie that carries the token; Bearer says that the
	// Authorization field may. At least one is required.
	Cookie string
	Bearer bool

	// Keys verify tokens; or KeySet has them. Exactly one is required.
	Keys   []Key
	KeySet *KeySet
	// Algorithms are accepted, of those that fit a key. Nil: each key's usual.
	Algorithms []string

	// Issuer must be the "iss" claim. Empty: any, with Keys only.
	Issuer string
	// Audiences: one of them must be in the "aud" claim. Empty: any.
	Audiences []string
	// Leeway is how far the issuer's clock may be off. Zero: DefaultLeeway.
	Leeway time.Duration

	// User is where the user's id stands. Empty: DefaultUser. This and the
	// following are the name of a claim, or a JSON pointer to one further in.
	User string
	// Tenant is where the tenant stands. Empty: nowhere. A token without it is
	// refused.
	Tenant string
	// Session is where the session stands, and then a token without it is
	// refused. Empty: DefaultSession, if it is there.
	Session string
	// Email is where the mail address stands. Empty: DefaultEmail. A token need not
	// have one.
	Email string

	// Now is the clock. Nil: time.Now.
	Now func() time.Time
}

// Claims are what a token says.
type Claims struct {
	User    string
	Tenant  string // "" where none was asked for
	Session string // "" where sessions are not told apart
	Email   string // "" where there is none, or the issuer did not verify it
}

// Verifier reads and verifies tokens. It is safe for concurrent use.
type Verifier struct {
	o                     Options
	parser                *jwt.Parser
	user, tenant, session identity.Pointer
	email                 identity.Pointer
	remembered            remembered
}

// New checks the options and makes a verifier.
func New(o Options) (*Verifier, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	v := &Verifier{o: o}
	if v.o.Leeway == 0 {
		v.o.Leeway = DefaultLeeway
	}
	if v.o.Now == nil {
		v.o.Now = time.Now
	}
	for _, c := range []struct {
		into          *identity.Pointer
		said, usually string
	}{{&v.user, o.User, DefaultUser}, {&v.tenant, o.Tenant, ""}, {&v.session, o.Session, DefaultSession}, {&v.email, o.Email, DefaultEmail}} {
		var err error
		if *c.into, err = claim(c.said, c.usually); err != nil {
			return nil, err
		}
	}
	said := []jwt.ParserOption{
		jwt.WithStrictDecoding(),
		jwt.WithJSONNumber(),
		jwt.WithValidMethods(v.algorithms()),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
		jwt.WithLeeway(v.o.Leeway),
		jwt.WithTimeFunc(v.o.Now),
	}
	if o.Issuer != "" {
		said = append(said, jwt.WithIssuer(o.Issuer))
	}
	if len(o.Audiences) > 0 {
		said = append(said, jwt.WithAudience(o.Audiences...))
	}
	v.parser = jwt.NewParser(said...)
	return v, nil
}

// CheckSettings returns the first thing that is wrong with the options, as a
// sentence, without looking at the keys.
func (o *Options) CheckSettings() error {
	switch {
	case o.Cookie == "" && !o.Bearer:
		return errors.New("jwt must be told where the token is: write `cookie NAME`, `bearer`, or both")
	case o.Cookie != "" && !isCookieName(o.Cookie):
		return fmt.Errorf("cookie %q is not the name of a cookie", o.Cookie)
	case o.Leeway < 0 || o.Leeway > MaxLeeway:
		return errors.New("leeway must be at most 2m: who needs more should set a clock")
	}
	for _, said := range []string{o.User, o.Tenant, o.Session, o.Email} {
		if _, err := claim(said, ""); err != nil {
			return err
		}
	}
	for i, a := range o.Algorithms {
		switch {
		case !slices.Contains(Known, a):
			return fmt.Errorf("algorithm %q is not known: %s", a, nearest.OneOf(a, Known))
		case slices.Contains(o.Algorithms[:i], a):
			return fmt.Errorf("algorithm %s is named twice", a)
		}
	}
	return nil
}

func (o *Options) check() error {
	if err := o.CheckSettings(); err != nil {
		return err
	}
	switch {
	case (len(o.Keys) == 0) == (o.KeySet == nil):
		return errors.New("jwt needs either a key or a jwks URL to verify tokens with: write one of them")
	case o.Issuer == "" && o.KeySet != nil:
		return errors.New("with a jwks URL the issuer must be named: others may share the key set")
	}
	return o.checkAlgorithms()
}

func isCookieName(s string) bool {
	return len(s) <= 128 && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r)
	})
}

// claim reads a claim's name, or a pointer to one further in. Names may have
// dots and slashes in them, as https://example.com/user has, but do not begin
// with one.
func claim(said, usually string) (identity.Pointer, error) {
	if said == "" {
		said = usually
	}
	if strings.HasPrefix(said, "/") {
		return identity.ParsePointer(said)
	}
	return identity.Member(said), nil
}
