package backendapi

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/apikeys"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
)

// errInvalidKey is the one answer to every key that is none.
var errInvalidKey = &refusal{status: http.StatusUnauthorized, code: "invalid_token", detail: "The API key is missing or not valid."}

var errForbidden = &refusal{status: http.StatusForbidden, code: "forbidden", detail: "The API key does not allow this."}

var errTenantMismatch = &refusal{status: http.StatusForbidden, code: "tenant_mismatch", detail: "The credential belongs to another tenant."}

// errTooManyBadKeys is what a key is refused for that was not looked at.
var errTooManyBadKeys = errors.New("too many bad API keys came from the address")

var errCrossOrigin = &refusal{status: http.StatusForbidden, code: "cross_origin", detail: "The request came from another site."}

// authenticate finds out who is asking, and whether they may.
func (c *call) authenticate() error {
	if c.route.admit == byAnybody {
		return nil
	}
	if err := c.api.o.Service.RolledBack(c.r.Context()); err != nil {
		return err
	}
	if err := c.identify(); err != nil {
		return err
	}
	if err := c.checkTenant(); err != nil {
		return err
	}
	if c.key != nil && len(c.route.scopes) > 0 && !slices.ContainsFunc(c.route.scopes, c.key.May) {
		return errForbidden
	}
	return nil
}

func (c *call) identify() error {
	if key, ok := c.credential(); ok || c.route.admit == byKey || c.api.o.Identify == nil {
		return c.identifyKey(key)
	}
	if len(c.r.Header["Authorization"]) > 1 {
		return ErrAmbiguous // whichever of them the identity source would take (S21)
	}
	// A key is sent by who has it. A user may be known by a cookie, which browsers
	// send whoever asks (S10).
	if c.api.cross.Check(c.r) != nil {
		return errCrossOrigin
	}
	who, err := c.api.o.Identify(c.asBearer())
	switch {
	case errors.Is(err, ErrNobody), err == nil && who.IsZero():
		return errInvalidKey
	case err != nil:
		return err
	}
	c.user = who
	return nil
}

// identifyKey looks the key up, unless too many that were none came from the
// address and it is not known to be good. Requests without any are no guesses.
func (c *call) identifyKey(key string) error {
	address, now := c.api.o.Server.Client(c.r), c.api.o.Now()
	if wait := c.api.bad.wait(address, now); wait > 0 && !knownKeys.has(key) {
		return &refusal{cause: errTooManyBadKeys, status: http.StatusTooManyRequests, code: "too_many_requests", detail: "Too many bad API keys came from this address.", retryAfter: wait}
	}
	found, err := c.api.o.Service.KeyOf(c.r.Context(), key)
	if errors.Is(err, ceremony.ErrNotFound) {
		knownKeys.forget(key)
		if len(c.r.Header["Authorization"]) > 0 {
			c.api.bad.count(address, now)
		}
		return errInvalidKey
	}
	if err == nil {
		knownKeys.add(key)
		c.key = &found
		if c.api.o.Named != nil {
			c.api.o.Named(found.Actions)
		}
	}
	return err
}

// credential gives the API key that the request carries, and whether it is meant
// to be one.
func (c *call) credential() (string, bool) {
	values := c.r.Header["Authorization"]
	if len(values) != 1 {
		return "", false
	}
	scheme, key, _ := strings.Cut(values[0], " ")
	if !slices.Contains(c.dialect.schemes, strings.ToLower(scheme)) {
		return "", false
	}
	key = strings.TrimSpace(key)
	return key, strings.HasPrefix(key, apikeys.Prefix)
}

// asBearer is the request with the one scheme that identity sources know, where
// the dialect's clients write another.
func (c *call) asBearer() *http.Request {
	values := c.r.Header["Authorization"]
	if len(values) != 1 {
		return c.r
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if strings.EqualFold(scheme, "Bearer") || !slices.Contains(c.dialect.schemes, strings.ToLower(scheme)) {
		return c.r
	}
	r := c.r.Clone(c.r.Context())
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// errTenantForm is the answer to what is no tenant's name.
var errTenantForm = wrongField("X-Tenant-ID", "invalid")

// checkTenant holds the tenant that the request names, if it does, against the
// caller's.
func (c *call) checkTenant() error {
	named := c.r.Header["X-Tenant-Id"]
	switch {
	case len(named) == 0:
		return nil
	case len(named) > 1 || named[0] == "" || len(named[0]) > ceremony.MaxUserID || !isPlain(named[0]):
		return errTenantForm
	case named[0] == c.tenant() || strings.EqualFold(named[0], ceremony.TenantUUID(c.tenant()).String()):
		return nil
	}
	return errTenantMismatch
}

// tenant is the caller's.
func (c *call) tenant() string {
	if c.key != nil {
		return c.key.Tenant
	}
	return c.user.Tenant
}

// subject is whom the caller means by a user id or its UUID: somebody of the
// caller's tenant, whatever the id.
func (c *call) subject(field, user string) (grants.Subject, error) {
	form, err := c.api.o.Form(c.tenant(), user)
	if err != nil || form == "" {
		return grants.Subject{}, wrongField(field, "invalid")
	}
	return c.api.o.Service.Resolve(c.r.Context(), grants.Subject{Tenant: c.tenant(), User: form})
}

// principal is the caller, acting for the subject.
func (c *call) principal(who grants.Subject) ceremony.Principal {
	address := c.api.o.Server.Client(c.r)
	if c.key == nil {
		return ceremony.ServerPrincipal(who, ceremony.UserClient, address)
	}
	p := ceremony.ServerPrincipal(who, c.key.ID, address)
	p.ClientLabel = c.key.Label
	return p
}

// actFor is the caller, acting for who is meant by a user id.
func (c *call) actFor(field, user string) (ceremony.Principal, error) {
	who, err := c.subject(field, user)
	p := c.principal(who)
	if form, ferr := c.api.o.Form(c.tenant(), user); ferr == nil && form == who.User {
		p.Name = strings.TrimSpace(user) // else it is an alias, which people do not know
	}
	return p, err
}
