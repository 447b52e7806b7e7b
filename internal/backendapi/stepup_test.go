package backendapi

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/apikeys"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/internal/quota"
)

const (
	userPath        = "/api/backend/v1/user/"
	verifyTOTPPath  = "/api/backend/v1/mfa/step-up/verify-totp"
	sendPath        = "/api/backend/v1/mfa/step-up/phone/send"
	verifyPhonePath = "/api/backend/v1/mfa/step-up/phone/verify"
	verifyGrantPath = "/api/backend/v1/mfa/step-up/verify-grant"
	metadataPath    = "/api/v1/token_verification_metadata"
)

// totpBody is a request for verify-totp.
func totpBody(action, user, code string) string {
	return fmt.Sprintf(`{"action_type":%q,"user_id":%q,"code":%q,"grant_type":"ONE_TIME_USE","valid_for_seconds":600}`, action, user, code)
}

func sendBody(action, user, phone string) string {
	return fmt.Sprintf(`{"action_type":%q,"user_id":%q,"mfa_phone_id":%q,"grant_type":"ONE_TIME_USE","valid_for_seconds":100}`, action, user, phone)
}

func phoneBody(user, challenge, code string) string {
	return fmt.Sprintf(`{"challenge_id":%q,"user_id":%q,"code":%q}`, challenge, user, code)
}

func grantBody(action, user, grant string) string {
	return fmt.Sprintf(`{"action_type":%q,"user_id":%q,"grant":%q}`, action, user, grant)
}

// win gives a one-time grant for the action.
func (w *world) win(key, action string, who *ceremonytest.Person) string {
	w.Helper()
	return w.want(w.post(verifyTOTPPath, key, totpBody(action, who.User, w.NextCode(who.Key))), 200).string("step_up_grant")
}

// phoneNumber is one that codes are sent to.
const phoneNumber = "+4915123451234"

// withPhone enrolls a subject whose only authenticator is a phone, and gives it
// with the phone's id as the API tells it.
func (w *world) withPhone(name, number string) (ceremony.Principal, string) {
	w.Helper()
	p := w.Stranger(name)
	w.addPhone(p, number, ceremony.Leave{})
	return p, w.phones(name)[0].ID
}

func (w *world) addPhone(p ceremony.Principal, number string, leave ceremony.Leave) {
	w.Helper()
	e, err := w.EnrollPhone(w.Context(), p, "", number, "https://app.test", leave)
	if err != nil {
		w.Fatal("enrolling a phone:", err)
	}
	if _, err := w.Confirm(w.Context(), p, e.ID, w.lastCode(number), ""); err != nil {
		w.Fatal("confirming a phone:", err)
	}
	w.Clock.Advance(time.Minute)
}

func (w *world) lastCode(number string) string {
	w.Helper()
	texts := w.Texts(number)
	if len(texts) == 0 {
		w.Fatal("no message came")
	}
	return texts[len(texts)-1].Code()
}

// phones are the user's phones as the API tells them.
func (w *world) phones(name string) []phone {
	w.Helper()
	var body struct {
		Setup struct {
			Type   string  `json:"type"`
			Phones []phone `json:"phone_numbers"`
		} `json:"mfa_setup"`
	}
	got := w.want(w.get(userPath+name+"/mfa", w.fullKey()), 200)
	if err := json.Unmarshal([]byte(got.text), &body); err != nil || body.Setup.Type != "Phone" {
		w.Fatal(got.text, err)
	}
	return body.Setup.Phones
}

// fieldWord gives the word for what is wrong with a field, where that is what the
// answer says, in both of the places where clients look for it.
func (a answer) fieldWord(name string) string {
	one, _ := a.body["field_errors"].(map[string]any)
	other, _ := a.body["field_to_errors"].(map[string]any)
	people, _ := a.body["user_facing_errors"].(map[string]any)
	if a.status != 400 || a.string("error_code") != "invalid_request_fields" || one[name] != other[name] || one[name] != nil && people[name] == nil {
		return ""
	}
	word, _ := one[name].(string)
	return word
}

// mustBe ends the test where the answer is not the error of that status and code,
// in the one shape that errors have.
func (w *world) mustBe(a answer, status int, code string) {
	w.Helper()
	if a.status != status || a.string("error_code") != code || a.string("user_facing_error") == "" {
		w.Fatalf("status %d, want %d with %s: %s", a.status, status, code, a.text)
	}
	for _, name := range []string{"user_facing_errors", "field_errors", "field_to_errors"} {
		if _, ok := a.body[name].(map[string]any); !ok {
			w.Fatalf("%s is no object: %s", name, a.text)
		}
	}
}

// The examples of 003_17f8de7ce8805a4c.txt with a code, a grant and ids that are
// good here; what else they say is as it stands there.
//
// Statements of the documents, as docs/api.md numbers them:
//
//   - 003-1: The Step-Up MFA APIs can be called from your backend using
//     your PropelAuth API Key.
//   - 003-3: Returns which type of MFA (TOTP or SMS) the user is enrolled
//     in.
//   - 003-4: Verifies a user's TOTP code and returns a step-up grant if
//     successful.
//   - 003-9: The code from the user's TOTP app. This is usually a 6-digit
//     number.
//   - 003-12: The ID of the phone retrieved from the Fetch User MFA Methods
//     API.
//   - 003-13: Verifies a user's MFA challenge and code created by the Send
//     SMS MFA Code API.
//   - 003-14: The code from the SMS. This is usually a 6-character string.
func TestDocument003(t *testing.T) {
	const user = "31c41c16-c281-44ae-9602-8a047e3bf33d"
	w := newWorld(t)
	key, alice := w.fullKey(), w.Enroll(user)

	// GET /api/backend/v1/user/<user_id>>/mfa, "if TOTP MFA".
	if got := w.want(w.get("/api/backend/v1/user/31c41c16-c281-44ae-9602-8a047e3bf33d/mfa", key), 200); got.text != `{"mfa_setup":{"type":"Totp"}}` {
		t.Error(got.text)
	}
	// The same, "if SMS MFA", with two phones.
	bob, _ := w.withPhone("bob", phoneNumber)
	w.addPhone(bob, "+4915123455678", ceremony.Leave{Manage: w.manageByPhone(bob, phoneNumber)})
	phones := w.phones("bob")
	want := fmt.Sprintf(`{"mfa_setup":{"type":"Phone","phone_numbers":[{"mfa_phone_number_suffix":"1234","mfa_phone_id":%q},{"mfa_phone_number_suffix":"5678","mfa_phone_id":%q}]}}`, phones[0].ID, phones[1].ID)
	if got := w.get(userPath+"bob/mfa", key); got.text != want {
		t.Error(got.text)
	}

	// POST /api/backend/v1/mfa/step-up/verify-totp, the cURL request.
	got := w.want(w.post(verifyTOTPPath, key, `{
"action_type": "SENSITIVE_ACTION",
"user_id": "31c41c16-c281-44ae-9602-8a047e3bf33d",
"code": "`+w.NextCode(alice.Key)+`",
"grant_type": "TIME_BASED",
"valid_for_seconds": 60
}`), 200)
	grant := got.string("step_up_grant")
	if grant == "" || len(got.body) != 1 {
		t.Error(got.text)
	}

	// POST /api/backend/v1/mfa/step-up/verify-grant, the cURL request.
	got = w.want(w.post(verifyGrantPath, key, `{
"action_type": "SENSITIVE_ACTION",
"user_id": "31c41c16-c281-44ae-9602-8a047e3bf33d",
"grant": "`+grant+`"
}`), 200)
	if got.text != `{"success":true}` {
		t.Error(got.text)
	}

	// POST /api/backend/v1/mfa/step-up/phone/send, the cURL request.
	w.Clock.Advance(quota.SubjectWindow) // enrolling has sent codes too
	got = w.want(w.post(sendPath, key, `{
"action_type": "SENSITIVE_ACTION",
"user_id": "`+ceremony.UserUUID(bob.Subject)+`",
"mfa_phone_id": "`+phones[1].ID+`",
"grant_type": "ONE_TIME_USE",
"valid_for_seconds": 100
}`), 200)
	challenge := got.string("challenge_id")
	if !uuidForm.MatchString(challenge) || len(got.body) != 1 {
		t.Error(got.text)
	}

	// POST /api/backend/v1/mfa/step-up/phone/verify, the cURL request.
	w.Clock.Advance(31 * time.Second)
	got = w.want(w.post(verifyPhonePath, key, `{
"challenge_id": "`+challenge+`",
"user_id": "`+ceremony.UserUUID(bob.Subject)+`",
"code": "`+w.lastCode("+4915123455678")+`"
}`), 200)
	grant = got.string("step_up_grant")
	if grant == "" || len(got.body) != 1 {
		t.Error(got.text)
	}
	w.want(w.post(verifyGrantPath, key, grantBody("SENSITIVE_ACTION", "bob", grant)), 200)
}

// manageByPhone wins the grant for adding an authenticator with a sent code.
func (w *world) manageByPhone(p ceremony.Principal, number string) string {
	w.Helper()
	c, err := w.BeginManage(w.Context(), p, ceremony.AddOp, "", "https://app.test", "/")
	if err == nil {
		_, err = w.SendCode(w.Context(), p, c.ID, "")
	}
	if err != nil {
		w.Fatal(err)
	}
	won, err := w.Verify(w.Context(), p, c.ID, ceremony.Answer{Method: grants.SMS, Code: w.lastCode(number)})
	if err != nil {
		w.Fatal(err)
	}
	w.Clock.Advance(time.Minute)
	return won.Token.Text()
}

// Statements of the documents, as docs/api.md numbers them:
//
//   - 003-5: The user must have MFA enabled before this endpoint can be
//     used.
func TestStepUpRefusals(t *testing.T) {
	w := newWorld(t)
	key, alice := w.fullKey(), w.Enroll("alice")
	_, phone := w.withPhone("bob", phoneNumber)
	gone := w.Enroll("gone")
	if err := w.Reset(t.Context(), gone.Subject); err != nil {
		t.Fatal(err)
	}
	const unknown = "8a7d4ba1-6df0-4a9b-a9a7-0d6c8c4d6a11"

	w.mustBe(w.post(verifyTOTPPath, key, totpBody("PAY", unknown, "123456")), 400, "user_not_found")
	w.mustBe(w.post(sendPath, key, sendBody("PAY", unknown, phone)), 400, "user_not_found")
	w.mustBe(w.post(verifyPhonePath, key, phoneBody(unknown, "x", "123456")), 400, "user_not_found")
	w.mustBe(w.get(userPath+unknown+"/mfa", key), 404, "user_not_found")
	w.mustBe(w.post(userPath+unknown+"/disable_2fa", key, ""), 404, "user_not_found")

	w.mustBe(w.post(verifyTOTPPath, key, totpBody("PAY", "gone", "123456")), 400, "mfa_not_enabled")
	w.mustBe(w.post(verifyTOTPPath, key, totpBody("PAY", "bob", "123456")), 400, "mfa_not_enabled") // a phone only
	w.mustBe(w.post(sendPath, key, sendBody("PAY", "alice", phone)), 400, "mfa_not_enabled")        // an app only
	if got := w.want(w.get(userPath+"gone/mfa", key), 200); got.text != `{"mfa_setup":null}` {
		t.Error(got.text)
	}

	w.mustBe(w.post(verifyTOTPPath, key, totpBody("PAY", "alice", w.WrongCode(alice.Key))), 400, "incorrect_mfa_code")
	code := w.NextCode(alice.Key)
	w.want(w.post(verifyTOTPPath, key, totpBody("PAY", "alice", code)), 200)
	w.mustBe(w.post(verifyTOTPPath, key, totpBody("PAY", "alice", code)), 400, "incorrect_mfa_code")
	// A recovery code is no answer of an app.
	w.mustBe(w.post(verifyTOTPPath, key, totpBody("PAY", "alice", alice.RecoveryCodes[0])), 400, "incorrect_mfa_code")

	if word := w.post(sendPath, key, sendBody("PAY", "bob", unknown)).fieldWord("mfa_phone_id"); word != "phone_not_found" {
		t.Error(word)
	}
	got := w.want(w.post(sendPath, key, sendBody("PAY", "bob", phone)), 200)
	challenge, sent := got.string("challenge_id"), w.lastCode(phoneNumber)
	for _, test := range []struct{ user, challenge, code, field, word string }{
		{"bob", "x", sent, "challenge_id", "challenge_not_found"},
		{"alice", challenge, sent, "challenge_id", "challenge_not_found"},
		{"bob", challenge, "ABC123", "code", "incorrect_code"},
	} {
		if word := w.post(verifyPhonePath, key, phoneBody(test.user, test.challenge, test.code)).fieldWord(test.field); word != test.word {
			t.Errorf("%+v: %q", test, word)
		}
	}
	// Another code at once is too soon, and waiting helps.
	got = w.post(sendPath, key, sendBody("PAY", "bob", phone))
	w.mustBe(got, 429, "too_many_sends")
	if after, err := strconv.Atoi(got.header.Get("Retry-After")); err != nil || after < 1 || after > 30 {
		t.Error(got.header)
	}
	w.Clock.Advance(4 * time.Minute)
	w.Clock.Advance(time.Minute)
	if word := w.post(verifyPhonePath, key, phoneBody("bob", challenge, sent)).fieldWord("challenge_id"); word != "challenge_expired" {
		t.Error(word)
	}

	// A sender that is down burns nothing: the next may be sent at once.
	w.Network(errors.New("no route to " + phoneNumber))
	got = w.post(sendPath, key, sendBody("PAY", "bob", phone))
	w.mustBe(got, 502, "sms_not_sent")
	if strings.Contains(got.text, "1234") {
		t.Error(got.text)
	}
	w.Network(nil)
	w.want(w.post(sendPath, key, sendBody("PAY", "bob", phone)), 200)
}

// Statements of the documents, as docs/api.md numbers them:
//
//   - 003-10: Must equal either "ONE_TIME_USE" or "TIME_BASED".
func TestStepUpFields(t *testing.T) {
	w := newWorld(t)
	key := w.fullKey()
	w.Enroll("alice")
	good := map[string]any{"action_type": "PAY", "user_id": "alice", "code": "123456", "grant_type": "TIME_BASED", "valid_for_seconds": 60}
	for _, test := range []struct {
		field string
		value any
		word  string
	}{
		{"action_type", nil, "required"}, {"action_type", "", "required"}, {"action_type", 5, "not_a_string"},
		{"action_type", "an\naction", "invalid_text"}, {"action_type", "an \u202eaction", "invalid_text"},
		{"action_type", strings.Repeat("A", 257), "too_long"}, {"action_type", strings.Repeat("送", 257), "too_long"}, {"action_type", strings.Repeat("A", 1025), "too_long"},
		{"action_type", "ＳＴＥＰ_up.manage", "reserved"}, {"action_type", " step_up.manage", "reserved"}, {"action_type", "ſtep_up.manage", "reserved"},
		{"action_type", "step_up.manage", "reserved"}, {"action_type", "STEP_UP.x", "reserved"},
		{"user_id", nil, "required"}, {"user_id", "", "required"}, {"user_id", []string{"alice"}, "not_a_string"},
		{"user_id", strings.Repeat("x", 257), "too_long"}, {"user_id", "a\x00b", "invalid_text"}, {"user_id", "  ", "invalid"},
		{"code", nil, "required"}, {"code", 123456, "not_a_string"}, {"code", strings.Repeat("1", 129), "too_long"},
		{"grant_type", nil, "required"}, {"grant_type", "FOREVER", "unknown_value"}, {"grant_type", "time_based", "unknown_value"},
		{"valid_for_seconds", nil, "required"}, {"valid_for_seconds", "60", "not_a_number"}, {"valid_for_seconds", 1.5, "not_a_number"},
		{"valid_for_seconds", 0, "out_of_range"}, {"valid_for_seconds", -1, "out_of_range"}, {"valid_for_seconds", 86401, "out_of_range"},
		{"valid_for_seconds", json.RawMessage("1e999"), "out_of_range"}, {"valid_for_seconds", json.RawMessage("99999999999999999999"), "out_of_range"},
		{"valid_for_seconds", true, "not_a_number"},
	} {
		body := map[string]any{"more": map[string]any{"than": "known"}}
		for name, v := range good {
			body[name] = v
		}
		body[test.field] = test.value
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		if word := w.post(verifyTOTPPath, key, string(text)).fieldWord(test.field); word != test.word {
			t.Errorf("%s = %v: %q, want %q", test.field, test.value, word, test.word)
		}
	}
	// Several at once are told at once.
	got := w.post(verifyTOTPPath, key, `{"valid_for_seconds":60.0}`)
	for _, name := range []string{"action_type", "user_id", "code", "grant_type"} {
		if got.fieldWord(name) != "required" {
			t.Error(got.text)
		}
	}
	if got.fieldWord("valid_for_seconds") != "" {
		t.Error(got.text)
	}
	for _, path := range []string{sendPath, verifyPhonePath, verifyGrantPath} {
		w.mustBe(w.post(path, key, `{}`), 400, "invalid_request_fields")
		w.mustBe(w.post(path, key, `[]`), 400, "invalid_request")
		w.mustBe(w.post(path, key, ``), 400, "invalid_request")
	}
}

// Statements of the documents, as docs/api.md numbers them:
//
//   - 003-11: The number of seconds that the grant should be valid for.
func TestStepUpGrantsHoldForAsLongAsAsked(t *testing.T) {
	w := newWorld(t)
	key, alice := w.fullKey(), w.Enroll("alice")
	body := fmt.Sprintf(`{"action_type":"PAY","user_id":"alice","code":%q,"grant_type":"TIME_BASED","valid_for_seconds":60}`, w.NextCode(alice.Key))
	grant := w.want(w.post(verifyTOTPPath, key, body), 200).string("step_up_grant")
	for range 3 {
		w.want(w.post(verifyGrantPath, key, grantBody("PAY", "alice", grant)), 200)
	}
	w.Clock.Advance(time.Minute)
	if word := w.post(verifyGrantPath, key, grantBody("PAY", "alice", grant)).fieldWord("grant"); word != "grant_not_found" {
		t.Error(word)
	}
}

// Clients that type ids as UUIDs name anybody by the alias, on either side.
//
// Statements of the documents, as docs/api.md numbers them:
//
//   - 003-8: The ID of the user.
func TestStepUpUserIDsThatAreNoUUIDs(t *testing.T) {
	w := newWorld(t)
	key, alice := w.fullKey(), w.Enroll("alice@example.com")
	alias := ceremony.UserUUID(alice.Subject)
	for _, name := range []string{alias, strings.ToUpper(alias), "alice@example.com", "alice%40example.com", "%61lice@example.com", "Alice@Example.COM"} {
		if got := w.want(w.get(userPath+name+"/mfa", key), 200); got.text != `{"mfa_setup":{"type":"Totp"}}` {
			t.Error(name, got.text)
		}
	}
	for _, pair := range [][2]string{{alias, "alice@example.com"}, {"alice@example.com", alias}} {
		grant := w.want(w.post(verifyTOTPPath, key, totpBody("PAY", pair[0], w.NextCode(alice.Key))), 200).string("step_up_grant")
		w.want(w.post(verifyGrantPath, key, grantBody("PAY", pair[1], grant)), 200)
		w.want(w.post(verifyGrantPath, key, grantBody("PAY", pair[0], grant)), 400)
	}
	// Phones are named by their alias and by their id.
	p, phone := w.withPhone("bob", phoneNumber)
	u, err := w.User(t.Context(), p.Subject)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{phone, strings.ToUpper(phone), u.Authenticators[0].ID} {
		w.want(w.post(sendPath, key, sendBody("PAY", "bob", id)), 200)
		w.Clock.Advance(quota.SubjectWindow)
	}
}

func TestStepUpDisable(t *testing.T) {
	w := newWorld(t)
	key, alice := w.fullKey(), w.Enroll("alice")
	grant := w.win(key, "PAY", alice)
	if got := w.want(w.post(userPath+"alice/disable_2fa", key, ""), 200); got.text != `{}` {
		t.Error(got.text)
	}
	w.want(w.post(verifyGrantPath, key, grantBody("PAY", "alice", grant)), 400)
	w.mustBe(w.post(verifyTOTPPath, key, totpBody("PAY", "alice", w.NextCode(alice.Key))), 400, "mfa_not_enabled")
	if got := w.want(w.get(userPath+"alice/mfa", key), 200); got.text != `{"mfa_setup":null}` {
		t.Error(got.text)
	}
	// Who did it stands in the audit log.
	for _, e := range w.Events() {
		if e.Kind == "reset" && strings.HasPrefix(e.Actor.ID, "key_") && e.Actor.Label == "test" && e.Address != "" {
			return
		}
	}
	t.Error("no key is noted for the reset")
}

func TestTokenVerificationMetadata(t *testing.T) {
	w := newWorld(t)
	// Any key will do.
	got := w.want(w.get(metadataPath, w.key(ceremonytest.Tenant, nil, apikeys.ScopeRead)), 200)
	block, rest := pem.Decode([]byte(got.string("verifier_key_pem")))
	if block == nil || block.Type != "PUBLIC KEY" || len(rest) > 0 {
		t.Fatal(got.text)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if k, ok := key.(*rsa.PublicKey); err != nil || !ok || k.N.BitLen() < 2048 {
		t.Error(key, err)
	}
	if again := w.get(metadataPath, w.fullKey()); again.text != got.text {
		t.Error("another key each time")
	}
	w.mustBe(w.get(metadataPath, ""), http.StatusUnauthorized, "invalid_api_key")
}

// Document 003: "Any string you want, such as `SENSITIVE_ACTION`. This is used to
// identify the action that the user is trying to perform. It must match the
// action_type that will be used when verifying the user's Step-Up Grant."
//
// Statements of the documents, as docs/api.md numbers them:
//
//   - 003-6: Any string you want, such as `SENSITIVE_ACTION`.
//   - 003-7: It must match the action_type that will be used when verifying
//     the user's Step-Up Grant .
func TestActionTypesAreAnyString(t *testing.T) {
	w := newWorld(t)
	key, alice := w.fullKey(), w.Enroll("alice")
	bob, phoneID := w.withPhone("bob", phoneNumber)
	for _, action := range []string{
		"wire transfer", "Überweisung / größer als 1.000 €", "送金", "a\"b\\c'<d>&;,=", " ", "*", "👩‍💻", strings.Repeat("送", 256), "e\u0301",
	} {
		token := w.win(key, action, alice)
		for _, other := range []string{action + " ", strings.ToUpper(action) + "x", "é", "SENSITIVE_ACTION"} {
			if len(other) <= 256 {
				if word := w.post(verifyGrantPath, key, grantBody(other, "alice", token)).fieldWord("grant"); word != "grant_not_found" {
					t.Errorf("a grant for %q, asked for as %q: %q", action, other, word)
				}
			}
		}
		w.want(w.post(verifyGrantPath, key, jsonBody(t, map[string]any{"action_type": action, "user_id": "alice", "grant": token})), 200)

		w.Clock.Advance(quota.SubjectWindow)
		challenge := w.want(w.post(sendPath, key, sendBody(action, "bob", phoneID)), 200).string("challenge_id")
		token = w.want(w.post(verifyPhonePath, key, phoneBody(bob.User, challenge, w.lastCode(phoneNumber))), 200).string("step_up_grant")
		w.want(w.post(verifyGrantPath, key, grantBody(action, "bob", token)), 200)
	}

	// A key that names it mints it, and no other.
	named := w.key(ceremonytest.Tenant, []string{"wire transfer", "送金"}, apikeys.ScopeVerify, apikeys.ScopeGrants)
	w.want(w.post(verifyGrantPath, named, grantBody("wire transfer", "alice", w.win(named, "wire transfer", alice))), 200)
	w.mustBe(w.post(verifyTOTPPath, named, totpBody("wire  transfer", "alice", w.NextCode(alice.Key))), 403, "forbidden")

	// The operator ends the grants of one, though the stored name is cut short.
	long, longer := strings.Repeat("送", 255), strings.Repeat("送", 256)
	one, other := w.win(key, long, alice), w.win(key, longer, alice)
	if n, err := w.Revoke(t.Context(), alice.Subject, long); err != nil || n != 1 {
		t.Error(n, err)
	}
	w.want(w.post(verifyGrantPath, key, grantBody(long, "alice", one)), 400)
	w.want(w.post(verifyGrantPath, key, grantBody(longer, "alice", other)), 200)
}

func jsonBody(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What a server makes up comes into no message but as words.
func TestMessagesNameNoActionThatIsNoWords(t *testing.T) {
	w := newWorld(t)
	key := w.fullKey()
	_, phoneID := w.withPhone("bob", phoneNumber)
	for action, named := range map[string]bool{
		"PAY": true, "wire transfer": true, "送金": true,
		"https://evil.example/pay": false, "call +1 555 0100": false, strings.Repeat("x", 65): false,
	} {
		w.Clock.Advance(quota.SubjectWindow)
		w.want(w.post(sendPath, key, sendBody(action, "bob", phoneID)), 200)
		texts := w.Texts(phoneNumber)
		if text := texts[len(texts)-1].Text; strings.Contains(text, action) != named {
			t.Errorf("%q: %q", action, text)
		}
	}
}
