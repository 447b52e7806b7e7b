package backendapi

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/apikeys"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/totp"
)

func secretsPath(user string) string { return "/users/" + user + "/secrets" }
func secretPath(user, secret string) string {
	return "/users/" + user + "/secrets/" + secret + "/enroll"
}

// plainSecretPath is the path that the document's text has.
func plainSecretPath(user, secret string) string {
	return strings.TrimSuffix(secretPath(user, secret), "/enroll")
}

func (w *world) put(path string, h http.Header, body string) answer {
	w.Helper()
	return w.do(ask{method: http.MethodPut, path: path, header: h, body: body})
}

// secret makes a secret for the user, and gives its id and the app that was told
// it.
func (w *world) secret(h http.Header, user string) (string, totp.Key) {
	w.Helper()
	got := w.want(w.do(ask{method: http.MethodPost, path: secretsPath(user), header: h, body: `{"type":"mfa"}`}), http.StatusOK)
	content, _ := got.body["secret"].(map[string]any)
	text, _ := content["secret"].(string)
	return got.string("id"), w.app(text)
}

// wantSecretError ends the test where the answer is not the one shape of errors.
func (w *world) wantSecretError(a answer, status int, code string) {
	w.Helper()
	if a.status != status || a.string("code") != code || a.string("message") == "" || len(a.body) != 2 {
		w.Fatalf("status %d, want %d with %s: %s", a.status, status, code, a.text)
	}
}

// leading makes secrets until an app shows a code of so many zeros before other
// digits.
func (w *world) leading(zeros int, h http.Header, user string) (id, code string, app totp.Key) {
	w.Helper()
	for range 500 {
		id, app = w.secret(h, user)
		if code = w.Code(app); strings.HasPrefix(code, strings.Repeat("0", zeros)) && code[zeros] != '0' {
			return id, code, app
		}
	}
	w.Fatal("no code begins with so many zeros")
	return
}

// The requests and answers of 002_18cb5440bdcdf428.txt, with a token, a secret and
// a code that are good here. The document has no sections; what is quoted follows
// the sentences that it is quoted after. Our copy of it lost the braces.
//
// Statements of the documents, as docs/api.md numbers them:
//
//   - 002-2: Once authenticated you can now create an mfa secret.
//   - 002-3: Upon success, the system will return the newly created secret
//     containing the MFA information needed to register a compatible MFA
//     device.
//   - 002-4: At this point while MFA has been initialized for the account
//     it is not activated yet.
//   - 002-5: Use the provided otpauth_url and secret to register the user’s
//     MFA device.
//   - 002-6: send a PUT request to the /users/:userId/secrets/:secretId
//     endpoint containing the code to complete the MFA enrollment.
//   - 002-7: To finish enrollment the following request must be sent to the
//     service.
//   - 002-9: If the provided MFA code is correct the service will generate
//     a set of backup codes that can be used to recover the account if
//     future authentication requests fail.
//   - 002-10: Now MFA has been activated on the account!
func TestDocument002(t *testing.T) {
	const user = "00000000-0000-0000-0000-000000000000"
	_, identify := withPeople()
	w := newWorld(t, identify)

	// "Once authenticated you can now create an mfa secret."
	const create = `{
    "type": "mfa",
}`
	jwt := as("jwt token-of-"+user, "Content-Type", "application/json")
	got := w.want(w.do(ask{method: http.MethodPost, path: "/users/00000000-0000-0000-0000-000000000000/secrets", header: jwt, body: create}), http.StatusOK)
	// "Upon success, the system will return the newly created secret"; without the
	// id that the next request names, which the document forgot.
	content, _ := got.body["secret"].(map[string]any)
	if got.string("type") != "mfa" || !uuidForm.MatchString(got.string("id")) || len(got.body) != 3 || len(content) != 2 {
		t.Fatal(got.text)
	}
	if uri, _ := content["otpauth_url"].(string); uri != w.app(content["secret"].(string)).URI("Test", user) {
		t.Error(got.text)
	}

	// "For example; imagine the above response was entered into the MFA device and
	// produced a code of 021589."
	id, code, app := w.leading(1, jwt, user)
	enroll := strings.Replace(`{
    "token": 021589,
}`, "021589", code, 1)
	// "At this point while MFA has been initialized for the account it is not
	// activated yet."
	w.wantActive(user, app, false)
	w.Clock.Advance(-totp.Period)
	got = w.want(w.put("/users/00000000-0000-0000-0000-000000000000/secrets/"+id+"/enroll", jwt, enroll), http.StatusOK)
	// "send a PUT request to the /users/:userId/secrets/:secretId endpoint
	// containing the code to complete the MFA enrollment"
	const other = "11111111-0000-0000-0000-000000000000"
	own := as("jwt token-of-" + other)
	at, otherApp := w.secret(own, other)
	w.want(w.put("/users/"+other+"/secrets/"+at, own, `{"token":"`+w.Code(otherApp)+`"}`), http.StatusOK)
	w.wantActive(other, otherApp, true)
	// "the service will generate a set of backup codes": 200 OK, "codes".
	codes, _ := got.body["codes"].([]any)
	if len(codes) != 10 || len(got.body) != 1 {
		t.Error(got.text)
	}
	// "Now MFA has been activated on the account!"
	w.wantActive(user, app, true)
	// "backup codes that can be used to recover the account"
	account, err := w.Account(w.Context(), w.Stranger(user))
	if err != nil || account.RecoveryCodesLeft != 10 {
		t.Error(account, err)
	}
}

// Statements of the documents, as docs/api.md numbers them:
//
//   - 002-11: All future password authentication attempts will require MFA
//     validation.
func TestSecretIsActiveAfterALiveCodeOnly(t *testing.T) {
	w := newWorld(t)
	h := as("Bearer " + w.fullKey())
	id, app := w.secret(h, "alice")
	w.wantActive("alice", app, false)
	used := w.Code(app)
	w.Clock.Advance(5 * totp.Period)
	for _, body := range []string{
		`{"token":"` + w.WrongCode(app) + `"}`, `{"token":` + strings.TrimLeft(w.WrongCode(app), "0") + `}`,
		`{"token":"` + used + `"}`, `{"token":"1"}`, `{"token":0}`, `{"token":"` + w.Code(app) + `1"}`, `{"token":1` + w.Code(app) + `}`,
	} {
		w.wantSecretError(w.put(secretPath("alice", id), h, body), http.StatusBadRequest, "invalid_token_code")
	}
	w.wantActive("alice", app, false)
	w.want(w.put(secretPath("alice", id), h, `{"token":"`+w.Code(app)+`"}`), http.StatusOK)
	w.wantActive("alice", app, true)
}

// A code is digits, and those in front may be zeros: written, or lost on the way
// through a client's numbers.
//
// Statements of the documents, as docs/api.md numbers them:
//
//   - 002-8: "token": 021589,
func TestSecretsTakeCodesAsTextAndAsNumbers(t *testing.T) {
	w := newWorld(t)
	key := as("Bearer " + w.fullKey())
	for i, form := range []func(string) string{
		func(code string) string { return `{"token":"` + code + `"}` },
		func(code string) string { return `{"token":"` + code + `",}` },
		func(code string) string { return `{"token":` + code + `}` },
		func(code string) string { return `{"token":` + code + ",\n}" },
		func(code string) string { return `{"token":` + strings.TrimLeft(code, "0") + `}` },
		func(code string) string { return `{"token":"` + code[:3] + " " + code[3:] + `"}` },
		func(code string) string { return `{"device":1,"token":` + strings.TrimLeft(code, "0") + `,}` },
	} {
		for zeros := range 2 {
			user := fmt.Sprintf("user%d-%d", i, zeros)
			id, code, _ := w.leading(zeros, key, user)
			if got := w.put(secretPath(user, id), key, form(code)); got.status != http.StatusOK {
				t.Errorf("%d zeros, %s: %d %s", zeros, form("000123"), got.status, got.text)
			}
		}
	}
	// Text is not filled up: it lost nothing.
	id, code, _ := w.leading(1, key, "text")
	w.wantSecretError(w.put(secretPath("text", id), key, `{"token":"`+code[1:]+`"}`), http.StatusBadRequest, "invalid_token_code")
}

func TestSecretsOfEightDigits(t *testing.T) {
	w := newWorld(t)
	w.Configure(func(s *ceremony.Settings) { s.TOTP.Digits = 8 })
	w.serve()
	h := as("Bearer " + w.fullKey())
	for range 500 {
		id, app := w.secret(h, "alice")
		app.Digits = 8
		code := w.Code(app)
		if code[0] != '0' {
			continue
		}
		w.want(w.put(secretPath("alice", id), h, `{"token":`+strings.TrimLeft(code, "0")+`}`), http.StatusOK)
		return
	}
	t.Fatal("no code begins with a zero")
}

func TestSecretsBodies(t *testing.T) {
	w := newWorld(t)
	h := as("Bearer " + w.fullKey())
	id, _ := w.secret(h, "alice")
	for _, body := range []string{
		``, `{`, `{}`, `{"type":"totp"}`, `{"type":"MFA"}`, `{"type":1}`, `{"type":""}`, `{"type":"mfa","type":"mfa"}`, `{"type":"mfa",,}`, `{"type":"mfa"}{}`,
		`"type": "mfa",`, `[]`, `{"type":null}`, `{"type":["mfa"]}`, `{"type":"mfa","more":{}}`, `{"TYPE":"mfa"}`,
	} {
		w.wantSecretError(w.do(ask{method: http.MethodPost, path: secretsPath("alice"), header: h, body: body}), http.StatusBadRequest, "invalid_request")
	}
	for _, body := range []string{
		``, `{}`, `{"token":""}`, `{"token":null}`, `{"token":true}`, `{"token":-1}`, `{"token":1.0}`, `{"token":1e5}`, `{"token":[1]}`,
		`{"token":"` + strings.Repeat("1", maxCode+1) + `"}`, `{"token":` + strings.Repeat("1", maxCode+1) + `}`, `{"token":"1","token":"2"}`, `{"token":"1\u0000"}`,
	} {
		got := w.put(secretPath("alice", id), h, body)
		w.wantSecretError(got, http.StatusBadRequest, "invalid_request")
		if strings.HasPrefix(body, `{"token":"1111`) && !strings.Contains(got.text, "token: ") {
			t.Errorf("the message does not name the field: %s", got.text)
		}
	}
	for _, path := range []string{secretsPath("alice"), secretPath("alice", id)} {
		method := http.MethodPost
		if strings.HasSuffix(path, "/enroll") {
			method = http.MethodPut
		}
		text := h.Clone()
		text.Set("Content-Type", "text/plain")
		w.wantSecretError(w.do(ask{method: method, path: path, header: text, body: `{}`}), http.StatusUnsupportedMediaType, "unsupported_media_type")
		w.wantSecretError(w.do(ask{method: method, path: path, header: h, body: strings.Repeat(" ", maxBody+1)}), http.StatusRequestEntityTooLarge, "request_too_large")
		w.wantSecretError(w.do(ask{method: http.MethodGet, path: path, header: h}), http.StatusMethodNotAllowed, "method_not_allowed")
	}
	// The other dialects take JSON only.
	w.want(w.post(verifyTOTPPath, w.fullKey(), strings.TrimSuffix(totpBody("PAY", "alice", "123456"), "}")+",}"), http.StatusBadRequest)
}

// Who comes with a token of their own acts for nobody else, and is told nothing of
// others.
func TestS18SecretsOfOthersAreNobodysMatter(t *testing.T) {
	_, identify := withPeople()
	w := newWorld(t, identify)
	alice, key := as("Bearer token-of-alice"), as("jwt "+w.fullKey())
	w.Enroll("bob")
	id, app := w.secret(alice, "alice")
	bobs, _ := w.secret(key, "carol")
	create := func(h http.Header, user string) answer {
		return w.do(ask{method: http.MethodPost, path: secretsPath(user), header: h, body: `{"type":"mfa"}`})
	}
	uuid := func(user string) string {
		return ceremony.UserUUID(grants.Subject{Tenant: ceremonytest.Tenant, User: user})
	}
	for _, user := range []string{"bob", "carol", "nobody", uuid("bob"), uuid("nobody"), "%20", "alice%2Fx", "alice%00"} {
		w.wantSecretError(create(alice, user), http.StatusForbidden, "forbidden")
		w.wantSecretError(w.put(secretPath(user, id), alice, `{"token":"`+w.Code(app)+`"}`), http.StatusForbidden, "forbidden")
	}
	w.want(create(alice, "alice"), http.StatusOK)
	w.want(create(alice, "ALICE%20"), http.StatusOK)
	w.want(create(alice, uuid("alice")), http.StatusOK)
	w.want(create(alice, strings.ToUpper(uuid("alice"))), http.StatusOK)

	// Another's secret, one that never was, and what is no id: the same answer.
	code := `{"token":"` + w.Code(app) + `"}`
	want := w.put(secretPath("alice", "00000000-0000-0000-0000-000000000001"), alice, code)
	w.wantSecretError(want, http.StatusNotFound, "not_found")
	for _, secret := range []string{bobs, "x", "enr_x", strings.Repeat("a", 300), id + "0"} {
		if got := w.put(secretPath("alice", secret), alice, code); got.text != want.text || got.status != want.status {
			t.Errorf("%.40s: %d %s", secret, got.status, got.text)
		}
	}
	w.wantSecretError(w.put(secretPath("carol", id), key, code), http.StatusNotFound, "not_found")
	// Nor does another tenant's key find it.
	stranger := as("Bearer " + w.key(other, nil, apikeys.ScopeEnroll))
	if got := w.put(secretPath("alice", id), stranger, code); got.text != want.text || got.status != want.status {
		t.Errorf("another tenant: %d %s", got.status, got.text)
	}
	w.want(w.put(secretPath(uuid("alice"), id), alice, code), http.StatusOK)
}

// Statements of the documents, as docs/api.md numbers them:
//
//   - 002-1: First, authenticate the user using an existing secret such as
//     a password.
func TestSecretsCredentials(t *testing.T) {
	source, identify := withPeople()
	w := newWorld(t, identify)
	key := w.key(ceremonytest.Tenant, nil, apikeys.ScopeEnroll)
	create := func(h http.Header) answer {
		return w.do(ask{method: http.MethodPost, path: secretsPath("alice"), header: h, body: `{"type":"mfa"}`})
	}
	for _, good := range []string{"Bearer " + key, "jwt " + key, "JWT " + key, "Bearer token-of-alice", "jwt token-of-alice", "Jwt token-of-alice"} {
		w.want(create(as(good)), http.StatusOK)
	}
	if len(source.sent) != 3 {
		t.Errorf("the identity source was handed %q", source.sent)
	}
	reader := w.key(ceremonytest.Tenant, nil, apikeys.ScopeRead)
	w.wantSecretError(create(as("jwt "+reader)), http.StatusForbidden, "forbidden")
	w.wantSecretError(create(as("jwt "+key, "X-Tenant-ID", other)), http.StatusForbidden, "tenant_mismatch")
	unknown, _ := apikeys.NewKey()
	for _, bad := range []string{"", "jwt", "jwt ", "jwt " + unknown, "Bearer " + unknown, "jwt token", "Token " + key, "token-of-alice", key, "jwt  Bearer token-of-alice"} {
		w.wantSecretError(create(as(bad)), http.StatusUnauthorized, "unauthenticated")
	}
	// Only this dialect takes the scheme.
	w.want(w.do(ask{method: http.MethodGet, path: metadataPath, header: as("jwt " + key)}), http.StatusUnauthorized)
	source.down = errDown
	w.wantSecretError(create(as("jwt token-of-alice")), http.StatusServiceUnavailable, "unavailable")
	w.want(create(as("jwt "+key)), http.StatusOK)
}

func TestSecretsFollowThePolicy(t *testing.T) {
	_, identify := withPeople()
	w := newWorld(t, identify)
	w.Configure(func(s *ceremony.Settings) { s.Enrollment = ceremony.ByInvite })
	w.serve(identify)
	user, key := as("jwt token-of-alice"), as("jwt "+w.fullKey())
	create := func(h http.Header) answer {
		return w.do(ask{method: http.MethodPost, path: secretsPath("alice"), header: h, body: `{"type":"mfa"}`})
	}
	w.wantSecretError(create(user), http.StatusForbidden, "invite_required")
	// The user must not finish what a key was leave for.
	id, app := w.secret(key, "alice")
	w.wantSecretError(w.put(secretPath("alice", id), user, `{"token":"`+w.Code(app)+`"}`), http.StatusForbidden, "invite_required")
	w.want(w.put(secretPath("alice", id), key, `{"token":"`+w.Code(app)+`"}`), http.StatusOK)
	w.wantSecretError(create(key), http.StatusConflict, "already_enrolled")
	w.wantSecretError(create(user), http.StatusConflict, "already_enrolled")

	w.Configure(func(s *ceremony.Settings) { s.Enrollment = ceremony.Deny })
	w.serve(identify)
	w.wantSecretError(w.do(ask{method: http.MethodPost, path: secretsPath("bob"), header: key, body: `{"type":"mfa"}`}), http.StatusForbidden, "enrollment_denied")
}

func TestSecretsThatWaitNoMore(t *testing.T) {
	w := newWorld(t)
	h := as("Bearer " + w.fullKey())
	late, lateApp := w.secret(h, "late")
	w.Clock.Advance(15 * time.Minute)
	w.wantSecretError(w.put(secretPath("late", late), h, `{"token":"`+w.Code(lateApp)+`"}`), http.StatusGone, "expired")

	first, firstApp := w.secret(h, "alice")
	second, secondApp := w.secret(h, "alice")
	w.want(w.put(secretPath("alice", first), h, `{"token":"`+w.Code(firstApp)+`"}`), http.StatusOK)
	// The first that is confirmed voids the other, and neither is confirmed again.
	w.wantSecretError(w.put(secretPath("alice", second), h, `{"token":"`+w.Code(secondApp)+`"}`), http.StatusConflict, "already_enrolled")
	w.wantSecretError(w.put(secretPath("alice", first), h, `{"token":"`+w.NextCode(firstApp)+`"}`), http.StatusConflict, "already_enrolled")
	w.wantActive("alice", firstApp, true)
	// A reset makes none of them good again.
	if err := w.Reset(w.Context(), grants.Subject{Tenant: ceremonytest.Tenant, User: "alice"}); err != nil {
		t.Fatal(err)
	}
	for id, app := range map[string]totp.Key{first: firstApp, second: secondApp} {
		w.wantSecretError(w.put(secretPath("alice", id), h, `{"token":"`+w.Code(app)+`"}`), http.StatusNotFound, "not_found")
	}
}

// Of many secrets that are confirmed at once one is, whichever dialect made it,
// and the user has one authenticator.
func TestOneOfManyPendingEnrolmentsIsConfirmed(t *testing.T) {
	_, identify := withPeople()
	for round := range 5 {
		w := newWorld(t, identify)
		h, user := as("jwt "+w.fullKey()), "user"+strconv.Itoa(round)
		type pending struct {
			id  string
			app totp.Key
		}
		var all []pending
		for range 4 {
			id, app := w.secret(h, user)
			all = append(all, pending{id, app})
			got := w.want(w.me(as("Bearer token-of-"+user, "X-Tenant-ID", tenantUUID)), http.StatusCreated)
			all = append(all, pending{got.string("id"), w.app(got.string("secret"))})
		}
		statuses := make([]int, 2*len(all))
		var group sync.WaitGroup
		for i := range statuses {
			one := all[i/2] // each is sent twice
			code := w.Code(one.app)
			group.Go(func() { statuses[i] = w.put(secretPath(user, one.id), h, `{"token":"`+code+`"}`).status })
		}
		group.Wait()
		confirmed := 0
		for _, status := range statuses {
			switch status {
			case http.StatusOK:
				confirmed++
			case http.StatusConflict:
			default:
				t.Errorf("status %d", status)
			}
		}
		account, err := w.Account(w.Context(), w.Stranger(user))
		if err != nil || confirmed != 1 || len(account.Authenticators) != 1 {
			t.Fatalf("%d confirmed, %d authenticators, %v", confirmed, len(account.Authenticators), err)
		}
	}
}
