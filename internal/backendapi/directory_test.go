package backendapi

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
)

// Document 000: "user_not_found | 404 | The specified user_id not found".
//
// Statements of the documents, as docs/api.md numbers them:
//
//   - 000-12: The specified user_id not found
func TestUnknownUsersAreNotEnrolled(t *testing.T) {
	_, identify := withPeople()
	w := newWorld(t, identify)
	key := w.fullKey()
	w.List(nil, "alice", "bob", "carol")
	w.serve(identify)
	if got := w.post(enrollPath, key, enrollBody("alcie")); got.status != 404 || got.text != `{"error":"user_not_found"}` {
		t.Error(got.status, got.text)
	}
	w.wantSecretError(w.do(ask{method: http.MethodPost, path: secretsPath("alcie"), key: key, body: `{"type":"mfa"}`}), 404, "user_not_found")
	w.wantTenantError(w.me(as("Bearer "+key, "X-Tenant-ID", ceremonytest.Tenant, "X-User", "alcie")), 404, "user_not_found")
	id, app := w.begin(key, "alice")
	w.want(w.post(verifyPath, key, verifyBody(id, w.Code(app))), 200)

	// Whom the identity source names is not looked up: it knows them.
	w.want(w.me(as("Bearer token-of-zoe", "X-Tenant-ID", ceremonytest.Tenant)), 201)
	w.want(w.do(ask{method: http.MethodPost, path: secretsPath("zoe"), header: as("jwt token-of-zoe"), body: `{"type":"mfa"}`}), 200)

	// Who left before the first code is not enrolled either.
	id, app = w.begin(key, "bob")
	w.List(nil, "alice", "carol")
	w.serve(identify)
	if got := w.post(verifyPath, key, verifyBody(id, w.Code(app))); got.status != 404 || got.text != `{"verified":false,"error":"user_not_found"}` {
		t.Error(got.status, got.text)
	}
	secret, app := w.secret(as("Bearer "+key), "carol")
	w.List(nil, "alice")
	w.serve(identify)
	w.wantSecretError(w.put(secretPath("carol", secret), as("Bearer "+key), `{"token":"`+w.Code(app)+`"}`), 404, "user_not_found")
	w.wantActive("carol", app, false)

	// The audit log says why.
	if !slices.ContainsFunc(w.Events(), func(e ceremony.Event) bool {
		return e.Kind == ceremony.EventEnroll && e.Outcome == ceremony.Refused && e.Cause == "unknown_user" && e.Subject.User == "alcie"
	}) {
		t.Error("no event tells that an unknown user was refused")
	}
}

// A directory that gives no answer lets nobody be enrolled, and who is enrolled
// already is not looked up.
func TestS01NothingIsEnrolledWithoutTheDirectory(t *testing.T) {
	w := newWorld(t)
	key := w.fullKey()
	alice := w.Enroll("alice")
	id, app := w.begin(key, "bob")
	w.List(errors.New("dial tcp: connection refused"))
	w.serve()
	for _, a := range []answer{
		w.post(enrollPath, key, enrollBody("carol")), w.post(verifyPath, key, verifyBody(id, w.Code(app))),
		w.do(ask{method: http.MethodPost, path: secretsPath("carol"), key: key, body: `{"type":"mfa"}`}),
		w.get(userPath+"carol/mfa", key), w.post(verifyTOTPPath, key, totpBody("PAY", "carol", "123456")),
	} {
		if a.status != 503 || a.header.Get("Retry-After") == "" || !strings.Contains(a.text, `"unavailable"`) || strings.Contains(a.text, "refused") {
			t.Error(a.status, a.text)
		}
	}
	if len(w.failed) == 0 || !errors.Is(w.failed[0], ceremony.ErrNoAnswer) || !strings.Contains(w.failed[0].Error(), "connection refused") {
		t.Error("the operator is not told why:", w.failed)
	}
	w.win(key, "PAY", alice)
	w.want(w.get(userPath+"alice/mfa", key), 200)
}

// Document 003 tells users who did not enroll from those that there are not; so does
// the gateway if it knows.
func TestUsersOfTheDirectoryAreKnown(t *testing.T) {
	w := newWorld(t)
	key := w.fullKey()
	w.List(nil, "alice")
	w.serve()
	if got := w.want(w.get(userPath+"alice/mfa", key), 200); got.text != `{"mfa_setup":null}` {
		t.Error(got.text)
	}
	w.want(w.get(userPath+"alcie/mfa", key), 404)
	w.mustBe(w.post(verifyTOTPPath, key, totpBody("PAY", "alice", "123456")), 400, "mfa_not_enabled")
	w.mustBe(w.post(verifyTOTPPath, key, totpBody("PAY", "alcie", "123456")), 400, "user_not_found")
	w.mustBe(w.post(sendPath, key, sendBody("PAY", "alice", "x")), 400, "mfa_not_enabled")
	w.mustBe(w.post(verifyPhonePath, key, phoneBody("alcie", "x", "123456")), 400, "user_not_found")
	if got := w.want(w.post(userPath+"alice/disable_2fa", key, ""), 200); got.text != `{}` {
		t.Error(got.text)
	}
	w.want(w.post(userPath+"alcie/disable_2fa", key, ""), 404)
	// Nothing was taken, so an invite is not needed by who had nothing.
	if _, err := w.User(t.Context(), grants.Subject{Tenant: ceremonytest.Tenant, User: "alice"}); !errors.Is(err, ceremony.ErrNotFound) {
		t.Error("disabling nothing left something:", err)
	}
}
