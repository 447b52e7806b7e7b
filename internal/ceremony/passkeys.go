package ceremony

import (
	"context"
	"encoding/json"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
)

// Offers are the means of proof that may be enrolled on the site (scheme://host).
func (s *Service) Offers(site string) grants.Methods {
	offers := grants.Methods(0)
	for _, m := range methodsOf {
		if s.factor(m) != nil {
			offers |= m
		}
	}
	if s.sms == nil {
		offers &^= grants.SMS
	}
	if f := s.passkeys(); f == nil || !f.Serves(site) {
		offers &^= grants.Passkey
	}
	return offers
}

// PasskeyOptions gives the JSON with which p's challenge asks a browser for a
// passkey. It changes nothing, and may be asked for again.
//
// It fails with [ErrNotFound], [ErrExpired], or [ErrMethodNotAccepted] where no
// passkey of the subject does for the challenge.
func (s *Service) PasskeyOptions(ctx context.Context, p Principal, challenge string) (json.RawMessage, error) {
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return nil, err
	}
	row, err := s.findChallenge(ctx, db, p, challenge)
	if err != nil {
		return nil, err
	}
	c, err := challengeOf(db, row)
	if err != nil {
		return nil, err
	}
	account, err := db.Accounts.Find(ctx, db.Holder(p.Subject), nil)
	if err != nil {
		return nil, err
	}
	factor, fit := s.passkeys(), s.fit(db, &account.Value, &c)
	if factor == nil || !s.accepts(&c, grants.Passkey) || account.Value.State != records.StateEnrolled {
		return nil, ErrMethodNotAccepted
	}
	if !factor.Ready(&fit, c.Site) {
		return nil, s.blocked(db, &account.Value, &c, grants.Passkey)
	}
	return factor.Ask(db, named(fit, p), c.ID, c.Site)
}
