package backendapi

import (
	"errors"
	"net/http"

	"github.com/google/uuid"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
)

// phone is one of a user's phones.
type phone struct {
	Suffix string `json:"mfa_phone_number_suffix"`
	ID     string `json:"mfa_phone_id"`
}

// fetchMFA tells what a user is enrolled with, as far as the API has words for it:
// passkeys and recovery codes are for browsers, and who has those alone has here
// nothing that a server could ask for.
func (c *call) fetchMFA() error {
	type setup struct {
		Type   string  `json:"type"`
		Phones []phone `json:"phone_numbers,omitempty"`
	}
	var body struct {
		Setup *setup `json:"mfa_setup"`
	}
	p, err := c.actFor("user_id", c.ids[0])
	if err != nil {
		return err
	}
	u, err := c.known(p)
	if err != nil {
		return err
	}
	if hasKind(&u, grants.TOTP) {
		body.Setup = &setup{Type: "Totp"}
	} else if hasKind(&u, grants.SMS) {
		body.Setup = &setup{Type: "Phone", Phones: phonesOf(&u)}
	}
	return c.answer(http.StatusOK, body)
}

// known returns a user that ever enrolled, or that the directory has: the gateway
// knows no others. Clients read 404 as "no such user" where the user is in the path.
func (c *call) known(p ceremony.Principal) (ceremony.User, error) {
	u, err := c.api.o.Service.User(c.r.Context(), p.Subject)
	if err = c.ofUser(p, err); errors.Is(err, errMFANotEnabled) {
		return ceremony.User{Subject: p.Subject}, nil
	}
	if errors.Is(err, errUserNotFound) {
		err = &refusal{status: http.StatusNotFound, code: errUserNotFound.code, detail: errUserNotFound.detail}
	}
	return u, err
}

func hasKind(u *ceremony.User, kind grants.Methods) bool {
	for i := range u.Authenticators {
		if u.Authenticators[i].Method == kind {
			return true
		}
	}
	return false
}

func phonesOf(u *ceremony.User) []phone {
	var phones []phone
	for i := range u.Authenticators {
		if a := &u.Authenticators[i]; a.Method == grants.SMS {
			phones = append(phones, phone{ID: phoneUUID(u.Subject, a.ID), Suffix: a.Suffix})
		}
	}
	return phones
}

// phoneUUID is the alias of a phone for clients that know only UUIDs.
func phoneUUID(who grants.Subject, id string) string {
	return uuid.NewSHA1(ceremony.TenantUUID(who.Tenant), []byte("phone:"+id)).String()
}

// disable2FA takes everything from a user that was ever enrolled.
func (c *call) disable2FA() error {
	p, err := c.actFor("user_id", c.ids[0])
	if err != nil {
		return err
	}
	u, err := c.known(p)
	if err != nil {
		return err
	}
	if u.State == "" { // in the directory, and never enrolled
		return c.answer(http.StatusOK, struct{}{})
	}
	if err := c.api.o.Service.ResetBy(c.r.Context(), p); err != nil {
		return err
	}
	return c.answer(http.StatusOK, struct{}{})
}

// ofUser tells in the API's words what a user lacks.
func (c *call) ofUser(p ceremony.Principal, err error) error {
	switch {
	case errors.Is(err, ceremony.ErrNotFound):
		listing, err := c.api.o.Service.Listing(c.r.Context(), p.Subject)
		switch {
		case err != nil:
			return err
		case listing == ceremony.Listed:
			return errMFANotEnabled
		}
		return errUserNotFound
	case errors.Is(err, ceremony.ErrNotEnrolled), errors.Is(err, ceremony.ErrMethodNotAccepted),
		errors.Is(err, ceremony.ErrAuthenticatorTooNew): // the API has no word for it
		return errMFANotEnabled
	}
	return err
}
