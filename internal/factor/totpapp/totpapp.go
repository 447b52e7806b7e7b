// Package totpapp is the step-up by a code of an authenticator app.
package totpapp

import (
	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/totp"
)

// Factor takes codes of any of the account's authenticator apps.
type Factor struct {
	// Skew is how many steps a clock may be off, to either side.
	Skew int
}

// Method is grants.TOTP.
func (Factor) Method() grants.Methods { return grants.TOTP }

// Ready tells whether the account has an authenticator app.
func (Factor) Ready(a *records.Account, _ string) bool {
	for i := range a.Authenticators {
		if a.Authenticators[i].TOTP != nil {
			return true
		}
	}
	return false
}

// Match finds the app whose unused code this is and raises its last step. All
// apps are asked, so that time does not tell which one answered; where two
// happen to show the same code it is used up for both. Steps whose codes may have
// been used in what the database lost are refused as used (S25).
func (f Factor) Match(_ *records.DB, a *records.Account, try ceremony.Attempt) (ceremony.Proof, error) {
	var used *records.Authenticator
	for i := range a.Authenticators {
		t := a.Authenticators[i].TOTP
		if t == nil {
			continue
		}
		key := totp.Key{Secret: t.Secret, Params: totp.Params{Algorithm: t.Algorithm, Digits: t.Digits, Skew: f.Skew}}
		after := t.Last
		if t.Generation != try.Generation && !try.UsedUntil.IsZero() {
			after = max(after, totp.At(try.UsedUntil)+totp.Step(f.Skew))
		}
		if step, err := totp.Match(key, try.Answer, try.Now, after); err == nil {
			t.Last = step
			if used == nil {
				used = &a.Authenticators[i]
			}
		}
	}
	if used == nil {
		return ceremony.Proof{}, ceremony.ErrInvalidCode
	}
	return ceremony.Proof{Method: grants.TOTP, Authenticator: used.ID}, nil
}

var _ ceremony.Factor = Factor{}
