// Package adminapi is the operator's part of Caddy's admin endpoint: the routes
// under /step_up/, and the requests and answers that they take and give. The
// command `caddy step-up` uses them.
//
// It reaches the running gateway through [Gateway] alone, and decides nothing: the
// verbs are package ceremony's.
package adminapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/store"
)

func init() {
	caddy.RegisterModule(API{})
}

// API adds the operator's routes to Caddy's admin endpoint, for the
// command `caddy step-up` and for monitoring:
//
//	GET  /step_up/health
//	POST /step_up/users    {tenant?, cursor?, limit?}
//	POST /step_up/user     {tenant?, user}
//	POST /step_up/reset    {tenant?, user, new?}
//	POST /step_up/unlock   {tenant?, user}
//	POST /step_up/unlock/all {tenant?, cursor?}
//	POST /step_up/invite   {tenant?, user, hash, expires_at}
//	POST /step_up/revoke   {tenant?, user, action_type?}
//	POST /step_up/explain  {method, url}
//	POST /step_up/coverage {tenant?, site?}
//	POST /step_up/check    {config, urls?, offline?}
//
//	POST /step_up/keys        {}
//	POST /step_up/keys/create {tenant, label?, scopes, actions?, expires_at?, hash}
//	POST /step_up/keys/revoke {id}
//	POST /step_up/keys/enable {id}
//
//	POST /step_up/fence        {}
//	POST /step_up/fence/accept {trust_codes?, lost?}
//	POST /step_up/fence/confirm     {tenant?, user}
//	POST /step_up/fence/confirm/all {tenant?, cursor?}
//
//	POST /step_up/backup      {}, answered with a backup: not JSON
//	POST /step_up/backup/done {moment, rows, sha256}
//
//	POST /step_up/tenants        {}
//	POST /step_up/tenants/accept {tenant, offer}
//
// Users are named in bodies, since the admin endpoint logs addresses. A user's
// tenant may be left out where the sites have only one.
//
// The endpoint has no authentication of its own: whoever reaches it owns the
// gateway, as they own all of Caddy. Still no route gives out a secret or mints a
// grant; of an invite or an API key it gets the hash only, and a backup is sealed.
type API struct{}

// CaddyModule returns the module's id.
func (API) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.step_up", New: func() caddy.Module { return new(API) }}
}

// Routes returns the routes.
func (a *API) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: "/step_up/health", Handler: caddy.AdminHandlerFunc(a.health)},
		{Pattern: "/step_up/users", Handler: post(users)},
		{Pattern: "/step_up/user", Handler: post(user)},
		{Pattern: "/step_up/reset", Handler: post(taking(reset))},
		{Pattern: "/step_up/unlock", Handler: post(unlock)},
		{Pattern: "/step_up/unlock/all", Handler: post(unlockAll)},
		{Pattern: "/step_up/invite", Handler: post(invite)},
		{Pattern: "/step_up/revoke", Handler: post(taking(revoke))},
		{Pattern: "/step_up/explain", Handler: post(explain)},
		{Pattern: "/step_up/coverage", Handler: post(coverageReport)},
		{Pattern: "/step_up/check", Handler: postUpTo(maxConfig, checkRunning)},
		{Pattern: "/step_up/keys", Handler: post(listKeys)},
		{Pattern: "/step_up/keys/create", Handler: post(createKey)},
		{Pattern: "/step_up/keys/revoke", Handler: post(taking(revokeKey))},
		{Pattern: "/step_up/keys/enable", Handler: post(enableKey)},
		{Pattern: "/step_up/fence", Handler: post(fence)},
		{Pattern: "/step_up/fence/accept", Handler: postUpTo(maxLostBody, acceptFence)},
		{Pattern: "/step_up/fence/confirm", Handler: post(confirm)},
		{Pattern: "/step_up/fence/confirm/all", Handler: post(confirmAll)},
		{Pattern: "/step_up/backup", Handler: answering(maxAdminBody, func(w http.ResponseWriter, r *http.Request, g Gateway, _ struct{}) error {
			return takeBackup(w, r, g)
		})},
		{Pattern: "/step_up/backup/done", Handler: post(backupDone)},
		{Pattern: "/step_up/tenants", Handler: post(listTenants)},
		{Pattern: "/step_up/tenants/accept", Handler: post(acceptTenant)},
	}
}

// maxAdminBody bounds the body of an admin request.
const maxAdminBody = 64 << 10

// active returns the gateway of the configuration that runs now. The admin
// endpoint outlives configurations, so it is looked up for each request.
func active() (Gateway, error) {
	running := caddy.ActiveContext()
	if running.Context == nil {
		return nil, errStarting
	}
	module, err := running.AppIfConfigured("step_up")
	if err != nil || module == nil {
		return nil, caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errors.New("step_up is not configured in the running Caddy")}
	}
	return module.(Operated).Operator(), nil
}

// errStarting is the answer while the first configuration of the process starts.
var errStarting = caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: errors.New("the configuration is starting: try again in a second")}

// post makes a route of a verb that takes a JSON body and returns a JSON answer.
func post[In, Out any](verb func(context.Context, Gateway, In) (Out, error)) caddy.AdminHandlerFunc {
	return postUpTo(maxAdminBody, verb)
}

// taking is a verb that takes away access, which works longest.
func taking[In, Out any](verb func(context.Context, Gateway, In) (Out, error)) func(context.Context, Gateway, In) (Out, error) {
	return func(ctx context.Context, g Gateway, in In) (Out, error) { return verb(store.Taking(ctx), g, in) }
}

// postUpTo is post with another bound of the body.
func postUpTo[In, Out any](limit int64, verb func(context.Context, Gateway, In) (Out, error)) caddy.AdminHandlerFunc {
	return answering(limit, func(w http.ResponseWriter, r *http.Request, g Gateway, in In) error {
		out, err := verb(r.Context(), g, in)
		if err != nil {
			return adminError(err)
		}
		return answerJSON(w, http.StatusOK, out)
	})
}

// answering makes a route that takes a JSON body of what writes its own answer.
func answering[In any](limit int64, answer func(http.ResponseWriter, *http.Request, Gateway, In) error) caddy.AdminHandlerFunc {
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
		g, err := active()
		if err != nil {
			return err
		}
		return answer(w, r.WithContext(ceremony.ActingAs(r.Context(), operatorOf(r))), g, in)
	}
}

func answerJSON(w http.ResponseWriter, status int, v any) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	return json.NewEncoder(w).Encode(v)
}

// adminError adds the status of a verb's error. The endpoint is the operator's,
// so the cause is told.
func adminError(err error) error {
	status := http.StatusServiceUnavailable
	switch {
	case errors.As(err, new(caddy.APIError)):
		return err
	case errors.Is(err, ceremony.ErrNotFound):
		status = http.StatusNotFound
	case errors.Is(err, ceremony.ErrInvalid):
		status = http.StatusBadRequest
	case errors.Is(err, ceremony.ErrLimit), errors.Is(err, ceremony.ErrNotFenced),
		errors.Is(err, ceremony.ErrNoOffer), errors.Is(err, ceremony.ErrOtherOffer):
		status = http.StatusConflict
	}
	return caddy.APIError{HTTPStatus: status, Err: err}
}

func refused(format string, args ...any) error {
	return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: fmt.Errorf(format, args...)}
}

func notFound(format string, args ...any) error {
	return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: fmt.Errorf(format, args...)}
}

// Interface guards
var (
	_ caddy.Module      = (*API)(nil)
	_ caddy.AdminRouter = (*API)(nil)
)
