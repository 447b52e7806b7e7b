package backendapi

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
)

// totpBody is a request for verify-totp.
func totpBody(action, user, code string) string {
	return fmt.Sprintf(`{"action_type":%q,"user_id":%q,"code":%q,"grant_type":"ONE_TIME_USE","valid_for_seconds":60}`, action, user, code)
}

func grantBody(action, user, grant string) string {
	return fmt.Sprintf(`{"action_type":%q,"user_id":%q,"grant":%q}`, action, user, grant)
}

const (
	verifyTOTPPath  = "/api/backend/v1/mfa/step-up/verify-totp"
	sendPath        = "/api/backend/v1/mfa/step-up/phone/send"
	verifyPhonePath = "/api/backend/v1/mfa/step-up/phone/verify"
	verifyGrantPath = "/api/backend/v1/mfa/step-up/verify-grant"
)

func TestStepUpJourney(t *testing.T) {
	w := newWorld(t)
	key, alice := w.fullKey(), w.Enrol("alice")
	got := w.want(w.get("/api/backend/v1/user/"+ceremony.UserUUID(alice.Subject)+"/mfa", key), 200)
	if got.text != `{"mfa_setup":{"type":"Totp"}}` {
		t.Fatal(got.text)
	}
	won := w.want(w.post(verifyTOTPPath, key, totpBody("PAY", "alice", w.NextCode(alice.Key))), 200).string("step_up_grant")
	if got := w.want(w.post(verifyGrantPath, key, grantBody("PAY", "alice", won)), 200); got.text != `{"success":true}` {
		t.Fatal(got.text)
	}
	w.want(w.post(verifyGrantPath, key, grantBody("PAY", "alice", won)), http.StatusBadRequest)
}
