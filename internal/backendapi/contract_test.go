package backendapi

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/apikeys"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/totpapp"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
)

// contract drives an API and notes which operation of the document gave which
// status.
type contract struct {
	*world
	identify func(*Options)
	given    map[string]map[int]bool
}

// drive sends a request to the operation and wants the status.
func (c *contract) drive(status int, operation string, a ask) answer {
	c.Helper()
	method, _, _ := strings.Cut(operation, " ")
	if a.method == "" {
		a.method = method
	}
	got := c.want(c.do(a), status)
	if a.method != method {
		// The document tells of other methods among the answers to the right one.
		r, again := httptest.NewRequest(method, "https://api.test"+a.path, nil), httptest.NewRecorder()
		maps.Copy(again.Header(), got.header)
		again.WriteHeader(got.status)
		_, _ = again.WriteString(got.text)
		conforms(c.T, r, a.body, again)
	}
	if c.given[operation] == nil {
		c.given[operation] = make(map[int]bool)
	}
	c.given[operation][status] = true
	return got
}

// example is an operation with ids and a body that are good enough to be refused
// for other reasons.
type example struct {
	operation, path, body string
	header                http.Header
}

// TestEveryDocumentedAnswerIsGiven drives every operation into every status that
// the document has for it. That an answer is as documented is seen to wherever one
// is given.
func TestEveryDocumentedAnswerIsGiven(t *testing.T) {
	_, identify := withPeople()
	c := &contract{world: newWorld(t, identify), identify: identify, given: make(map[string]map[int]bool)}
	c.succeed()
	c.refuse()

	tenant := http.Header{"X-Tenant-Id": {ceremonytest.Tenant}}
	const zero = "00000000-0000-4000-8000-000000000001"
	examples := []example{
		{"GET /openapi.json", "/openapi.json", "", nil},
		{"GET /api/v1/token_verification_metadata", metadataPath, "", nil},
		{"GET /api/backend/v1/user/{user_id}/mfa", userPath + "alice/mfa", "", nil},
		{"POST /api/backend/v1/user/{user_id}/disable_2fa", userPath + "alice/disable_2fa", "", nil},
		{"POST /api/backend/v1/mfa/step-up/verify-totp", verifyTOTPPath, totpBody("PAY", "alice", "123456"), nil},
		{"POST /api/backend/v1/mfa/step-up/phone/send", sendPath, sendBody("PAY", "alice", "x"), nil},
		{"POST /api/backend/v1/mfa/step-up/phone/verify", verifyPhonePath, phoneBody("alice", "x", "123456"), nil},
		{"POST /api/backend/v1/mfa/step-up/verify-grant", verifyGrantPath, grantBody("PAY", "alice", "x"), nil},
		{"POST /v1/mfa/enroll", enrollPath, enrollBody("zoe"), nil},
		{"POST /v1/mfa/verify", verifyPath, verifyBody("enr_x", "123456"), nil},
		{"POST /v1/mfa/backup", backupPath, backupBody("zoe"), nil},
		{"GET /qr/{enrollment_id}.png", "/qr/enr_" + strings.Repeat("A", 32) + ".png", "", nil},
		{"POST /v1/users/me/mfa/totp", mePath, "{}", tenant},
		{"POST /users/{user_id}/secrets", secretsPath("zoe"), `{"type":"mfa"}`, nil},
		{"PUT /users/{user_id}/secrets/{secret_id}/enroll", secretPath("zoe", zero), `{"token":"123456"}`, nil},
		{"PUT /users/{user_id}/secrets/{secret_id}", plainSecretPath("zoe", zero), `{"token":"123456"}`, nil},
	}
	doc, err := described()
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string]map[string]bool)
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			statuses := make(map[string]bool)
			for status := range op.Responses.Map() {
				statuses[status] = true
			}
			documented[method+" "+path] = statuses
		}
	}
	const attacker = "203.0.113.66:4000"
	for range badBurst {
		c.do(ask{method: http.MethodGet, path: metadataPath, key: "suk_bad", from: attacker})
	}
	key := c.fullKey()
	for _, e := range examples {
		c.refuseAny(e, key, attacker, documented[e.operation])
	}
	c.fail(examples, key, documented)

	for operation, statuses := range documented {
		for status := range statuses {
			if n, _ := strconv.Atoi(status); !c.given[operation][n] {
				t.Errorf("%s is said to answer %s, and was not seen to", operation, status)
			}
		}
	}
}

// succeed drives every operation to success.
func (c *contract) succeed() {
	c.Helper()
	key := c.fullKey()
	alice := c.Enroll("alice")
	c.drive(200, "GET /openapi.json", ask{path: "/openapi.json"})
	c.drive(200, "GET /api/v1/token_verification_metadata", ask{path: metadataPath, key: key})
	c.drive(200, "GET /api/backend/v1/user/{user_id}/mfa", ask{path: userPath + "alice/mfa", key: key})
	won := c.drive(200, "POST /api/backend/v1/mfa/step-up/verify-totp", ask{path: verifyTOTPPath, key: key, body: totpBody("PAY", "alice", c.NextCode(alice.Key))})
	c.drive(200, "POST /api/backend/v1/mfa/step-up/verify-grant", ask{path: verifyGrantPath, key: key, body: grantBody("PAY", "alice", won.string("step_up_grant"))})

	_, phone := c.withPhone("bob", phoneNumber)
	c.Clock.Advance(time.Minute)
	sent := c.drive(200, "POST /api/backend/v1/mfa/step-up/phone/send", ask{path: sendPath, key: key, body: sendBody("PAY", "bob", phone)})
	texts := c.Texts(phoneNumber)
	c.drive(200, "POST /api/backend/v1/mfa/step-up/phone/verify", ask{path: verifyPhonePath, key: key, body: phoneBody("bob", sent.string("challenge_id"), texts[len(texts)-1].Code())})
	c.Clock.Advance(time.Minute)
	c.Network(errors.New("no carrier"))
	c.drive(502, "POST /api/backend/v1/mfa/step-up/phone/send", ask{path: sendPath, key: key, body: sendBody("PAY", "bob", phone)})
	c.Network(nil)
	c.drive(200, "POST /api/backend/v1/user/{user_id}/disable_2fa", ask{path: userPath + "bob/disable_2fa", key: key})

	begun := c.drive(200, "POST /v1/mfa/enroll", ask{path: enrollPath, key: key, body: enrollBody("carol")})
	id, app := begun.string("enrollment_id"), c.scan(begun.string("totp_uri"))
	c.drive(200, "GET /qr/{enrollment_id}.png", ask{path: "/qr/" + id + ".png"})
	c.drive(200, "POST /v1/mfa/verify", ask{path: verifyPath, key: key, body: verifyBody(id, c.Code(app))})
	c.drive(200, "POST /v1/mfa/backup", ask{path: backupPath, key: key, body: backupBody("carol")})

	tenant := as("Bearer token-of-dave", "X-Tenant-ID", ceremonytest.Tenant)
	c.drive(201, "POST /v1/users/me/mfa/totp", ask{path: mePath, header: tenant})
	made := c.drive(200, "POST /users/{user_id}/secrets", ask{path: secretsPath("dave"), header: as("jwt token-of-dave"), body: `{"type":"mfa"}`})
	app = c.app(made.body["secret"].(map[string]any)["secret"].(string))
	c.drive(200, "PUT /users/{user_id}/secrets/{secret_id}/enroll", ask{path: secretPath("dave", made.string("id")), header: as("jwt token-of-dave"), body: `{"token":"` + c.Code(app) + `"}`})
	id, app = c.secret(as("Bearer "+key), "erin")
	c.drive(200, "PUT /users/{user_id}/secrets/{secret_id}", ask{path: plainSecretPath("erin", id), key: key, body: `{"token":"` + c.Code(app) + `"}`})
}

// refuse drives operations into the refusals that are their own.
func (c *contract) refuse() {
	c.Helper()
	key, enrollKey := c.fullKey(), c.key(ceremonytest.Tenant, nil, apikeys.ScopeEnroll)
	c.drive(404, "GET /api/backend/v1/user/{user_id}/mfa", ask{path: userPath + "nobody/mfa", key: key})
	c.drive(404, "POST /api/backend/v1/user/{user_id}/disable_2fa", ask{path: userPath + "nobody/disable_2fa", key: key})
	c.drive(409, "POST /v1/mfa/enroll", ask{path: enrollPath, key: key, body: enrollBody("alice")})
	c.drive(404, "POST /v1/mfa/verify", ask{path: verifyPath, key: key, body: verifyBody("enr_x", "123456")})
	c.drive(404, "POST /v1/mfa/backup", ask{path: backupPath, key: key, body: backupBody("nobody")})
	c.drive(409, "POST /v1/mfa/backup", ask{path: backupPath, key: enrollKey, body: backupBody("alice")})
	c.drive(404, "GET /qr/{enrollment_id}.png", ask{path: "/qr/enr_x.png"})
	c.drive(409, "POST /v1/users/me/mfa/totp", ask{path: mePath, header: as("Bearer token-of-alice", "X-Tenant-ID", ceremonytest.Tenant)})
	c.drive(400, "POST /v1/users/me/mfa/totp", ask{path: mePath, header: as("Bearer token-of-alice")})
	c.drive(409, "POST /users/{user_id}/secrets", ask{path: secretsPath("alice"), key: key, body: `{"type":"mfa"}`})
	c.drive(404, "POST /users/{user_id}/secrets", ask{path: secretsPath("%2e"), key: key, body: `{"type":"mfa"}`})
	const unknown = "00000000-0000-4000-8000-000000000001"
	c.drive(404, "PUT /users/{user_id}/secrets/{secret_id}/enroll", ask{path: secretPath("alice", unknown), key: key, body: `{"token":"123456"}`})
	c.drive(404, "PUT /users/{user_id}/secrets/{secret_id}", ask{path: plainSecretPath("alice", unknown), key: key, body: `{"token":"123456"}`})
	for _, user := range []string{"late", "first"} {
		first, app := c.secret(as("Bearer "+key), user)
		second, _ := c.secret(as("Bearer "+key), user)
		if user == "first" {
			c.want(c.put(secretPath(user, first), as("Bearer "+key), `{"token":"`+c.Code(app)+`"}`), 200)
			c.drive(409, "PUT /users/{user_id}/secrets/{secret_id}/enroll", ask{path: secretPath(user, second), key: key, body: `{"token":"123456"}`})
			c.drive(409, "PUT /users/{user_id}/secrets/{secret_id}", ask{path: plainSecretPath(user, second), key: key, body: `{"token":"123456"}`})
			continue
		}
		c.Clock.Advance(15 * time.Minute)
		c.drive(410, "PUT /users/{user_id}/secrets/{secret_id}/enroll", ask{path: secretPath(user, first), key: key, body: `{"token":"123456"}`})
		c.drive(410, "PUT /users/{user_id}/secrets/{secret_id}", ask{path: plainSecretPath(user, first), key: key, body: `{"token":"123456"}`})
	}
	c.List(nil, "alice")
	c.serve(c.identify)
	c.drive(404, "POST /v1/mfa/enroll", ask{path: enrollPath, key: key, body: enrollBody("alcie")})
	c.drive(404, "POST /users/{user_id}/secrets", ask{path: secretsPath("alcie"), key: key, body: `{"type":"mfa"}`})
	c.drive(404, "POST /v1/users/me/mfa/totp", ask{path: mePath, key: key, header: http.Header{"X-Tenant-Id": {ceremonytest.Tenant}, "X-User": {"erica"}}})
	c.List(nil)
	c.serve(c.identify)
	for _, user := range []string{"%20"} {
		c.drive(400, "GET /api/backend/v1/user/{user_id}/mfa", ask{path: userPath + user + "/mfa", key: key})
		c.drive(400, "POST /api/backend/v1/user/{user_id}/disable_2fa", ask{path: userPath + user + "/disable_2fa", key: key})
	}
}

// refuseAny drives an operation into the refusals that all have, where it is
// documented to have them.
func (c *contract) refuseAny(e example, key, attacker string, documented map[string]bool) {
	c.Helper()
	a := ask{path: e.path, key: key, body: e.body, header: e.header}
	with := func(change func(*ask)) ask {
		changed := a
		changed.header = e.header.Clone()
		if changed.header == nil {
			changed.header = http.Header{}
		}
		change(&changed)
		return changed
	}
	c.drive(403, e.operation, with(func(a *ask) { a.plain = true }))
	c.drive(405, e.operation, with(func(a *ask) { a.method = http.MethodPatch }))
	if documented["401"] {
		c.drive(401, e.operation, with(func(a *ask) { a.key = "" }))
		c.drive(429, e.operation, with(func(a *ask) { a.from, a.key = attacker, "suk_bad" }))
		if e.path != metadataPath { // which takes every key
			useless := c.key(ceremonytest.Tenant, []string{"OTHER"}, apikeys.ScopeVerify)
			if strings.Contains(e.operation, "step-up") || e.path == verifyPath {
				useless = c.key(ceremonytest.Tenant, nil, apikeys.ScopeRead)
			}
			c.drive(403, e.operation, with(func(a *ask) { a.key = useless }))
		}
		c.drive(403, e.operation, with(func(a *ask) { a.header.Set("X-Tenant-ID", other) }))
		c.drive(400, e.operation, with(func(a *ask) { a.header.Set("X-Tenant-ID", "") }))
	}
	if documented["413"] {
		c.drive(413, e.operation, with(func(a *ask) { a.body = strings.Repeat(" ", maxBody+1) }))
		c.drive(415, e.operation, with(func(a *ask) { a.header.Set("Content-Type", "text/plain") }))
		if e.path != mePath {
			c.drive(400, e.operation, with(func(a *ask) { a.body = "{" }))
			c.drive(400, e.operation, with(func(a *ask) { a.body = "{}" }))
		}
	}
}

// fail drives every operation while the database cannot be reached.
func (c *contract) fail(examples []example, key string, documented map[string]map[string]bool) {
	c.Helper()
	broken, err := ceremony.New(ceremony.Options{
		DB:       func(context.Context) (*records.DB, error) { return nil, errors.New("the disk is gone") },
		Settings: ceremony.DefaultSettings(), Factors: []ceremony.Factor{totpapp.Factor{}}, Now: c.Clock.Now,
		Audit: func(context.Context, ceremony.Event) {},
	})
	if err != nil {
		c.Fatal(err)
	}
	c.serve(func(o *Options) { o.Service = broken })
	for _, e := range examples {
		if documented[e.operation]["503"] {
			c.drive(503, e.operation, ask{path: e.path, key: key, body: e.body, header: e.header})
		}
	}
	if len(c.failed) == 0 {
		c.Error("nobody is told why")
	}
}
