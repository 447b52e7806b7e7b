package config

import (
	"fmt"
	"strings"
)

// TOTP is the shape of time-based codes (RFC 6238). A change holds for
// authenticators enrolled from then on; each keeps the shape it was enrolled
// with, except for Skew. The step is always 30 seconds.
type TOTP struct {
	// Algorithm is sha1, sha256 or sha512. Several authenticator apps ignore
	// it and compute SHA-1. Default: sha1.
	Algorithm string `json:"algorithm,omitempty"`

	// Digits is 6 or 8. Default: 6.
	Digits int `json:"digits,omitempty"`

	// Skew is how many steps of 30 seconds a clock may be off, either way:
	// 0, 1 or 2. Zero is a value, so it differs from leaving it out. Default: 1.
	Skew *int `json:"skew,omitempty"`
}

func (t TOTP) withDefaults() TOTP {
	if t.Algorithm == "" {
		t.Algorithm = "sha1"
	}
	if t.Digits == 0 {
		t.Digits = 6
	}
	if t.Skew == nil {
		one := 1
		t.Skew = &one
	}
	return t
}

// Validate returns the first thing that is wrong with t, as a sentence.
func (t TOTP) Validate() error {
	switch t.Algorithm {
	case "", "sha1", "sha256", "sha512":
	default:
		return oneOf("totp algorithm", strings.ToLower(t.Algorithm), "sha1", "sha256", "sha512")
	}
	switch t.Digits {
	case 0, 6, 8:
	default:
		return fmt.Errorf("totp digits must be 6 or 8, not %d", t.Digits)
	}
	if t.Skew != nil && (*t.Skew < 0 || *t.Skew > 2) {
		return fmt.Errorf("totp skew must be 0, 1 or 2 steps of 30 seconds, not %d: each step is one more code that is right", *t.Skew)
	}
	return nil
}
