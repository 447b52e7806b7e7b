// Package recovery is the step-up by a recovery code, a look-up secret that is
// good for once (NIST SP 800-63B section 3.1.2).
package recovery

import (
	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
)

// Factor takes the account's unused recovery codes.
type Factor struct{}

// Method is grants.RecoveryCode.
func (Factor) Method() grants.Methods { return grants.RecoveryCode }

// Ready tells whether the account has a recovery code left.
func (Factor) Ready(a *records.Account, _ string) bool { return a.RecoveryCodesLeft() > 0 }

// Match uses up the code.
func (Factor) Match(db *records.DB, a *records.Account, try ceremony.Attempt) (ceremony.Proof, error) {
	if err := ceremony.Recover(db, a, try.Answer, try.Now); err != nil {
		return ceremony.Proof{}, err
	}
	return ceremony.Proof{Method: grants.RecoveryCode}, nil
}

var _ ceremony.Factor = Factor{}
