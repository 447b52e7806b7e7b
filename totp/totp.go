// Package totp matches time-based one-time passwords (RFC 6238) and refuses
// their replay.
//
// [Match] is a pure function of a key, a code, the time and the last step that
// was accepted; anyone who calls it makes the new step durable before telling
// success, and so makes each code good for once (RFC 6238 section 5.2). The
// arithmetic of codes is github.com/pquerna/otp's; which step matched, which
// that library does not tell, is found here by asking it for one step at a
// time.
//
// Attempts are not limited here; package ceremony counts them.
package totp

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
)

var (
	// ErrMismatch reports that the code is that of no step within the skew.
	ErrMismatch = errors.New("code does not match")
	// ErrReplayed reports that the code is right but its step, or a later one,
	// was accepted before.
	ErrReplayed = errors.New("code was used before")
	// ErrMalformed reports that the text is not a code of this key's length.
	ErrMalformed = errors.New("code is not of the right form")
)

// Period is the length of a step. Authenticator apps ignore any other.
const Period = 30 * time.Second

// Algorithm is the hash of RFC 6238 section 1.2.
type Algorithm string

// The algorithms that authenticator apps know; most know SHA1 only.
const (
	SHA1   Algorithm = "SHA1"
	SHA256 Algorithm = "SHA256"
	SHA512 Algorithm = "SHA512"
)

// SecretLen is the length of a new secret in bytes: the output size of SHA-1,
// as RFC 4226 section 4 recommends.
const SecretLen = 20

// minSecretLen is the shortest secret that is matched, in bytes: what the older
// authenticators were given. A record that lost its secret must match nothing.
const minSecretLen = 10

// MaxSkew is the most steps that a clock may be off, to either side: each is one
// more code that is right.
const MaxSkew = 2

// Params are how codes are made. The zero value is not usable; see [Default].
type Params struct {
	Algorithm Algorithm `json:"algorithm"`
	// Digits of a code: 6 or 8.
	Digits int `json:"digits"`
	// Skew is how many steps before and after the current one are accepted: 0
	// to [MaxSkew].
	Skew int `json:"skew"`
}

// Default returns the parameters that every authenticator app understands.
func Default() Params { return Params{Algorithm: SHA1, Digits: 6, Skew: 1} }

// Validate returns the first thing that is wrong with the parameters, or nil.
func (p Params) Validate() error {
	if _, err := p.Algorithm.hash(); err != nil {
		return err
	}
	if p.Digits != 6 && p.Digits != 8 {
		return fmt.Errorf("totp digits %d: write 6 or 8", p.Digits)
	}
	if p.Skew < 0 || p.Skew > MaxSkew {
		return fmt.Errorf("totp skew %d: write 0 to %d steps of %s", p.Skew, MaxSkew, Period)
	}
	return nil
}

func (a Algorithm) hash() (otp.Algorithm, error) {
	switch a {
	case SHA1:
		return otp.AlgorithmSHA1, nil
	case SHA256:
		return otp.AlgorithmSHA256, nil
	case SHA512:
		return otp.AlgorithmSHA512, nil
	}
	return 0, fmt.Errorf("totp algorithm %q: write SHA1, SHA256 or SHA512", string(a))
}

// Key is one authenticator's secret and parameters.
type Key struct {
	Secret []byte
	Params
}

// NewKey returns a key with a new random secret.
func NewKey(p Params) (Key, error) {
	if err := p.Validate(); err != nil {
		return Key{}, err
	}
	secret := make([]byte, SecretLen)
	rand.Read(secret) // never fails: crypto/rand ends the program instead
	return Key{Secret: secret, Params: p}, nil
}

// String hides the secret from logs.
func (k Key) String() string { return fmt.Sprintf("totp.Key(%s,%d)", k.Algorithm, k.Digits) }

// GoString hides the secret from %#v.
func (k Key) GoString() string { return k.String() }

// Base32 returns the secret as people type it: upper case, unpadded.
func (k Key) Base32() string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(k.Secret)
}

// Step is a count of periods since 1970: RFC 6238 section 4.2's T. Step 0 is
// never accepted, and so stands for "none yet".
type Step uint64

// At returns the step that holds at t.
func At(t time.Time) Step {
	if t.Unix() < 0 {
		return 0
	}
	return Step(t.Unix() / int64(Period/time.Second))
}

// Match finds the step whose code this is, among those within the key's skew
// of now, and gives it if it comes after the last accepted one. The code may
// hold spaces, as apps show it. Errors: [ErrMalformed], [ErrMismatch],
// [ErrReplayed].
//
// All steps are always computed and compared in constant time, so that time
// tells neither how near a guess was nor how far a clock is off.
func Match(k Key, code string, now time.Time, after Step) (Step, error) {
	if err := k.Validate(); err != nil {
		return 0, err
	}
	code, err := normalize(code, k.Digits)
	if err != nil {
		return 0, err
	}
	if len(k.Secret) < minSecretLen {
		return 0, fmt.Errorf("totp secret of %d bytes: at least %d are needed", len(k.Secret), minSecretLen)
	}
	hash, err := k.Algorithm.hash()
	if err != nil {
		return 0, err
	}
	current, matched := At(now), Step(0)
	for d := -k.Skew; d <= k.Skew; d++ {
		step := current + Step(d)
		if d < 0 && Step(-d) > current {
			continue // before 1970
		}
		want, err := hotp.GenerateCodeCustom(k.Base32(), uint64(step), hotp.ValidateOpts{Digits: otp.Digits(k.Digits), Algorithm: hash})
		if err != nil {
			return 0, fmt.Errorf("computing a code: %w", err)
		}
		// The latest step wins where two steps happen to share a code: its
		// acceptance uses up the earlier one too.
		if subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			matched = step
		}
	}
	switch {
	case matched == 0:
		return 0, ErrMismatch
	case matched <= after:
		return 0, ErrReplayed
	}
	return matched, nil
}

// Code returns the code of the step that holds at t: what an authenticator app
// shows.
func Code(k Key, t time.Time) (string, error) {
	hash, err := k.Algorithm.hash()
	if err != nil {
		return "", err
	}
	return hotp.GenerateCodeCustom(k.Base32(), uint64(At(t)), hotp.ValidateOpts{Digits: otp.Digits(k.Digits), Algorithm: hash})
}

// normalize drops the spaces that people copy along and insists on digits.
func normalize(code string, digits int) (string, error) {
	const maxLen = 32 // more spaces than this is nobody's typing
	if len(code) > maxLen {
		return "", ErrMalformed
	}
	code = strings.Map(func(r rune) rune {
		switch r {
		case ' ', '\t', '-', '\u00a0', '\u2009', '\u202f':
			return -1
		}
		return r
	}, code)
	if len(code) != digits || strings.Trim(code, "0123456789") != "" {
		return "", ErrMalformed
	}
	return code, nil
}
