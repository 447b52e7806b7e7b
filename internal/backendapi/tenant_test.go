package backendapi

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/apikeys"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
)

const mePath = "/v1/users/me/mfa/totp"

var uuidForm = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// me sends document 001's request.
func (w *world) me(h http.Header) answer {
	w.Helper()
	if _, said := h["Content-Type"]; !said {
		h["Content-Type"] = nil // it has no body
	}
	return w.do(ask{method: http.MethodPost, path: mePath, header: h})
}

// wantTenantError ends the test where the answer is not the one shape of errors.
func (w *world) wantTenantError(a answer, status int, code string) {
	w.Helper()
	details, isObject := a.body["details"].(map[string]any)
	notices, isList := a.body["notices"].([]any)
	if a.status != status || a.string("code") != code || a.string("message") == "" || !isObject || !isList || len(notices) != 0 || len(a.body) != 4 {
		w.Fatalf("status %d, want %d with %s: %s", a.status, status, code, a.text)
	}
	if status != http.StatusBadRequest && len(details) != 0 {
		w.Fatalf("details: %s", a.text)
	}
}

// The request and the answers of 001_db288aaca8607a6d.txt, with a token and a
// tenant that are good here.
//
// Statements of the documents, as docs/api.md numbers them:
//
//   - 001-1: Begin TOTP enrollment (returns QR URI and secret)
//   - 001-3: Returns 403 tenant_mismatch if the credential and header
//     belong to different tenants.
//   - 001-5: TOTP enrollment initiated
//   - 001-6: id required string format: uuid secret required string qr_uri
//     required string
//   - 001-7: Unauthenticated
//   - 001-8: Machine-readable error code (e.g. “not_found”,
//     “tenant_mismatch”).
//   - 001-9: Human-readable description of the error.
//   - 001-11: Policy notices from determining Cedar rules, if applicable.
//   - 001-12: TOTP already enrolled
func TestDocument001(t *testing.T) {
	_, identify := withPeople()
	w := newWorld(t, identify)

	// "curl --request POST --url https://example.com/v1/users/me/mfa/totp
	// --header 'Authorization: Bearer <token>' --header 'X-Tenant-ID: …'", with
	// the UUID in upper case as it stands there; section "TOTP enrollment
	// initiated".
	got := w.want(w.me(as("Bearer token-of-alice", "X-Tenant-ID", strings.ToUpper(tenantUUID))), http.StatusCreated)
	if !uuidForm.MatchString(got.string("id")) || len(got.body) != 3 {
		t.Error(got.text)
	}
	app := w.app(got.string("secret"))
	if want := app.URI("Test", "alice"); got.string("qr_uri") != want {
		t.Errorf("qr_uri %q, want %q", got.string("qr_uri"), want)
	}

	// Section "Unauthenticated".
	unauthenticated := w.me(as("", "X-Tenant-ID", tenantUUID))
	w.wantTenantError(unauthenticated, http.StatusUnauthorized, "unauthenticated")
	if unauthenticated.header.Get("WWW-Authenticate") == "" {
		t.Error("no WWW-Authenticate")
	}
	if !strings.HasSuffix(unauthenticated.text, `"details":{},"notices":[]}`) {
		t.Error(unauthenticated.text)
	}

	// Section "Header Parameters": "Returns 403 tenant_mismatch if the credential
	// and header belong to different tenants."
	w.wantTenantError(w.me(as("Bearer token-of-alice", "X-Tenant-ID", "2489E9AD-2EE2-8E00-8EC9-32D5F69181C0")), http.StatusForbidden, "tenant_mismatch")

	// Section "TOTP already enrolled".
	w.wantActive("alice", app, false)
	w.want(w.put(secretPath("alice", got.string("id")), as("Bearer token-of-alice"), `{"token":"`+w.Code(app)+`"}`), http.StatusOK)
	w.wantActive("alice", app, true)
	w.wantTenantError(w.me(as("Bearer token-of-alice", "X-Tenant-ID", tenantUUID)), http.StatusConflict, "already_enrolled")
}

func TestTenantEnrolmentIsConfirmedInTheOtherDialects(t *testing.T) {
	_, identify := withPeople()
	w := newWorld(t, identify)
	key := w.fullKey()
	got := w.want(w.me(as("Bearer token-of-alice", "X-Tenant-ID", ceremonytest.Tenant)), http.StatusCreated)
	id, app := got.string("id"), w.app(got.string("secret"))
	verify := func(id, code string) answer {
		return w.post("/v1/mfa/verify", key, `{"enrollment_id":"`+id+`","totp_code":"`+code+`"}`)
	}
	w.want(verify("enr_"+id, w.Code(app)), http.StatusNotFound)
	w.want(verify(id, w.WrongCode(app)), http.StatusUnauthorized)
	w.wantActive("alice", app, false)
	w.want(verify(id, w.Code(app)), http.StatusOK)
	w.wantActive("alice", app, true)
	w.want(verify(id, w.NextCode(app)), http.StatusOK)
}

// Statements of the documents, as docs/api.md numbers them:
//
//   - 001-2: Must match the tenant associated with the credential.
//   - 001-4: required string format: uuid Tenant identifier.
//   - 001-10: Optional additional context about the error.
func TestTenantIsNamedRightly(t *testing.T) {
	_, identify := withPeople()
	w := newWorld(t, identify)
	for _, c := range []struct {
		named  []string
		status int
		code   string
	}{
		{[]string{ceremonytest.Tenant}, 201, ""},
		{[]string{tenantUUID}, 201, ""},
		{[]string{strings.ToUpper(tenantUUID)}, 201, ""},
		{nil, 400, "invalid_request"},
		{[]string{""}, 400, "invalid_request"},
		{[]string{ceremonytest.Tenant, ceremonytest.Tenant}, 400, "invalid_request"},
		{[]string{ceremonytest.Tenant, other}, 400, "invalid_request"},
		{[]string{strings.Repeat("a", 257)}, 400, "invalid_request"},
		{[]string{"te\xffst"}, 400, "invalid_request"},
		{[]string{"te\u0085st"}, 400, "invalid_request"},
		{[]string{other}, 403, "tenant_mismatch"},
		{[]string{strings.ToUpper(ceremonytest.Tenant)}, 403, "tenant_mismatch"}, // names of tenants are exact
		{[]string{ceremony.TenantUUID(other).String()}, 403, "tenant_mismatch"},
		{[]string{strings.ReplaceAll(tenantUUID, "-", "")}, 403, "tenant_mismatch"},
		{[]string{"{" + tenantUUID + "}"}, 403, "tenant_mismatch"},
	} {
		h := as("Bearer token-of-bob")
		if c.named != nil {
			h["X-Tenant-Id"] = c.named
		}
		if got := w.me(h); c.status != 201 {
			w.wantTenantError(got, c.status, c.code)
		} else {
			w.want(got, 201)
		}
	}
	missing := w.me(as("Bearer token-of-bob"))
	if details, _ := missing.body["details"].(map[string]any); details["X-Tenant-ID"] == nil {
		t.Error(missing.text)
	}
}

// A key is nobody's: it enrolls whom the operator's own means tell of, in its own
// tenant.
func TestTenantEnrolmentByKey(t *testing.T) {
	source, identify := withPeople()
	w := newWorld(t, identify)
	key := w.key(ceremonytest.Tenant, nil, apikeys.ScopeEnroll)
	here := func(key string, more ...string) http.Header {
		return as("Bearer "+key, append(more, "X-Tenant-ID", tenantUUID)...)
	}
	w.want(w.me(here(key, "X-User", "alice")), http.StatusCreated)
	for _, sent := range source.sent {
		t.Errorf("the identity source was handed the credential %q", sent)
	}
	missing := w.me(here(key))
	w.wantTenantError(missing, http.StatusUnauthorized, "unauthenticated")
	if !strings.Contains(missing.string("message"), "names no user") {
		t.Error(missing.text)
	}
	reader := w.key(ceremonytest.Tenant, nil, apikeys.ScopeRead)
	w.wantTenantError(w.me(here(reader, "X-User", "alice")), http.StatusForbidden, "forbidden")
	w.wantTenantError(w.me(here(w.key(other, nil, apikeys.ScopeEnroll), "X-User", "alice")), http.StatusForbidden, "tenant_mismatch")
	unknown, _ := apikeys.NewKey()
	w.wantTenantError(w.me(here(unknown, "X-User", "alice")), http.StatusUnauthorized, "unauthenticated")

	// The source's users are another tenant's than the key.
	source.tenant = other
	w.wantTenantError(w.me(here(key, "X-User", "alice")), http.StatusForbidden, "tenant_mismatch")

	w.serve() // users are not told apart here at all
	w.wantTenantError(w.me(here(key, "X-User", "alice")), http.StatusUnauthorized, "unauthenticated")
	w.wantTenantError(w.me(here("token-of-alice")), http.StatusUnauthorized, "unauthenticated")
}

func TestTenantEnrolmentFollowsThePolicy(t *testing.T) {
	_, identify := withPeople()
	w := newWorld(t, identify)
	user, key := as("Bearer token-of-alice", "X-Tenant-ID", tenantUUID), as("Bearer "+w.fullKey(), "X-User", "bob", "X-Tenant-ID", tenantUUID)
	policy := func(p ceremony.EnrollPolicy) {
		w.Configure(func(s *ceremony.Settings) { s.Enrollment = p })
		w.serve(identify)
	}
	policy(ceremony.ByInvite)
	w.wantTenantError(w.me(user), http.StatusForbidden, "invite_required")
	w.want(w.me(key), http.StatusCreated) // a key is leave enough
	policy(ceremony.Deny)
	w.wantTenantError(w.me(user), http.StatusForbidden, "enrollment_denied")
	w.wantTenantError(w.me(key), http.StatusForbidden, "enrollment_denied")

	// After a reset nobody enrolls by their first factor alone, whatever the policy.
	policy(ceremony.FirstUse)
	w.Enroll("alice")
	if err := w.Reset(w.Context(), grants.Subject{Tenant: ceremonytest.Tenant, User: "alice"}); err != nil {
		t.Fatal(err)
	}
	w.wantTenantError(w.me(user), http.StatusForbidden, "invite_required")
}

func TestS01TenantEnrolmentNeedsToKnowWhoAsks(t *testing.T) {
	source, identify := withPeople()
	w := newWorld(t, identify)
	w.wantTenantError(w.me(as("Bearer token-of-alice", "X-User", "bob", "X-Tenant-ID", tenantUUID)), http.StatusBadRequest, "ambiguous_request")
	twice := as("", "X-Tenant-ID", tenantUUID)
	twice["Authorization"] = []string{"Bearer token-of-alice", "Bearer " + w.fullKey()}
	w.wantTenantError(w.me(twice), http.StatusBadRequest, "ambiguous_request")
	w.wantTenantError(w.me(as("Bearer ", "X-Tenant-ID", tenantUUID)), http.StatusUnauthorized, "unauthenticated")
	w.wantTenantError(w.me(as("Basic YWxpY2U6YQ==", "X-Tenant-ID", tenantUUID)), http.StatusUnauthorized, "unauthenticated")
	w.wantTenantError(w.me(as("jwt token-of-alice", "X-Tenant-ID", tenantUUID)), http.StatusUnauthorized, "unauthenticated")
	source.down = errDown
	w.wantTenantError(w.me(as("Bearer token-of-alice", "X-Tenant-ID", tenantUUID)), http.StatusServiceUnavailable, "unavailable")
	w.wantTenantError(w.me(as("Bearer "+w.fullKey(), "X-Tenant-ID", tenantUUID)), http.StatusServiceUnavailable, "unavailable")
	if len(w.failed) != 2 {
		t.Errorf("reported: %v", w.failed)
	}
}

func TestS19TenantEnrolmentLimitsWhatItDoesNotRead(t *testing.T) {
	_, identify := withPeople()
	w := newWorld(t, identify)
	for _, c := range []struct {
		kind, body string
		status     int
	}{
		{"", "", 201},
		{"application/json", "", 201},
		{"text/plain", "", 201},
		{"application/json", "{}", 201},
		{"application/json", `{"label":["a"]}`, 201},
		{"application/json", "[]", 400},
		{"application/json", "{", 400},
		{"text/plain", "{}", 415},
		{"", "{}", 415},
		{"application/json", `{"a":"` + strings.Repeat("a", maxBody) + `"}`, 413},
	} {
		h := as("Bearer token-of-alice", "X-Tenant-ID", tenantUUID)
		if h["Content-Type"] = nil; c.kind != "" {
			h.Set("Content-Type", c.kind)
		}
		w.want(w.do(ask{method: http.MethodPost, path: mePath, body: c.body, header: h}), c.status)
	}
}
