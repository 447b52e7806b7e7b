// Package totpapp is the step-up by a code of an authenticator app.
package totpapp

import (
	"cmp"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/totp"
)

// Factor takes codes of any of the account's authenticator apps.
type Factor struct {
	// Issuer names the service in authenticator apps.
	Issuer string
	// Params are those of new secrets, and of all secrets the skew: how many
	// steps a clock may be off, to either side. Without digits they are
	// totp.Default's, but for the skew.
	Params totp.Params
}

// Method is grants.TOTP.
func (Factor) Method() grants.Methods { return grants.TOTP }

// Serves is true: an app is good everywhere.
func (Factor) Serves(string) bool { return true }

// Begin makes a secret.
func (f Factor) Begin(_ ceremony.Setup, pending *records.Pending) error {
	params := f.Params
	if params.Digits == 0 {
		params = totp.Default()
	}
	key, err := totp.NewKey(params)
	if err != nil {
		return err
	}
	pending.TOTP = records.TOTP{Secret: key.Secret, Algorithm: key.Algorithm, Digits: key.Digits}
	return nil
}

// Show shows the secret.
func (f Factor) Show(_ *records.DB, _ *records.Account, _ string, pending *records.Pending, e *ceremony.Enrollment) error {
	e.Key = f.key(&pending.TOTP)
	e.URI = e.Key.URI(f.Issuer, pending.Name)
	return nil
}

// maxClockOff is how far off a clock is recognized.
const maxClockOff = 10 * time.Minute

// Finish checks the code that confirms the app, and uses it up in the secret that
// it returns. It fails with a [ceremony.ClockOff] where the code is right for another
// time.
func (f Factor) Finish(_ *records.DB, _ *records.Account, pending *records.Pending, try ceremony.Attempt) (made records.Authenticator, proof ceremony.Proof, err error) {
	secret := pending.TOTP
	secret.Generation = try.Generation
	key := f.key(&secret)
	if secret.Last, err = totp.Match(key, try.Answer, try.Now, 0); err == nil {
		return records.Authenticator{TOTP: &secret}, ceremony.Proof{Method: grants.TOTP}, nil
	}
	key.Skew = 0
	for off := totp.Period; off <= maxClockOff; off += totp.Period {
		for _, by := range []time.Duration{off, -off} {
			if _, err := totp.Match(key, try.Answer, try.Now.Add(by), 0); err == nil {
				return made, proof, &ceremony.ClockOff{By: by}
			}
		}
	}
	return made, proof, ceremony.ErrInvalidCode
}

// key is a stored secret with the skew that is configured today.
func (f Factor) key(t *records.TOTP) totp.Key {
	return totp.Key{Secret: t.Secret, Params: totp.Params{Algorithm: t.Algorithm, Digits: t.Digits, Skew: f.Params.Skew}}
}

// Ready reports whether the account has an authenticator app.
func (Factor) Ready(a *records.Account, _ string) bool {
	for i := range a.Authenticators {
		if a.Authenticators[i].TOTP != nil {
			return true
		}
	}
	return false
}

// Ask tells the length of the codes.
func (Factor) Ask(_ *records.DB, a *records.Account, _, _ string) (asked ceremony.Asked, _ error) {
	for i := range a.Authenticators {
		if t := a.Authenticators[i].TOTP; t != nil {
			asked.Digits = max(asked.Digits, t.Digits)
		}
	}
	return asked, nil
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
		after := t.Last
		if t.Generation != try.Generation && !try.UsedUntil.IsZero() {
			after = max(after, totp.At(try.UsedUntil)+totp.Step(f.Params.Skew))
		}
		if step, err := totp.Match(f.key(t), try.Answer, try.Now, after); err == nil {
			t.Last = step
			if used == nil {
				used = &a.Authenticators[i]
			}
		}
	}
	if used == nil {
		return ceremony.Proof{}, f.late(a, try)
	}
	return ceremony.Proof{Method: grants.TOTP, Authenticator: used.ID}, nil
}

// late is the error for a code that is not accepted: a [ceremony.ClockOff] if an app
// showed it in the last minutes and it was not used, since the device's clock is slow
// then. Steps to come are not looked at: of a guess that is right for one a guesser
// would learn when to send it.
func (f Factor) late(a *records.Account, try ceremony.Attempt) error {
	var found error
	for i := range a.Authenticators {
		t := a.Authenticators[i].TOTP
		if t == nil {
			continue
		}
		key := f.key(t)
		key.Skew = 0
		for off := totp.Period; off <= maxClockOff; off += totp.Period {
			if _, err := totp.Match(key, try.Answer, try.Now.Add(-off), t.Last); err == nil && found == nil {
				found = &ceremony.ClockOff{By: -off}
			}
		}
	}
	return cmp.Or(found, error(ceremony.ErrInvalidCode))
}

var _ ceremony.Factor = Factor{}
