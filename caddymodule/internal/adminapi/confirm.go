package adminapi

import (
	"context"
	"encoding/hex"
	"errors"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
)

// ConfirmAllRequest asks to confirm the authenticators of all users that are suspended
// since the database was restored from a backup, a page at a time.
type ConfirmAllRequest struct {
	Tenant string `json:"tenant,omitempty"`
	Cursor string `json:"cursor,omitempty"`
}

// ConfirmAllAnswer tells how many users of the page were confirmed. Next continues;
// empty, there are no more.
type ConfirmAllAnswer struct {
	Confirmed int    `json:"confirmed"`
	Next      string `json:"next,omitempty"`
}

func confirm(ctx context.Context, g Gateway, in Who) (Done, error) {
	who, err := subject(ctx, g, in)
	if err != nil {
		return Done{}, err
	}
	err = g.Service().ConfirmAuthenticators(ctx, who)
	if errors.Is(err, ceremony.ErrNotFound) {
		err = notFound("no authenticator of %q waits to be confirmed", who.User)
	}
	return Done{Tenant: who.Tenant, User: who.User}, err
}

func confirmAll(ctx context.Context, g Gateway, in ConfirmAllRequest) (out ConfirmAllAnswer, err error) {
	cursor, err := pageAfter(in.Tenant, in.Cursor)
	if err != nil {
		return out, err
	}
	waiting, next, err := g.Service().Unconfirmed(ctx, in.Tenant, cursor, unlockPage)
	if err != nil {
		return out, err
	}
	for _, who := range waiting {
		if err := g.Service().ConfirmAuthenticators(ctx, who); err != nil && !errors.Is(err, ceremony.ErrNotFound) {
			return out, err
		}
		out.Confirmed++
	}
	if len(next) == 0 && in.Tenant == "" {
		err = g.Service().AllConfirmed(ctx)
	}
	out.Next = hex.EncodeToString(next)
	return out, err
}
