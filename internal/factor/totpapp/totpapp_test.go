package totpapp_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/totpapp"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/totp"
)

// Where two apps show one code it is used up for both: else it would be good
// twice.
func TestS04CodeOfTwoAppsIsUsedUpForBoth(t *testing.T) {
	now := time.Date(2027, 1, 15, 12, 0, 0, 0, time.UTC)
	key, err := totp.NewKey(totp.Default())
	if err != nil {
		t.Fatal(err)
	}
	app := func(id string) records.Authenticator {
		return records.Authenticator{ID: id, TOTP: &records.TOTP{Secret: key.Secret, Algorithm: key.Algorithm, Digits: key.Digits}}
	}
	a := &records.Account{Authenticators: []records.Authenticator{{ID: "other kind"}, app("first"), app("second")}}
	code, err := totp.Code(key, now)
	if err != nil {
		t.Fatal(err)
	}
	f := totpapp.Factor{Params: totp.Params{Skew: 1}}
	if !f.Ready(a, "") || f.Ready(&records.Account{}, "") {
		t.Error("ready")
	}
	proof, err := f.Match(nil, a, ceremony.Attempt{Answer: code, Now: now})
	if err != nil || proof != (ceremony.Proof{Method: grants.TOTP, Authenticator: "first"}) {
		t.Fatal(proof, err)
	}
	if _, err := f.Match(nil, a, ceremony.Attempt{Answer: code, Now: now}); !errors.Is(err, ceremony.ErrInvalidCode) {
		t.Error("a second time:", err)
	}
}
