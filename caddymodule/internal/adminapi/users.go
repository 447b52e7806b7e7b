package adminapi

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"github.com/stepup-gateway/caddy-stepup/config"
	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
)

// Who names a user in a request.
type Who struct {
	Tenant string `json:"tenant,omitempty"`
	User   string `json:"user"`
}

// UsersRequest asks for a part of the users.
type UsersRequest struct {
	Tenant string `json:"tenant,omitempty"`
	Cursor string `json:"cursor,omitempty"` // from the answer before
	Limit  int    `json:"limit,omitempty"`  // up to 1000; default 100
}

// UsersAnswer lists users; Next asks for more, and is empty at the end.
type UsersAnswer struct {
	Users []User `json:"users"`
	Next  string `json:"next,omitempty"`
}

// User is what the operator sees of a user.
type User struct {
	Tenant            string          `json:"tenant"`
	User              string          `json:"user"`
	UUID              string          `json:"user_uuid"` // stands for the user where servers speak UUIDs
	State             string          `json:"state"`
	Authenticators    []Authenticator `json:"authenticators"`
	RecoveryCodesLeft int             `json:"recovery_codes_left"`
	LiveGrants        int             `json:"live_grants"`
	Locked            []string        `json:"locked,omitempty"` // the budgets of wrong answers that are used up
	// LockedUntil is when the wait that wrong answers began ends. Budgets that are
	// used up have no end.
	LockedUntil *time.Time `json:"locked_until,omitempty"`
	// Rename marks an account that nobody reaches: its id is not in the form in
	// which ids are kept today. Rename the user at the identity source, reset
	// this account, and invite the new name.
	Rename    bool      `json:"rename,omitempty"`
	CreatedAt time.Time `json:"created_at"`
}

// Authenticator is one enrolled means of proof.
type Authenticator struct {
	ID         string     `json:"id"`
	Type       string     `json:"type"`
	Label      string     `json:"label"`
	CreatedAt  time.Time  `json:"created_at"`
	LastUsedAt *time.Time `json:"last_used_at,omitempty"`
}

func userOf(u ceremony.User) User {
	out := User{
		Tenant: u.Subject.Tenant, User: u.Subject.User, UUID: ceremony.UserUUID(u.Subject), State: string(u.State),
		Authenticators:    make([]Authenticator, 0, len(u.Authenticators)),
		RecoveryCodesLeft: u.RecoveryCodesLeft, LiveGrants: u.Grants, Locked: u.Locked, CreatedAt: u.CreatedAt,
	}
	if !u.LockedUntil.IsZero() {
		out.LockedUntil = &u.LockedUntil
	}
	for _, a := range u.Authenticators {
		shown := Authenticator{ID: a.ID, Type: a.Type, Label: a.Label, CreatedAt: a.CreatedAt}
		if !a.LastUsedAt.IsZero() {
			shown.LastUsedAt = &a.LastUsedAt
		}
		out.Authenticators = append(out.Authenticators, shown)
	}
	return out
}

// pageAfter checks what pages of users are asked for by, and returns the cursor.
func pageAfter(tenant, cursor string) ([]byte, error) {
	after, err := hex.DecodeString(cursor)
	if err != nil {
		return nil, refused("cursor is none that was given out")
	}
	if tenant != "" {
		if err := config.CheckTenant(tenant); err != nil {
			return nil, refused("%w", err)
		}
	}
	return after, nil
}

func users(ctx context.Context, g Gateway, in UsersRequest) (UsersAnswer, error) {
	out := UsersAnswer{Users: []User{}}
	if in.Limit == 0 {
		in.Limit = 100
	}
	if in.Limit < 1 || in.Limit > 1000 {
		return out, refused("limit must be between 1 and 1000")
	}
	cursor, err := pageAfter(in.Tenant, in.Cursor)
	if err != nil {
		return out, err
	}
	found, next, err := g.Service().Users(ctx, in.Tenant, cursor, in.Limit)
	if err != nil {
		return out, err
	}
	for _, u := range found {
		shown := userOf(u)
		form, err := g.Form(u.Subject.Tenant, u.Subject.User)
		shown.Rename = err != nil || form != u.Subject.User
		out.Users = append(out.Users, shown)
	}
	out.Next = hex.EncodeToString(next)
	return out, nil
}

func user(ctx context.Context, g Gateway, in Who) (User, error) {
	u, err := known(ctx, g, in)
	if err != nil {
		return User{}, err
	}
	return userOf(u), nil
}

// known returns a user that ever enrolled or was reset.
func known(ctx context.Context, g Gateway, in Who) (ceremony.User, error) {
	who, err := subject(ctx, g, in)
	if err != nil {
		return ceremony.User{}, err
	}
	u, err := g.Service().User(ctx, who)
	if !errors.Is(err, ceremony.ErrNotFound) {
		return u, err
	}
	return ceremony.User{}, unknown(ctx, g, who)
}

// Done is the answer to a change: the user in the form in which it is kept.
type Done struct {
	Tenant string `json:"tenant"`
	User   string `json:"user"`
}

// ResetRequest takes all authenticators from a user.
type ResetRequest struct {
	Who
	// New allows a user who never enrolled: they need an invite from then on.
	New bool `json:"new,omitempty"`
}

func reset(ctx context.Context, g Gateway, in ResetRequest) (Done, error) {
	do := func(who grants.Subject) error { return g.Service().Reset(ctx, who) }
	who, err := subject(ctx, g, in.Who)
	if err != nil {
		return Done{}, err
	}
	if _, err := g.Service().User(ctx, who); !errors.Is(err, ceremony.ErrNotFound) {
		return changeKnown(ctx, g, in.Who, do) // also one who left the directory
	}
	switch listed, err := isListed(ctx, g, who); {
	case err != nil:
		return Done{}, err
	case listed || in.New:
		return change(ctx, g, in.Who, do)
	}
	return changeKnown(ctx, g, in.Who, do)
}

func unlock(ctx context.Context, g Gateway, in Who) (Done, error) {
	return changeKnown(ctx, g, in, func(who grants.Subject) error { return g.Service().Unlock(ctx, who) })
}

func change(ctx context.Context, g Gateway, in Who, do func(grants.Subject) error) (Done, error) {
	who, err := subject(ctx, g, in)
	if err != nil {
		return Done{}, err
	}
	return Done{Tenant: who.Tenant, User: who.User}, do(who)
}

// changeKnown is change of a user that ever enrolled or was reset: a name that is
// misspelled is told so, where the verb would find nothing to do.
func changeKnown(ctx context.Context, g Gateway, in Who, do func(grants.Subject) error) (Done, error) {
	u, err := known(ctx, g, in)
	if err != nil {
		return Done{}, err
	}
	return Done{Tenant: u.Subject.Tenant, User: u.Subject.User}, do(u.Subject)
}

// InviteRequest registers an invite.
type InviteRequest struct {
	Who
	Hash      string    `json:"hash"` // of the invite, 64 hexadecimal digits
	ExpiresAt time.Time `json:"expires_at"`
}

// maxInvite is the longest that an invite may hold.
const maxInvite = 30 * 24 * time.Hour

func invite(ctx context.Context, g Gateway, in InviteRequest) (Done, error) {
	hash, err := hashOf(in.Hash)
	if err != nil {
		return Done{}, err
	}
	if until := time.Until(in.ExpiresAt); until > maxInvite+time.Minute {
		return Done{}, refused("an invite holds for at most 30 days")
	}
	return change(ctx, g, in.Who, func(who grants.Subject) error {
		if _, err := isListed(ctx, g, who); err != nil {
			return err
		}
		if err := g.Service().Invite(ctx, who, hash, in.ExpiresAt); errors.Is(err, ceremony.ErrEnrollmentDenied) {
			return refused("the global options have `enrollment deny`, so no invite would be accepted: write `enrollment invite` first")
		} else if err != nil {
			return err
		}
		return nil
	})
}

// RevokeRequest ends a user's grants.
type RevokeRequest struct {
	Who
	ActionType string `json:"action_type,omitempty"` // empty: all
}

// RevokeAnswer tells how many grants were ended.
type RevokeAnswer struct {
	Done
	Revoked int `json:"revoked"`
}

func revoke(ctx context.Context, g Gateway, in RevokeRequest) (RevokeAnswer, error) {
	var out RevokeAnswer
	if in.ActionType != "" {
		if _, err := grants.NewAction(in.ActionType); err != nil {
			return out, refused("%w", err)
		}
	}
	var err error
	out.Done, err = changeKnown(ctx, g, in.Who, func(who grants.Subject) (err error) {
		out.Revoked, err = g.Service().Revoke(ctx, who, in.ActionType)
		return err
	})
	return out, err
}
