package adminapi

import (
	"context"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/nearest"
)

// isListed reports whether the directory of the user's tenant has the user. Without
// a directory nobody is listed, and that is no error; with one, a user whom it does
// not have is.
func isListed(ctx context.Context, g Gateway, who grants.Subject) (bool, error) {
	answer, asked, err := g.Lookup(ctx, who)
	switch {
	case err != nil:
		return false, noAnswer(who, err)
	case !asked:
		return false, nil
	case answer.Found:
		return true, nil
	}
	return false, notFound("the directory of the tenant %s has no user %q%s", who.Tenant, who.User, didYouMean(answer.Near))
}

// noAnswer is the error for the operator where the directory cannot be asked.
func noAnswer(who grants.Subject, err error) error {
	return caddy.APIError{HTTPStatus: http.StatusServiceUnavailable,
		Err: fmt.Errorf("the directory of the tenant %s cannot tell whether there is a user %q, so nothing was done: %w", who.Tenant, who.User, err)}
}

// unknown is the error about a user who never enrolled: with the name that was
// meant, if one is near.
func unknown(ctx context.Context, g Gateway, who grants.Subject) error {
	answer, asked, err := g.Lookup(ctx, who)
	switch {
	case err != nil:
		return noAnswer(who, err)
	case answer.Found:
		return notFound("%q is in the directory of the tenant %s, and never enrolled", who.User, who.Tenant)
	}
	near := answer.Near
	if near == "" {
		var others []string
		some, _, err := g.Service().Users(ctx, who.Tenant, nil, 1000)
		if err != nil {
			return err
		}
		for _, u := range some {
			others = append(others, u.Subject.User)
		}
		near = nearest.Of(who.User, others)
	}
	if asked {
		return notFound("the directory of the tenant %s has no user %q, and nobody of that name ever enrolled%s", who.Tenant, who.User, didYouMean(near))
	}
	return notFound("nobody called %q ever enrolled in the tenant %s%s", who.User, who.Tenant, didYouMean(near))
}

func didYouMean(near string) string {
	if near == "" {
		return ""
	}
	return fmt.Sprintf(": did you mean %q?", near)
}
