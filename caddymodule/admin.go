package caddymodule

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/stepup-gateway/caddy-stepup/config"
	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
)

func init() {
	caddy.RegisterModule(AdminAPI{})
}

// AdminAPI adds the operator's routes to Caddy's admin endpoint, for the
// command `caddy step-up` and for monitoring:
//
//	GET  /step_up/health
//	POST /step_up/users    {tenant?, cursor?, limit?}
//	POST /step_up/user     {tenant?, user}
//	POST /step_up/reset    {tenant?, user}
//	POST /step_up/unlock   {tenant?, user}
//	POST /step_up/unlock/all {tenant?, cursor?}
//	POST /step_up/invite   {tenant?, user, hash, expires_at}
//	POST /step_up/revoke   {tenant?, user, action_type?}
//	POST /step_up/explain  {method, url}
//	POST /step_up/coverage {tenant?, site?}
//
//	POST /step_up/keys        {}
//	POST /step_up/keys/create {tenant, label?, scopes, actions?, expires_at?, hash}
//	POST /step_up/keys/revoke {id}
//	POST /step_up/keys/enable {id}
//
//	POST /step_up/fence        {}
//	POST /step_up/fence/accept {trust_codes?, lost?}
//
// Users are named in bodies, since the admin endpoint logs addresses. A user's
// tenant may be left out where the sites have only one.
//
// The endpoint has no authentication of its own: whoever reaches it owns the
// gateway, as they own all of Caddy. Still no route gives out a secret or mints a
// grant; of an invite or an API key it gets the hash only.
type AdminAPI struct{}

// CaddyModule returns the module's id.
func (AdminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.step_up", New: func() caddy.Module { return new(AdminAPI) }}
}

// Routes returns the routes.
func (a *AdminAPI) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: "/step_up/health", Handler: caddy.AdminHandlerFunc(a.health)},
		{Pattern: "/step_up/users", Handler: post(users)},
		{Pattern: "/step_up/user", Handler: post(user)},
		{Pattern: "/step_up/reset", Handler: post(reset)},
		{Pattern: "/step_up/unlock", Handler: post(unlock)},
		{Pattern: "/step_up/unlock/all", Handler: post(unlockAll)},
		{Pattern: "/step_up/invite", Handler: post(invite)},
		{Pattern: "/step_up/revoke", Handler: post(revoke)},
		{Pattern: "/step_up/explain", Handler: post(explain)},
		{Pattern: "/step_up/coverage", Handler: post(coverageReport)},
		{Pattern: "/step_up/keys", Handler: post(listKeys)},
		{Pattern: "/step_up/keys/create", Handler: post(createKey)},
		{Pattern: "/step_up/keys/revoke", Handler: post(revokeKey)},
		{Pattern: "/step_up/keys/enable", Handler: post(enableKey)},
		{Pattern: "/step_up/fence", Handler: post(fence)},
		{Pattern: "/step_up/fence/accept", Handler: postUpTo(maxLostBody, acceptFence)},
	}
}

// maxAdminBody bounds the body of an admin request.
const maxAdminBody = 64 << 10

// activeApp returns the app of the configuration that runs now. The admin
// endpoint outlives configurations, so it is looked up for each request.
func activeApp() (*App, error) {
	module, err := caddy.ActiveContext().AppIfConfigured("step_up")
	if err != nil || module == nil {
		return nil, caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errors.New("step_up is not configured in the running Caddy")}
	}
	return module.(*App), nil
}

// post makes a route of a verb that takes a JSON body and gives a JSON answer.
func post[In, Out any](verb func(context.Context, *App, In) (Out, error)) caddy.AdminHandlerFunc {
	return postUpTo(maxAdminBody, verb)
}

// postUpTo is post with another bound of the body.
func postUpTo[In, Out any](limit int64, verb func(context.Context, *App, In) (Out, error)) caddy.AdminHandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if r.Method != http.MethodPost {
			return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: errors.New("use POST")}
		}
		// No form of a web page can send this type, whatever the endpoint's
		// own check of origins says.
		if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
			return caddy.APIError{HTTPStatus: http.StatusUnsupportedMediaType, Err: errors.New("send application/json")}
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
		if err != nil {
			return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: fmt.Errorf("reading body: %w", err)}
		}
		var in In
		d := json.NewDecoder(bytes.NewReader(body))
		d.DisallowUnknownFields()
		if err := d.Decode(&in); err != nil {
			return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: fmt.Errorf("reading body: %w", err)}
		}
		if _, err := d.Token(); err != io.EOF {
			return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: errors.New("reading body: something follows the object")}
		}
		app, err := activeApp()
		if err != nil {
			return err
		}
		out, err := verb(r.Context(), app, in)
		if err != nil {
			return adminError(err)
		}
		return answerJSON(w, http.StatusOK, out)
	}
}

func answerJSON(w http.ResponseWriter, status int, v any) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	return json.NewEncoder(w).Encode(v)
}

// adminError gives an error of a verb its status. The endpoint is the operator's,
// so the cause is told.
func adminError(err error) error {
	status := http.StatusServiceUnavailable
	switch {
	case errors.As(err, new(caddy.APIError)):
		return err
	case errors.Is(err, ceremony.ErrNotFound):
		status, err = http.StatusNotFound, errors.New("no such user: nobody of that name ever enrolled")
	case errors.Is(err, ceremony.ErrInvalid):
		status = http.StatusBadRequest
	case errors.Is(err, ceremony.ErrLimit), errors.Is(err, ceremony.ErrNotFenced):
		status = http.StatusConflict
	}
	return caddy.APIError{HTTPStatus: status, Err: err}
}

func refused(format string, args ...any) error {
	return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: fmt.Errorf(format, args...)}
}

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

func users(ctx context.Context, app *App, in UsersRequest) (UsersAnswer, error) {
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
	found, next, err := app.service.Users(ctx, in.Tenant, cursor, in.Limit)
	if err != nil {
		return out, err
	}
	for _, u := range found {
		shown := userOf(u)
		form, err := app.form(u.Subject.Tenant, u.Subject.User)
		shown.Rename = err != nil || form != u.Subject.User
		out.Users = append(out.Users, shown)
	}
	out.Next = hex.EncodeToString(next)
	return out, nil
}

func user(ctx context.Context, app *App, in Who) (User, error) {
	who, err := app.subject(ctx, in)
	if err != nil {
		return User{}, err
	}
	u, err := app.service.User(ctx, who)
	if err != nil {
		return User{}, err
	}
	return userOf(u), nil
}

// Done is the answer to a change: the user in the form in which it is kept.
type Done struct {
	Tenant string `json:"tenant"`
	User   string `json:"user"`
}

func reset(ctx context.Context, app *App, in Who) (Done, error) {
	return change(ctx, app, in, func(who grants.Subject) error { return app.service.Reset(ctx, who) })
}

func unlock(ctx context.Context, app *App, in Who) (Done, error) {
	return change(ctx, app, in, func(who grants.Subject) error { return app.service.Unlock(ctx, who) })
}

func change(ctx context.Context, app *App, in Who, do func(grants.Subject) error) (Done, error) {
	who, err := app.subject(ctx, in)
	if err != nil {
		return Done{}, err
	}
	return Done{Tenant: who.Tenant, User: who.User}, do(who)
}

// InviteRequest registers an invite.
type InviteRequest struct {
	Who
	Hash      string    `json:"hash"` // of the invite, 64 hexadecimal digits
	ExpiresAt time.Time `json:"expires_at"`
}

// maxInvite is the longest that an invite may hold.
const maxInvite = 30 * 24 * time.Hour

func invite(ctx context.Context, app *App, in InviteRequest) (Done, error) {
	hash, err := hashOf(in.Hash)
	if err != nil {
		return Done{}, err
	}
	if until := time.Until(in.ExpiresAt); until > maxInvite+time.Minute {
		return Done{}, refused("an invite holds for at most 30 days")
	}
	return change(ctx, app, in.Who, func(who grants.Subject) error {
		return app.service.Invite(ctx, who, hash, in.ExpiresAt)
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

func revoke(ctx context.Context, app *App, in RevokeRequest) (RevokeAnswer, error) {
	var out RevokeAnswer
	if in.ActionType != "" {
		if _, err := grants.NewAction(in.ActionType); err != nil {
			return out, refused("%w", err)
		}
	}
	var err error
	out.Done, err = change(ctx, app, in.Who, func(who grants.Subject) (err error) {
		out.Revoked, err = app.service.Revoke(ctx, who, in.ActionType)
		return err
	})
	return out, err
}

// Interface guards
var (
	_ caddy.Module      = (*AdminAPI)(nil)
	_ caddy.AdminRouter = (*AdminAPI)(nil)
)
