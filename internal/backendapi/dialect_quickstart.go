package backendapi

import (
	"errors"
	"net/http"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/apikeys"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
)

// quickstart is the API of SecureAuth's quickstart guide: enrolling, verifying and
// backup codes, by the enrollment's id. A session token of it is a time-based grant
// for the action type of Options.Session.
var quickstart = dialect{
	under:   []string{"/v1/mfa/", qrPath},
	schemes: []string{"bearer"},
	tell:    tellQuickstart,
}

const quickstartVerify = "/v1/mfa/verify"

func quickstartRoutes() []route {
	at := func(path string, serve func(*call) error, scopes ...apikeys.Scope) route {
		return route{method: http.MethodPost, pattern: path, dialect: &quickstart, admit: byKey, scopes: scopes, serve: serve}
	}
	return []route{
		at("/v1/mfa/enroll", (*call).enroll, apikeys.ScopeEnroll),
		at(quickstartVerify, (*call).verifyEnrollment, apikeys.ScopeEnroll, apikeys.ScopeVerify),
		at("/v1/mfa/backup", (*call).backupCodes, apikeys.ScopeEnroll, apikeys.ScopeReset),
		{method: http.MethodGet, pattern: qrPath + "{enrollment_id}.png", dialect: &quickstart, admit: byAnybody, serve: (*call).qrImage},
	}
}

// tellQuickstart returns the documented body, which has no member but the code. A
// refusal to verify says at the same place as a success that nothing is verified.
func tellQuickstart(c *call, e *refusal) any {
	body := struct {
		Verified *bool  `json:"verified,omitempty"`
		Error    string `json:"error"`
	}{Error: e.code}
	if c.route != nil && c.route.pattern == quickstartVerify {
		body.Verified = new(bool)
	}
	if len(e.fields) > 0 {
		body.Error = "invalid_request"
	}
	return body
}

var (
	errNoSuchUser         = &refusal{status: http.StatusNotFound, code: "user_not_found", detail: "The user is not enrolled."}
	errEnrollmentNotFound = &refusal{status: http.StatusNotFound, code: "enrollment_not_found", detail: "No enrollment matches that ID."}
	errInvalidTOTPCode    = &refusal{status: http.StatusUnauthorized, code: "invalid_totp_code", detail: "The code is wrong or was used before."}
)

// enrollmentPrefix begins the ids of enrollments in this API, and maxEnrollmentID
// is longer than each.
const (
	enrollmentPrefix = "enr_"
	maxEnrollmentID  = 64
)

func (c *call) enroll() error {
	f, err := c.fields()
	if err != nil {
		return err
	}
	user := f.userID("user_id")
	if m := f.text("method", 32); m != "" && m != grants.TOTP.String() {
		f.refuse("method", "unknown_value")
	}
	if err := f.err(); err != nil {
		return err
	}
	p, err := c.actFor("user_id", user)
	if err != nil {
		return err
	}
	e, err := c.api.o.Service.Enroll(c.r.Context(), p, ceremony.Setup{Kind: grants.TOTP}, ceremony.Leave{})
	if err != nil {
		return err
	}
	id := enrollmentPrefix + e.ID
	return c.answer(http.StatusOK, struct {
		ID  string `json:"enrollment_id"`
		URI string `json:"totp_uri"`
		QR  string `json:"qr_code_url"`
	}{id, e.URI, c.address(qrPath + id + ".png")})
}

// address is where clients reach the path.
func (c *call) address(path string) string {
	if base := c.api.o.BaseURL; base != "" {
		return strings.TrimSuffix(base, "/") + path
	}
	scheme := "http://"
	if c.api.o.Server.Secure(c.r) {
		scheme = "https://"
	}
	return scheme + c.r.Host + path
}

// verifyEnrollment confirms an enrollment that is pending, and asks the
// authenticator that it became from then on. The first needs the scope enroll, and
// gives a session token too where the key mints them; the second is nothing but a
// session token.
func (c *call) verifyEnrollment() error {
	f, err := c.fields()
	if err != nil {
		return err
	}
	named, code := f.text("enrollment_id", maxEnrollmentID), f.code("totp_code")
	if err := f.err(); err != nil {
		return err
	}
	id, ours := strings.CutPrefix(named, enrollmentPrefix)
	who, full, err := c.api.o.Service.Enrolled(c.r.Context(), c.tenant(), id)
	if err == nil && ours != (full == id) {
		err = ceremony.ErrNotFound // the other dialects name it by its UUID, as it is
	}
	if err != nil {
		return ofEnrollment(err)
	}
	p := c.principal(who)
	_, err = c.api.o.Service.Pending(c.r.Context(), p, full)
	if err == nil {
		err = c.confirmEnrollment(p, full, code)
	}
	// Whoever confirms it meanwhile leaves an authenticator to ask.
	if errors.Is(err, ceremony.ErrNotFound) {
		err = c.proveEnrollment(p, full, code)
	}
	return ofEnrollment(err)
}

func (c *call) confirmEnrollment(p ceremony.Principal, id, code string) error {
	if !c.key.May(apikeys.ScopeEnroll) {
		return errForbidden
	}
	var session *grants.Demand
	if c.mintsSessions() {
		session = &c.api.o.Session
	}
	done, err := c.api.o.Service.ConfirmFor(c.r.Context(), p, id, code, session, ceremony.CodesLater)
	if err != nil {
		return err
	}
	return c.answerVerified(done.Won)
}

func (c *call) proveEnrollment(p ceremony.Principal, id, code string) error {
	if !c.mintsSessions() {
		return errForbidden // before an attempt or a code is used up for nothing
	}
	won, err := c.api.o.Service.ProveWith(c.r.Context(), p, c.api.o.Session, id, ceremony.Answer{Method: grants.TOTP, Code: code})
	if err != nil {
		return err
	}
	return c.answerVerified(&won)
}

func (c *call) mintsSessions() bool { return c.key.Mints(c.api.o.Session.Action.String()) }

func (c *call) answerVerified(won *ceremony.Won) error {
	body := struct {
		Verified bool   `json:"verified"`
		Token    string `json:"session_token,omitempty"`
	}{Verified: true}
	if won != nil {
		body.Token = won.Token.Text()
	}
	return c.answer(http.StatusOK, body)
}

// ofEnrollment tells in the API's words why an enrollment was not verified.
func ofEnrollment(err error) error {
	switch {
	case errors.Is(err, ceremony.ErrInvalidCode):
		return errInvalidTOTPCode
	case errors.Is(err, ceremony.ErrNotFound), errors.Is(err, ceremony.ErrExpired), errors.Is(err, ceremony.ErrVoided),
		errors.Is(err, ceremony.ErrNotEnrolled), errors.Is(err, ceremony.ErrMethodNotAccepted):
		return errEnrollmentNotFound
	}
	return err
}

// backupCodes gives a user recovery codes. A key that may only enroll gives the
// first ones, since new ones put an end to those that the user holds.
func (c *call) backupCodes() error {
	f, err := c.fields()
	if err != nil {
		return err
	}
	user := f.userID("user_id")
	if err := f.err(); err != nil {
		return err
	}
	p, err := c.actFor("user_id", user)
	if err != nil {
		return err
	}
	renew := ceremony.FirstOnly
	if c.key.May(apikeys.ScopeReset) {
		renew = ceremony.Renew
	}
	codes, err := c.api.o.Service.FirstRecoveryCodes(c.r.Context(), p, renew)
	switch {
	case errors.Is(err, ceremony.ErrNotFound), errors.Is(err, ceremony.ErrNotEnrolled):
		return errNoSuchUser
	case err != nil:
		return err
	}
	return c.answer(http.StatusOK, struct {
		Codes []string `json:"backup_codes"`
	}{append([]string{}, codes...)})
}
