package backendapi

import (
	"errors"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/cause"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
)

// reportRefusal tells Options.Refused of a call that was refused for who made it.
// What was sent in the place of a key is told to nobody (S13).
func (c *call) reportRefusal(err error) {
	word := c.refusedFor(err)
	if word == "" || c.api.o.Refused == nil {
		return
	}
	e := ceremony.Event{
		Time: c.api.o.Now(), Kind: ceremony.EventAPICall, Outcome: ceremony.Refused, Cause: string(word),
		Address: c.api.o.Server.Client(c.r), Actor: ceremony.Actor{Kind: ceremony.ByNobody},
	}
	if c.key != nil || !c.user.IsZero() {
		p := c.principal(c.user)
		e.Subject, e.Actor = grants.Subject{Tenant: c.tenant(), User: c.user.User}, p.Actor(c.r.Context())
	}
	c.api.o.Refused(c.r.Context(), e)
}

// refusedFor is the word for a refusal of who is asking; empty for others, which
// verbs report.
func (c *call) refusedFor(err error) cause.Word {
	switch {
	case errors.Is(err, errInvalidKey), errors.Is(err, ErrNobody):
		if len(c.r.Header["Authorization"]) == 0 {
			return cause.KeyMissing
		}
		return cause.BadKey
	case errors.Is(err, errTooManyBadKeys):
		return cause.TooManyBadKeys
	case errors.Is(err, errForbidden):
		return cause.KeyScope
	case errors.Is(err, errTenantMismatch):
		return cause.WrongTenant
	case errors.Is(err, errCrossOrigin):
		return cause.CrossOrigin
	case ceremony.CauseOf(err) == cause.KeySuspended:
		return cause.KeySuspended
	}
	return ""
}
