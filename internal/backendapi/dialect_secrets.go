package backendapi

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/apikeys"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
)

// secrets is the dialect in which a second factor is a secret of the user's, that
// is active once a code of the app proved it.
//
// Its document writes bodies that are no JSON; see scanLenient.
var secrets = dialect{
	under:   []string{"/users/"},
	schemes: []string{"bearer", jwtScheme},
	tell:    tellSecrets,
}

// jwtScheme is how the dialect's clients send what others send as Bearer.
const jwtScheme = "jwt"

func secretsRoutes() []route {
	enroll := []apikeys.Scope{apikeys.ScopeEnroll}
	return []route{
		{http.MethodPost, "/users/{user_id}/secrets", &secrets, byKeyOrUser, enroll, (*call).createSecret},
		// The document's text names the first path, its example the second.
		{http.MethodPut, "/users/{user_id}/secrets/{secret_id}", &secrets, byKeyOrUser, enroll, (*call).enrollSecret},
		{http.MethodPut, "/users/{user_id}/secrets/{secret_id}/enroll", &secrets, byKeyOrUser, enroll, (*call).enrollSecret},
	}
}

// mfaType is the one type of secrets that can be made.
const mfaType = "mfa"

type (
	secretMade struct {
		ID     string        `json:"id"`
		Type   string        `json:"type"`
		Secret secretContent `json:"secret"`
	}
	secretContent struct {
		OTPAuthURL string `json:"otpauth_url"`
		Secret     string `json:"secret"`
	}
	secretActive struct {
		Codes []string `json:"codes"`
	}
	secretRefusal struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
)

func tellSecrets(_ *call, e *refusal) any {
	switch e.code {
	case errInvalidKey.code:
		return secretRefusal{"unauthenticated", "A user's token, or an API key, is missing or not valid."}
	case "invalid_request_fields":
		told := e.detail
		for _, name := range slices.Sorted(maps.Keys(e.fields)) {
			told += " " + name + ": " + saying(e.fields[name])
		}
		return secretRefusal{"invalid_request", told}
	}
	return secretRefusal{e.code, e.detail}
}

var (
	errOtherUser   = &refusal{status: http.StatusForbidden, code: "forbidden", detail: "The token is another user's."}
	errNoSecret    = &refusal{status: http.StatusNotFound, code: "not_found", detail: "The user has no such secret."}
	errWrongToken  = &refusal{status: http.StatusBadRequest, code: "invalid_token_code", detail: "The code is wrong."}
	errSecretInUse = &refusal{status: http.StatusConflict, code: "already_enrolled", detail: "The user has a second factor already."}
)

// createSecret begins the enrollment of an app.
func (c *call) createSecret() error {
	f, err := c.lenientFields()
	if err != nil {
		return err
	}
	if kind := f.text("type", 64); kind != "" && kind != mfaType {
		f.refuse("type", "unknown_value")
	}
	if err := f.err(); err != nil {
		return err
	}
	p, err := c.owner(c.ids[0])
	if err != nil {
		return err
	}
	e, err := c.api.o.Service.Enroll(c.r.Context(), p, ceremony.Setup{Kind: grants.TOTP}, ceremony.Leave{})
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, secretMade{
		ID: ceremony.EnrollmentUUID(e.ID), Type: mfaType, Secret: secretContent{OTPAuthURL: e.URI, Secret: e.Key.Base32()},
	})
}

// enrollSecret finishes it with the app's first code.
func (c *call) enrollSecret() error {
	f, err := c.lenientFields()
	if err != nil {
		return err
	}
	token := f.token("token")
	if err := f.err(); err != nil {
		return err
	}
	p, err := c.owner(c.ids[0])
	if err != nil {
		return err
	}
	e, err := c.pendingSecret(p, c.ids[1])
	if err != nil {
		return err
	}
	done, err := c.api.o.Service.ConfirmFor(c.r.Context(), p, e.ID, token.padded(e.Key.Digits), nil, ceremony.CodesNow)
	switch {
	case errors.Is(err, ceremony.ErrInvalidCode):
		return errWrongToken
	case err != nil:
		return c.noMorePending(p, err) // somebody may have been first
	}
	return c.answer(http.StatusOK, secretActive{Codes: append([]string{}, done.RecoveryCodes...)})
}

// owner is the caller, acting for the user that the path names. Who comes with a
// token of their own can name nobody else.
func (c *call) owner(user string) (ceremony.Principal, error) {
	if c.key != nil {
		return c.actFor("user_id", user)
	}
	form, err := c.api.o.Form(c.user.Tenant, user)
	if (err != nil || form != c.user.User) && !strings.EqualFold(user, ceremony.UserUUID(c.user)) {
		return ceremony.Principal{}, errOtherUser
	}
	return c.principal(c.user), nil
}

// pendingSecret gives the user's secret of that id that waits for its first code.
func (c *call) pendingSecret(p ceremony.Principal, id string) (ceremony.Enrollment, error) {
	var none ceremony.Enrollment
	service, ctx := c.api.o.Service, c.r.Context()
	who, full, err := service.Enrolled(ctx, p.Tenant, id)
	if errors.Is(err, ceremony.ErrNotFound) || err == nil && who != p.Subject {
		return none, errNoSecret
	}
	if err != nil {
		return none, err
	}
	e, err := service.Pending(ctx, p, full)
	if err != nil {
		return none, c.noMorePending(p, err)
	}
	if e.Method != grants.TOTP {
		return none, errNoSecret
	}
	return e, nil
}

// noMorePending tells why a secret that there was waits for its first code no
// more: it, or another, is active, or a reset took it away.
func (c *call) noMorePending(p ceremony.Principal, err error) error {
	if !errors.Is(err, ceremony.ErrNotFound) && !errors.Is(err, ceremony.ErrVoided) {
		return err
	}
	account, err := c.api.o.Service.Account(c.r.Context(), p)
	switch {
	case err != nil:
		return err
	case account.Enrolled:
		return errSecretInUse
	}
	return errNoSecret
}

// lenientFields reads the body as this dialect's document writes it.
func (c *call) lenientFields() (*fields, error) {
	body, err := c.raw()
	if err != nil {
		return nil, err
	}
	got, err := scanLenient(body)
	if err != nil {
		return nil, errMalformed
	}
	f := &fields{got: make(map[string]any, len(got))}
	for name, v := range got {
		if f.got[name] = v.text; v.number {
			f.got[name] = json.Number(v.text)
		}
	}
	return f, nil
}

// token reads a code that may have been sent as a number.
func (f *fields) token(name string) scalar {
	if n, ok := f.got[name].(json.Number); ok {
		if len(n) > maxCode {
			f.refuse(name, "too_long")
		}
		return scalar{text: n.String(), number: true}
	}
	return scalar{text: f.code(name)}
}

// padded is the code with the leading zeros that a number lost, where it was one.
func (s scalar) padded(digits int) string {
	if !s.number {
		return s.text
	}
	return strings.Repeat("0", max(0, digits-len(s.text))) + s.text
}
