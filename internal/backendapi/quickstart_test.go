package backendapi

import (
	"bytes"
	"encoding/base32"
	"fmt"
	"image"
	"image/png"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/apikeys"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/totp"
)

const (
	enrollPath = "/v1/mfa/enroll"
	verifyPath = "/v1/mfa/verify"
	backupPath = "/v1/mfa/backup"
)

func enrollBody(user string) string {
	return fmt.Sprintf(`{"user_id":%q,"method":"totp"}`, user)
}

func verifyBody(enrollment, code string) string {
	return fmt.Sprintf(`{"enrollment_id":%q,"totp_code":%q}`, enrollment, code)
}

func backupBody(user string) string { return fmt.Sprintf(`{"user_id":%q}`, user) }

// begin begins an enrollment over the API, and reads its secret as an app does.
func (w *world) begin(key, user string) (enrollment string, secret totp.Key) {
	w.Helper()
	got := w.want(w.post(enrollPath, key, enrollBody(user)), 200)
	return got.string("enrollment_id"), w.scan(got.string("totp_uri"))
}

func (w *world) scan(uri string) totp.Key {
	w.Helper()
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "otpauth" || u.Host != "totp" {
		w.Fatalf("%q: %v", uri, err)
	}
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(u.Query().Get("secret"))
	if err != nil {
		w.Fatalf("%q: %v", uri, err)
	}
	return totp.Key{Secret: secret, Params: totp.Default()}
}

// enrolled enrolls a user over the API.
func (w *world) enrolled(key, user string) (enrollment string, secret totp.Key) {
	w.Helper()
	enrollment, secret = w.begin(key, user)
	w.want(w.post(verifyPath, key, verifyBody(enrollment, w.Code(secret))), 200)
	return enrollment, secret
}

func (w *world) isError(a answer, status int, code string) {
	w.Helper()
	if a.status != status || a.string("error") != code {
		w.Fatalf("status %d, want %d with %s: %s", a.status, status, code, a.text)
	}
}

// The examples of 000_06d2a26b38c0307f.txt with ids, codes and tokens that are
// good here; what else they say is as it stands there.
//
// Statements of the documents, as docs/api.md numbers them:
//
//   - 000-2: Enrolls a user in TOTP-based multi-factor authentication.
//   - 000-3: Unique identifier for this enrollment
//   - 000-4: OTP Auth URI for authenticator apps
//   - 000-6: Verifies a TOTP code submitted by the user.
//   - 000-7: Enrollment ID returned at enroll step
//   - 000-8: 6-digit code from your authenticator
//   - 000-9: true if verification succeeded
//   - 000-13: TOTP code is incorrect or expired
//   - 000-16: Enable backup codes via POST /v1/mfa/backup.
func TestDocument000(t *testing.T) {
	w := newWorld(t)
	key := w.fullKey()

	// "Enrollment Request", "Enrollment Response — 200 OK".
	got := w.want(w.post("/v1/mfa/enroll", key, `{ "user_id": "usr_01HXYZ", "method": "totp"}`), 200)
	id, uri, image := got.string("enrollment_id"), got.string("totp_uri"), got.string("qr_code_url")
	if len(got.body) != 3 || !strings.HasPrefix(id, "enr_") || !strings.HasPrefix(uri, "otpauth://totp/Test:usr_01HXYZ?secret=") ||
		image != "https://api.test/qr/"+id+".png" {
		t.Error(got.text)
	}
	secret := w.scan(uri)

	// "Response — 401 Unauthorized".
	got = w.want(w.post("/v1/mfa/verify", key, `{ "enrollment_id": "`+id+`", "totp_code": "`+w.WrongCode(secret)+`"}`), 401)
	if got.text != `{"verified":false,"error":"invalid_totp_code"}` {
		t.Error(got.text)
	}
	// "Verification Request", "Verification Response — 200 OK", twice: the first
	// confirms, the second verifies.
	for range 2 {
		got = w.want(w.post("/v1/mfa/verify", key, `{ "enrollment_id": "`+id+`", "totp_code": "`+w.NextCode(secret)+`"}`), 200)
		if got.body["verified"] != true || !strings.HasPrefix(got.string("session_token"), "sess_") || len(got.body) != 2 {
			t.Error(got.text)
		}
	}
	// "Next Steps": Enable backup codes via POST /v1/mfa/backup.
	got = w.want(w.post("/v1/mfa/backup", key, `{"user_id":"usr_01HXYZ"}`), 200)
	if codes, ok := got.body["backup_codes"].([]any); !ok || len(codes) != 10 {
		t.Error(got.text)
	}

	// "Error Codes".
	w.isError(w.post("/v1/mfa/enroll", "", `{ "user_id": "usr_01HXYZ", "method": "totp"}`), 401, "invalid_token")
	w.isError(w.post("/v1/mfa/enroll", "<YOUR_TOKEN>", `{ "user_id": "usr_01HXYZ", "method": "totp"}`), 401, "invalid_token")
	w.isError(w.post("/v1/mfa/backup", key, `{"user_id":"usr_02"}`), 404, "user_not_found")
	w.isError(w.post("/v1/mfa/verify", key, `{ "enrollment_id": "`+id+`", "totp_code": "123456"}`), 401, "invalid_totp_code")
	w.isError(w.post("/v1/mfa/verify", key, `{ "enrollment_id": "enr_09ABCD", "totp_code": "123456"}`), 404, "enrollment_not_found")
}

func TestQuickstartSessionTokenIsAGrant(t *testing.T) {
	w := newWorld(t)
	key := w.fullKey()
	id, secret := w.begin(key, "alice")
	first := w.want(w.post(verifyPath, key, verifyBody(id, w.Code(secret))), 200).string("session_token")
	second := w.want(w.post(verifyPath, key, verifyBody(id, w.NextCode(secret))), 200).string("session_token")
	for _, token := range []string{first, second} {
		w.want(w.post(verifyGrantPath, key, grantBody(sessionAction, "alice", token)), 200)
		w.want(w.post(verifyGrantPath, key, grantBody("OTHER", "alice", token)), 400)
	}
	// In a browser it opens what its rule lets a server vouch for, no other.
	d := ceremonytest.Demand(sessionAction, grants.TimeBased, 10*time.Minute)
	alice := w.Stranger("alice")
	if _, err := w.Check(t.Context(), &alice, &d, [32]byte{}, second); err == nil {
		t.Error("opens a rule that does not take what servers vouch for")
	}
	d.AcceptAPI = true
	if _, err := w.Check(t.Context(), &alice, &d, [32]byte{}, second); err != nil {
		t.Error(err)
	}
	w.Clock.Advance(10 * time.Minute)
	w.want(w.post(verifyGrantPath, key, grantBody(sessionAction, "alice", second)), 400)
}

// Statements of the documents, as docs/api.md numbers them:
//
//   - 000-14: No enrollment matches that ID
func TestQuickstartRefusals(t *testing.T) {
	w := newWorld(t)
	key := w.fullKey()
	id, _ := w.enrolled(key, "alice")
	w.isError(w.post(enrollPath, key, enrollBody("alice")), 409, "already_enrolled")
	w.isError(w.post(enrollPath, key, `{"user_id":"bob","method":"sms"}`), 400, "invalid_request")
	w.isError(w.post(enrollPath, key, `{"user_id":7,"method":"totp"}`), 400, "invalid_request")
	w.isError(w.post(enrollPath, key, `{}`), 400, "invalid_request")
	w.isError(w.post(verifyPath, key, `{}`), 400, "invalid_request")
	w.isError(w.post(verifyPath, key, verifyBody(id, strings.Repeat("1", 129))), 400, "invalid_request")
	w.isError(w.post(backupPath, key, `{}`), 400, "invalid_request")
	// The id has one spelling.
	for _, other := range []string{strings.TrimPrefix(id, "enr_"), "ENR_" + id[4:], "enr_" + ceremony.EnrollmentUUID(id[4:]), id + "=", "enr_" + strings.ToLower(id[4:])} {
		if other != id {
			w.isError(w.post(verifyPath, key, verifyBody(other, "123456")), 404, "enrollment_not_found")
		}
	}

	// Of two pending enrollments the first confirmed wins, and none outlives its time.
	one, secret := w.begin(key, "bob")
	two, other := w.begin(key, "bob")
	w.want(w.post(verifyPath, key, verifyBody(two, w.Code(other))), 200)
	w.isError(w.post(verifyPath, key, verifyBody(one, w.Code(secret))), 404, "enrollment_not_found")
	late, secret := w.begin(key, "carol")
	w.Clock.Advance(16 * time.Minute)
	w.isError(w.post(verifyPath, key, verifyBody(late, w.Code(secret))), 404, "enrollment_not_found")

	// What was reset is there no more.
	if err := w.Reset(t.Context(), grants.Subject{Tenant: ceremonytest.Tenant, User: "alice"}); err != nil {
		t.Fatal(err)
	}
	w.isError(w.post(verifyPath, key, verifyBody(id, "123456")), 404, "enrollment_not_found")
	w.isError(w.post(backupPath, key, backupBody("alice")), 404, "user_not_found")

	w.Configure(func(s *ceremony.Settings) { s.Enrollment = ceremony.Deny })
	w.serve()
	w.isError(w.post(enrollPath, key, enrollBody("dave")), 403, "enrollment_denied")
}

// An enrollment verifies by the authenticator that it became, and by no other of
// the same user.
func TestQuickstartVerifiesTheOneAuthenticator(t *testing.T) {
	w := newWorld(t)
	key := w.fullKey()
	id, secret := w.enrolled(key, "alice")
	alice := &ceremonytest.Person{Principal: w.Stranger("alice"), Key: secret}
	another := w.EnrollAs(alice.Principal, ceremony.Leave{Manage: w.Manage(alice, ceremony.AddOp)})
	w.isError(w.post(verifyPath, key, verifyBody(id, w.NextCode(another.Key))), 401, "invalid_totp_code")
	w.want(w.post(verifyPath, key, verifyBody(id, w.NextCode(secret))), 200)
}

// Statements of the documents, as docs/api.md numbers them:
//
//   - 000-10: Session token issued on success
func TestQuickstartScopes(t *testing.T) {
	w := newWorld(t)
	tenant := ceremonytest.Tenant
	full := w.fullKey()
	enrollOnly := w.key(tenant, nil, apikeys.ScopeEnroll)
	sessions := w.key(tenant, []string{sessionAction}, apikeys.ScopeVerify)
	others := w.key(tenant, []string{"OTHER"}, apikeys.ScopeVerify)
	reader := w.key(tenant, nil, apikeys.ScopeRead, apikeys.ScopeGrants)

	id, secret := w.begin(enrollOnly, "alice")
	code := w.Code(secret)
	for _, key := range []string{sessions, others, reader} {
		w.isError(w.post(enrollPath, key, enrollBody("bob")), 403, "forbidden")
		w.isError(w.post(verifyPath, key, verifyBody(id, code)), 403, "forbidden")
		w.isError(w.post(backupPath, key, backupBody("alice")), 403, "forbidden")
	}
	// Who may only enroll confirms, and gets no session token.
	got := w.want(w.post(verifyPath, enrollOnly, verifyBody(id, code)), 200)
	if got.text != `{"verified":true}` {
		t.Error(got.text)
	}
	// A key that mints no sessions is refused before the code is used up.
	code = w.NextCode(secret)
	for _, key := range []string{enrollOnly, others} {
		got := w.post(verifyPath, key, verifyBody(id, code))
		w.isError(got, 403, "forbidden")
		if got.body["verified"] != false {
			t.Error(got.text)
		}
	}
	w.want(w.post(verifyPath, sessions, verifyBody(id, code)), 200)

	// The first recovery codes are part of enrolling; new ones are not.
	first := w.want(w.post(backupPath, enrollOnly, backupBody("alice")), 200)
	w.isError(w.post(backupPath, enrollOnly, backupBody("alice")), 409, "already_issued")
	renewed := w.want(w.post(backupPath, w.key(tenant, nil, apikeys.ScopeReset), backupBody("alice")), 200)
	if first.text == renewed.text {
		t.Error("the same codes again")
	}
	w.want(w.post(backupPath, full, backupBody("alice")), 200)
}

// Statements of the documents, as docs/api.md numbers them:
//
//   - 000-5: URL to the scannable QR code image
func TestQRImage(t *testing.T) {
	w := newWorld(t)
	key := w.fullKey()
	const issuer = "Bäckerei + Söhne: Kasse"
	w.Configure(func(s *ceremony.Settings) { s.Issuer = issuer })
	w.serve(func(o *Options) { o.Issuer, o.BaseURL = issuer, "https://qr.example/api/" })
	got := w.want(w.post(enrollPath, key, enrollBody(strings.Repeat("ü", 100))), 200)
	id := got.string("enrollment_id")
	if got.string("qr_code_url") != "https://qr.example/api/qr/"+id+".png" {
		t.Error(got.text)
	}
	// 192 bits of which 6 are fixed.
	if !regexp.MustCompile(`^enr_[A-Za-z0-9_-]{32}$`).MatchString(id) {
		t.Error(id)
	}
	path := "/qr/" + id + ".png"
	shown := w.want(w.get(path, ""), 200)
	if shown.header.Get("Content-Type") != "image/png" {
		t.Error(shown.header)
	}
	img, err := png.Decode(strings.NewReader(shown.text))
	if err != nil {
		t.Fatal(err)
	}
	checkModules(t, img)
	if w.get(path, "suk_wrong").text != shown.text {
		t.Error("a key changes the image")
	}
	if head := w.do(ask{method: "HEAD", path: path}); head.status != 200 || head.text != "" {
		t.Error(head.status, len(head.text))
	}

	for _, other := range []string{id[:len(id)-1] + "A", id[4:], "enr_" + ceremony.EnrollmentUUID(id[4:]), "enr_", id + "%00", "x"} {
		if other != id {
			w.isError(w.get("/qr/"+other+".png", ""), 404, "enrollment_not_found")
		}
	}
	w.isError(w.get("/qr/.png", ""), 404, "not_found")
	w.isError(w.get("/qr/"+id, ""), 404, "not_found")

	// It is gone once it is confirmed, void or has run out.
	secret := w.scan(got.string("totp_uri"))
	second := w.want(w.post(enrollPath, key, enrollBody(strings.Repeat("ü", 100))), 200)
	w.want(w.post(verifyPath, key, verifyBody(id, w.Code(secret))), 200)
	w.isError(w.get(path, ""), 404, "enrollment_not_found")
	w.isError(w.get("/qr/"+second.string("enrollment_id")+".png", ""), 404, "enrollment_not_found")
	late, _ := w.begin(key, "late")
	w.want(w.get("/qr/"+late+".png", ""), 200)
	w.Clock.Advance(15 * time.Minute)
	w.isError(w.get("/qr/"+late+".png", ""), 404, "enrollment_not_found")
}

// checkModules looks for a black finder pattern inside a quiet zone of four
// modules, each at least six pixels wide.
func checkModules(t *testing.T, img image.Image) {
	t.Helper()
	dark := func(x, y int) bool {
		r, g, b, a := img.At(x, y).RGBA()
		if a != 0xffff || r != g || g != b || r != 0 && r != 0xffff {
			t.Fatalf("a pixel is neither black nor white: %v", img.At(x, y))
		}
		return r == 0
	}
	margin := 0
	for !dark(margin, margin) {
		margin++
	}
	run := 0
	for dark(margin+run, margin) {
		run++
	}
	module := run / 7 // a finder pattern is seven modules wide
	if module < 6 || run != 7*module || margin != 4*module {
		t.Errorf("margin %d, finder pattern %d", margin, run)
	}
	for i := range img.Bounds().Dx() {
		if dark(i, margin-1) || dark(margin-1, i) || dark(i, img.Bounds().Dy()-margin) || dark(img.Bounds().Dx()-margin, i) {
			t.Fatal("the quiet zone is not quiet")
		}
	}
}

func TestQRImageOfTheLongestURI(t *testing.T) {
	uri := totp.Key{Secret: bytes.Repeat([]byte{7}, 64), Params: totp.Params{Algorithm: totp.SHA512, Digits: 8}}.URI(strings.Repeat("ü", 64), strings.Repeat("ü", 128))
	if _, err := qrPNG(uri); err != nil {
		t.Fatal(len(uri), err)
	}
}
