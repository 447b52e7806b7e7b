//go:build components

package components

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/freeport"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// backendAPI is the document of the API for servers.
const backendAPI = "../../internal/backendapi/openapi.yaml"

// TestAPIKeepsItsContract lints the document of the API for servers and drives
// all four dialects through the proxy, by calls that are as they should be and
// by others. The QR code of an enrollment is scanned on the way.
func TestAPIKeepsItsContract(t *testing.T) {
	for _, found := range lint(t, backendAPI) {
		t.Errorf("the linter: %s", found)
	}
	port := freeport.Find(t)
	site := strings.Replace(bank(`protect SESSION /session {
			grant time_based 10m
		}`), "\t\tallow_plain_http\n", `		allow_plain_http
		sms {
			sender file GW_DIR/outbox
			country DE
			limits {
				resend_after 10s
			}
		}
`, 1)
	api := "http://127.0.0.1:" + port
	g := gateway.Start(t, site+`
`+api+` {
	bind 127.0.0.1
	vars user {http.request.header.X-Test-User}
	step_up_api {
		tenant t
		identity placeholder {http.vars.user}
	}
}
`, gateway.Options{Upstream: newCounter(t).addr})
	key := newKey(t, g, []string{"enroll", "verify", "grants", "read", "reset"}, "WIRE", "VIEW", "SESSION")
	bare := newKey(t, g, []string{"verify"}, "VIEW")
	right := &http.Client{Transport: newContract(t, backendAPI, api, requestsAndAnswers).through(t)}
	wrong := &http.Client{Transport: newContract(t, backendAPI, api, answersOnly).through(t)}

	type answer map[string]any
	send := func(client *http.Client, status int, authorization, method, path, body string, header ...string) answer {
		t.Helper()
		req, err := http.NewRequest(method, api+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if authorization != "" {
			req.Header.Set("Authorization", authorization)
		}
		if body != "" {
			req.Header.Set("Content-Type", "application/json")
		}
		for n := 0; n < len(header); n += 2 {
			req.Header.Set(header[n], header[n+1])
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		content, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != status {
			t.Fatalf("%s %s: %s, want %d: %s", method, path, resp.Status, status, content)
		}
		var a answer
		if err := json.Unmarshal(content, &a); err != nil {
			t.Fatalf("%s %s: %v in %q", method, path, err, content)
		}
		return a
	}
	call := func(status int, method, path, body string, header ...string) answer {
		t.Helper()
		return send(right, status, "Bearer "+key, method, path, body, header...)
	}
	text := func(a answer, name string) string {
		t.Helper()
		s, ok := a[name].(string)
		if !ok || s == "" {
			t.Fatalf("%s is %v in %v", name, a[name], a)
		}
		return s
	}
	const stepUp = "/api/backend/v1/mfa/step-up"
	unknown := uuid.NewString()

	call(200, "GET", "/openapi.json", "")
	send(wrong, 401, "Bearer wrong", "GET", "/api/v1/token_verification_metadata", "")
	call(200, "GET", "/api/v1/token_verification_metadata", "")

	// What a server does for users enrolled in the browser.
	{
		ann := g.NewPerson(uuid.NewString())
		ann.Enroll(t, "")
		proof := func(code string) string {
			return fmt.Sprintf(`{"action_type":"WIRE","user_id":%q,"code":%q,"grant_type":"ONE_TIME_USE","valid_for_seconds":60}`, ann.Name, code)
		}
		spend := func(grant string) string {
			return fmt.Sprintf(`{"action_type":"WIRE","user_id":%q,"grant":%q}`, ann.Name, grant)
		}
		call(200, "GET", "/api/backend/v1/user/"+ann.Name+"/mfa", "")
		call(404, "GET", "/api/backend/v1/user/"+unknown+"/mfa", "")
		call(400, "POST", stepUp+"/verify-totp", proof(ann.WrongCode()))
		call(400, "POST", stepUp+"/verify-totp", strings.Replace(proof("123456"), ann.Name, unknown, 1))
		grant := text(call(200, "POST", stepUp+"/verify-totp", proof(ann.Code(t))), "step_up_grant")
		call(200, "POST", stepUp+"/verify-grant", spend(grant))
		call(400, "POST", stepUp+"/verify-grant", spend(grant))
		send(right, 403, "Bearer "+bare, "POST", stepUp+"/verify-totp", proof("123456"))
		send(wrong, 401, "Bearer wrong", "POST", stepUp+"/verify-grant", spend(grant))
		for body, status := range map[string]int{`{}`: 400, `[]`: 400, `{"action_type":7,"user_id":[],"grant":{}}`: 400, spend(strings.Repeat("x", 70<<10)): 413} {
			send(wrong, status, "Bearer "+key, "POST", stepUp+"/verify-grant", body)
		}
		for range 5 {
			call(400, "POST", stepUp+"/verify-totp", proof(ann.WrongCode()))
		}
		call(429, "POST", stepUp+"/verify-totp", proof(ann.WrongCode()))
		call(404, "POST", "/api/backend/v1/user/"+unknown+"/disable_2fa", "")
		call(200, "POST", "/api/backend/v1/user/"+ann.Name+"/disable_2fa", "")

		bob := g.NewPerson(uuid.NewString())
		outbox := filepath.Join(g.Dir, "outbox")
		enrollPhone(t, bob, outbox)
		setup := call(200, "GET", "/api/backend/v1/user/"+bob.Name+"/mfa", "")["mfa_setup"].(map[string]any)
		phone := setup["phone_numbers"].([]any)[0].(map[string]any)["mfa_phone_id"]
		ask := fmt.Sprintf(`{"action_type":"WIRE","user_id":%q,"mfa_phone_id":%q,"grant_type":"TIME_BASED","valid_for_seconds":60}`, bob.Name, phone)
		call(429, "POST", stepUp+"/phone/send", ask)
		time.Sleep(10 * time.Second)
		challenge := text(call(200, "POST", stepUp+"/phone/send", ask), "challenge_id")
		answerTo := func(code string) string {
			return fmt.Sprintf(`{"challenge_id":%q,"user_id":%q,"code":%q}`, challenge, bob.Name, code)
		}
		code := lastCode(t, outbox)
		call(400, "POST", stepUp+"/phone/verify", answerTo(map[bool]string{true: "000001", false: "000000"}[code == "000000"]))
		call(200, "POST", stepUp+"/phone/verify", answerTo(code))
	}

	{
		whose := account{"Test", "usr_01HXYZ"}
		begun := call(200, "POST", "/v1/mfa/enroll", `{"user_id":"usr_01HXYZ","method":"totp"}`)
		// A picture is no text: it comes straight from the gateway.
		resp, err := http.Get(text(begun, "qr_code_url"))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var png bytes.Buffer
		if _, err := png.ReadFrom(resp.Body); err != nil || resp.StatusCode != 200 {
			t.Fatalf("the QR code: %s, %v", resp.Status, err)
		}
		code := codeFromQR(t, png.Bytes(), whose, time.Now())
		id := text(begun, "enrollment_id")
		verify := func(code string) string { return fmt.Sprintf(`{"enrollment_id":%q,"totp_code":%q}`, id, code) }
		call(401, "POST", "/v1/mfa/verify", verify(map[bool]string{true: "000001", false: "000000"}[code == "000000"]))
		call(200, "POST", "/v1/mfa/verify", verify(code))
		call(401, "POST", "/v1/mfa/verify", verify(code))
		call(409, "POST", "/v1/mfa/enroll", `{"user_id":"usr_01HXYZ","method":"totp"}`)
		call(200, "POST", "/v1/mfa/backup", `{"user_id":"usr_01HXYZ"}`)
		call(404, "POST", "/v1/mfa/backup", `{"user_id":"nobody"}`)
		call(404, "POST", "/v1/mfa/verify", `{"enrollment_id":"enr_09ABCD","totp_code":"123456"}`)
		call(404, "GET", "/qr/"+id+".png", "")
		send(wrong, 401, "Bearer wrong", "POST", "/v1/mfa/enroll", `{"user_id":"a","method":"totp"}`)
		send(wrong, 400, "Bearer "+key, "POST", "/v1/mfa/enroll", `{"user_id":7,"method":"sms"}`)
	}

	// A caller who is told by the identity source.
	{
		const path = "/v1/users/me/mfa/totp"
		me := []string{gateway.Header, "tara", "X-Tenant-ID", ceremony.TenantUUID("t").String()}
		begun := call(201, "POST", path, "", me...)
		call(403, "POST", path, "", gateway.Header, "tara", "X-Tenant-ID", unknown)
		send(wrong, 401, "Bearer suk_wrong", "POST", path, "", me...)
		app, err := gateway.NewApp(text(begun, "secret"))
		if err != nil {
			t.Fatal(err)
		}
		call(200, "POST", "/v1/mfa/verify", fmt.Sprintf(`{"enrollment_id":%q,"totp_code":%q}`, begun["id"], app.Code(t)))
		call(409, "POST", path, "", me...)
	}

	// A secret for somebody else.
	{
		sara := uuid.NewString()
		begun := send(right, 200, "jwt "+key, "POST", "/users/"+sara+"/secrets", `{"type":"mfa"}`)
		app, err := gateway.NewApp(text(begun["secret"].(map[string]any), "secret"))
		if err != nil {
			t.Fatal(err)
		}
		enroll := "/users/" + sara + "/secrets/" + text(begun, "id") + "/enroll"
		send(right, 400, "jwt "+key, "PUT", enroll, `{"token":"`+app.WrongCode()+`"}`)
		// As a number, without the zeros that it may begin with.
		send(right, 200, "jwt "+key, "PUT", enroll, `{"token":`+strings.TrimLeft(app.Code(t), "0")+`}`)
		send(right, 409, "jwt "+key, "POST", "/users/"+sara+"/secrets", `{"type":"mfa"}`)
		send(right, 404, "jwt "+key, "PUT", "/users/"+sara+"/secrets/"+unknown+"/enroll", `{"token":"123456"}`)
		send(wrong, 401, "jwt suk_wrong", "POST", "/users/"+sara+"/secrets", `{"type":"mfa"}`)
	}
}
