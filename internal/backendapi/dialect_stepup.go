package backendapi

import (
	"context"
	"errors"
	"net/http"

	"github.com/google/uuid"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/apikeys"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
)

// stepUp is PropelAuth's Step-Up MFA API, which its published clients speak
// unchanged. To them 401 means a wrong API key and nothing else, every status
// below 400 means success, and every body is JSON.
var stepUp = dialect{
	under:   []string{"/api/"},
	schemes: []string{"bearer"},
	tell:    tellStepUp,
}

func stepUpRoutes() []route {
	at := func(method, path string, scope apikeys.Scope, serve func(*call) error) route {
		return route{method: method, pattern: path, dialect: &stepUp, admit: byKey, scopes: []apikeys.Scope{scope}, serve: serve}
	}
	const get, post = http.MethodGet, http.MethodPost
	metadata := at(get, "/api/v1/token_verification_metadata", "", (*call).tokenVerificationMetadata)
	metadata.scopes = nil // any key will do
	return []route{
		metadata,
		at(get, "/api/backend/v1/user/{user_id}/mfa", apikeys.ScopeRead, (*call).fetchMFA),
		at(post, "/api/backend/v1/user/{user_id}/disable_2fa", apikeys.ScopeReset, (*call).disable2FA),
		at(post, "/api/backend/v1/mfa/step-up/verify-totp", apikeys.ScopeVerify, (*call).verifyTOTP),
		at(post, "/api/backend/v1/mfa/step-up/phone/send", apikeys.ScopeVerify, (*call).sendPhoneCode),
		at(post, "/api/backend/v1/mfa/step-up/phone/verify", apikeys.ScopeVerify, (*call).verifyPhoneCode),
		at(post, "/api/backend/v1/mfa/step-up/verify-grant", apikeys.ScopeGrants, (*call).verifyGrant),
	}
}

// tellStepUp gives the one body that errors have. Some clients read what is wrong
// with the fields from field_errors, others from field_to_errors.
func tellStepUp(_ *call, e *refusal) any {
	fields, people := e.fields, make(map[string]string, len(e.fields))
	if fields == nil {
		fields = map[string]string{}
	}
	for name, word := range fields {
		people[name] = saying(word)
	}
	code := e.code
	if code == errInvalidKey.code {
		code = "invalid_api_key"
	}
	return struct {
		Code          string            `json:"error_code"`
		UserFacing    string            `json:"user_facing_error"`
		UserFacings   map[string]string `json:"user_facing_errors"`
		FieldErrors   map[string]string `json:"field_errors"`
		FieldToErrors map[string]string `json:"field_to_errors"`
	}{code, e.detail, people, fields, fields}
}

var (
	errUserNotFound  = &refusal{status: http.StatusBadRequest, code: "user_not_found", detail: "There is no such user."}
	errMFANotEnabled = &refusal{status: http.StatusBadRequest, code: "mfa_not_enabled", detail: "The user has not set this up."}
	errIncorrectMFA  = &refusal{status: http.StatusBadRequest, code: "incorrect_mfa_code", detail: "The code is wrong or was used before."}
)

// asked is the demand that a call's fields make.
func (c *call) asked(f *fields, methods grants.Methods) grants.Demand {
	return grants.Demand{Action: f.action("action_type"), Use: f.grantType("grant_type"), TTL: f.seconds("valid_for_seconds"), Methods: methods}
}

func (c *call) verifyTOTP() error {
	f, err := c.fields()
	if err != nil {
		return err
	}
	d, user, code := c.asked(f, grants.TOTP), f.userID("user_id"), f.code("code")
	if err := f.err(); err != nil {
		return err
	}
	if !c.key.Mints(d.Action.String()) {
		return errForbidden
	}
	p, err := c.actFor("user_id", user)
	if err != nil {
		return err
	}
	won, err := c.api.o.Service.Prove(c.r.Context(), p, d, ceremony.Answer{Method: grants.TOTP, Code: code})
	switch {
	case errors.Is(err, ceremony.ErrInvalidCode):
		return errIncorrectMFA
	case err != nil:
		return c.ofUser(p, err)
	}
	return c.answerGrant(&won)
}

func (c *call) answerGrant(won *ceremony.Won) error {
	return c.answer(http.StatusOK, struct {
		Grant string `json:"step_up_grant"`
	}{won.Token.Text()})
}

// sendPhoneCode begins a challenge, and sends the code that answers it.
func (c *call) sendPhoneCode() error {
	f, err := c.fields()
	if err != nil {
		return err
	}
	d, user, phone := c.asked(f, grants.SMS), f.userID("user_id"), f.text("mfa_phone_id", maxPhoneID)
	if err := f.err(); err != nil {
		return err
	}
	if !c.key.Mints(d.Action.String()) {
		return errForbidden
	}
	p, err := c.actFor("user_id", user)
	if err != nil {
		return err
	}
	id, err := c.phone(p, phone)
	if err != nil {
		return err
	}
	challenge, err := c.api.o.Service.Begin(c.r.Context(), p, ceremony.Ask{Demand: d})
	if err != nil {
		return err
	}
	if _, err := c.api.o.Service.SendCode(c.r.Context(), p, challenge.ID, id); err != nil {
		// Nobody is told of it, and kept it would in the end take the place of one
		// whose code is on its way.
		if err := c.api.o.Service.Cancel(context.WithoutCancel(c.r.Context()), p, challenge.ID); err != nil {
			return err
		}
		if errors.Is(err, ceremony.ErrNotFound) {
			return wrongField("mfa_phone_id", "phone_not_found") // removed since
		}
		return c.ofUser(p, err)
	}
	return c.answer(http.StatusOK, struct {
		ID string `json:"challenge_id"`
	}{ceremony.ChallengeUUID(challenge.ID)})
}

// maxPhoneID is longer than every id of a phone.
const maxPhoneID = 64

// phone gives the authenticator that is named by its id or its UUID.
func (c *call) phone(p ceremony.Principal, named string) (string, error) {
	u, err := c.api.o.Service.User(c.r.Context(), p.Subject)
	if err != nil {
		return "", c.ofUser(p, err)
	}
	if !hasKind(&u, grants.SMS) {
		return "", errMFANotEnabled
	}
	for i := range u.Authenticators {
		a := &u.Authenticators[i]
		if a.Method == grants.SMS && (a.ID == named || sameUUID(phoneUUID(u.Subject, a.ID), named)) {
			return a.ID, nil
		}
	}
	return "", wrongField("mfa_phone_id", "phone_not_found")
}

func sameUUID(ours, named string) bool {
	u, err := uuid.Parse(named)
	return err == nil && len(named) == len(ours) && u.String() == ours
}

// maxChallengeID is longer than every challenge's id.
const maxChallengeID = 64

func (c *call) verifyPhoneCode() error {
	f, err := c.fields()
	if err != nil {
		return err
	}
	challenge, user, code := f.text("challenge_id", maxChallengeID), f.userID("user_id"), f.code("code")
	if err := f.err(); err != nil {
		return err
	}
	p, err := c.actFor("user_id", user)
	if err != nil {
		return err
	}
	if _, err := c.api.o.Service.User(c.r.Context(), p.Subject); err != nil {
		return c.ofUser(p, err)
	}
	challenge = ceremony.ChallengeID(challenge)
	d, err := c.api.o.Service.Describe(c.r.Context(), p, challenge)
	if err != nil {
		return c.ofChallenge(p, err)
	}
	// Another key may have begun it, for an action type that is not this one's.
	if !c.key.Mints(d.Demand.Action.String()) {
		return errForbidden
	}
	won, err := c.api.o.Service.Verify(c.r.Context(), p, challenge, ceremony.Answer{Method: grants.SMS, Code: code})
	if err != nil {
		return c.ofChallenge(p, err)
	}
	return c.answerGrant(&won)
}

// ofChallenge tells in the API's words why a challenge was not passed.
func (c *call) ofChallenge(p ceremony.Principal, err error) error {
	switch {
	case errors.Is(err, ceremony.ErrNotFound):
		return wrongField("challenge_id", "challenge_not_found")
	case errors.Is(err, ceremony.ErrExpired):
		return wrongField("challenge_id", "challenge_expired")
	case errors.Is(err, ceremony.ErrInvalidCode):
		return wrongField("code", "incorrect_code")
	}
	return c.ofUser(p, err)
}

// maxGrant is longer than every grant's token.
const maxGrant = 256

// verifyGrant tells of no grant why it is not good (S02).
func (c *call) verifyGrant() error {
	f, err := c.fields()
	if err != nil {
		return err
	}
	action, user, token := f.action("action_type"), f.userID("user_id"), f.text("grant", maxGrant)
	if err := f.err(); err != nil {
		return err
	}
	p, err := c.actFor("user_id", user)
	if err != nil {
		return err
	}
	var today *grants.Demand
	if d, ok := c.api.o.Demand(c.tenant(), action.String()); ok {
		today = &d
	}
	err = c.api.o.Service.VerifyGrant(c.r.Context(), p, action, today, token)
	if errors.Is(err, ceremony.ErrNoGrant) {
		return wrongField("grant", "grant_not_found")
	}
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, struct {
		Success bool `json:"success"`
	}{true})
}
