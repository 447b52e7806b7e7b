package adminapi

import (
	"context"
	"encoding/hex"
)

// UnlockAllRequest asks to forgive the wrong codes of all users, a page at a time.
type UnlockAllRequest struct {
	Tenant string `json:"tenant,omitempty"`
	Cursor string `json:"cursor,omitempty"`
}

// UnlockAllAnswer tells how many users of the page were unlocked. Next continues;
// empty, there are no more.
type UnlockAllAnswer struct {
	Unlocked int    `json:"unlocked"`
	Next     string `json:"next,omitempty"`
}

// unlockPage is how many users are looked at for one request.
const unlockPage = 200

func unlockAll(ctx context.Context, g Gateway, in UnlockAllRequest) (out UnlockAllAnswer, err error) {
	cursor, err := pageAfter(in.Tenant, in.Cursor)
	if err != nil {
		return out, err
	}
	var next []byte
	out.Unlocked, next, err = g.Service().UnlockAll(ctx, in.Tenant, cursor, unlockPage)
	out.Next = hex.EncodeToString(next)
	return out, err
}
