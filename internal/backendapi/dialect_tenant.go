package backendapi

import (
	"bufio"
	"errors"
	"io"
	"net/http"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/apikeys"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
)

// tenants is the dialect in which people enroll themselves, each under the name of
// the tenant that they belong to.
var tenants = dialect{
	under:   []string{"/v1/users/"},
	schemes: []string{"bearer"},
	tell:    tellTenant,
}

func tenantRoutes() []route {
	return []route{
		{http.MethodPost, "/v1/users/me/mfa/totp", &tenants, byKeyOrUser, []apikeys.Scope{apikeys.ScopeEnroll}, (*call).tenantEnroll},
	}
}

type (
	tenantEnrollment struct {
		ID     string `json:"id"`
		Secret string `json:"secret"`
		QRURI  string `json:"qr_uri"`
	}
	tenantRefusal struct {
		Code    string         `json:"code"`
		Message string         `json:"message"`
		Details map[string]any `json:"details"`
		// Notices would tell of the operator's policies; there are none yet.
		Notices []string `json:"notices"`
	}
)

func tellTenant(_ *call, e *refusal) any {
	out := tenantRefusal{Code: e.code, Message: e.detail, Details: map[string]any{}, Notices: []string{}}
	switch e.code {
	case errInvalidKey.code:
		out.Code, out.Message = "unauthenticated", "A user's token, or an API key, is missing or not valid."
	case "invalid_request_fields":
		out.Code = "invalid_request"
		for name, word := range e.fields {
			out.Details[name] = saying(word)
		}
	}
	return out
}

// tenantEnroll begins the enrollment of an app for who is asking.
func (c *call) tenantEnroll() error {
	// That it matches is seen to wherever it is sent; here it must be.
	if len(c.r.Header["X-Tenant-Id"]) == 0 {
		return wrongField("X-Tenant-ID", "required")
	}
	if err := c.ignoreFields(); err != nil {
		return err
	}
	who, err := c.me()
	if err != nil {
		return err
	}
	e, err := c.api.o.Service.Enroll(c.r.Context(), c.principal(who), ceremony.Setup{Kind: grants.TOTP}, ceremony.Leave{})
	if err != nil {
		return err
	}
	return c.answer(http.StatusCreated, tenantEnrollment{ID: ceremony.EnrollmentUUID(e.ID), Secret: e.Key.Base32(), QRURI: e.URI})
}

// me is who is asking. An API key is nobody's; who sends one must say by other
// means whom they mean, as the operator set it up.
func (c *call) me() (grants.Subject, error) {
	if c.key == nil {
		return c.user, nil
	}
	missing := &refusal{status: http.StatusUnauthorized, code: "unauthenticated",
		detail: "An API key names no user: send a user's own token, or what the operator set up to tell the user by."}
	if c.api.o.Identify == nil {
		return grants.Subject{}, missing
	}
	// The key is no matter of the identity source's, which may ask elsewhere with
	// what it is sent.
	r := c.r.Clone(c.r.Context())
	r.Header.Del("Authorization")
	who, err := c.api.o.Identify(r)
	switch {
	case errors.Is(err, ErrNobody), err == nil && who.IsZero():
		return grants.Subject{}, missing
	case err == nil && who.Tenant != c.key.Tenant:
		return grants.Subject{}, errTenantMismatch
	}
	return who, err
}

// ignoreFields reads a body that need not be there, and of which nothing is
// wanted.
func (c *call) ignoreFields() error {
	if c.r.ContentLength == 0 {
		return nil
	}
	// Where the length is not told there may be none all the same.
	body := bufio.NewReader(c.r.Body)
	if _, err := body.Peek(1); err == io.EOF {
		return nil
	}
	c.r.Body = struct {
		io.Reader
		io.Closer
	}{body, c.r.Body}
	_, err := c.fields()
	return err
}
