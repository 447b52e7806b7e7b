//go:build components

package components

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// portalAPI is the document of the JSON API for people.
const portalAPI = "../../internal/portal/openapi.yaml"

// TestPortalKeepsItsContract lints the document of the JSON API for people and
// drives all of it through the proxy, by calls that are as they should be and by
// others.
func TestPortalKeepsItsContract(t *testing.T) {
	// Who is asking is told by the site, not by a scheme of this API.
	for _, found := range lint(t, portalAPI, "security-defined") {
		t.Errorf("the linter: %s", found)
	}
	g := gateway.Start(t, bank(""), gateway.Options{Upstream: newCounter(t).addr})
	right := newContract(t, portalAPI, g.URL+"/.step-up/api", requestsAndAnswers)
	wrong := newContract(t, portalAPI, g.URL+"/.step-up/api", answersOnly)
	ann := g.NewPerson("ann")

	type answer struct {
		ID            string
		Secret        string
		ChallengeID   string `json:"challenge_id"`
		Grants        []struct{ ID string }
		Authenticator struct{ ID string }
	}
	// callAs calls through one of the proxies and expects a status.
	callAs := func(p *gateway.Person, c *contract, status int, method, path, contentType, body string) answer {
		t.Helper()
		p.Client.Transport = c.through(t)
		header := map[string]string{"Accept": "application/json"}
		if contentType != "" {
			header["Content-Type"] = contentType
		}
		resp, got, err := p.Do(method, "/.step-up/api"+path, header, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != status {
			t.Fatalf("%s %s: %s, want %d: %s", method, path, resp.Status, status, got)
		}
		var a answer
		if len(got) > 0 {
			if err := json.Unmarshal(got, &a); err != nil {
				t.Fatalf("%s %s: %v in %s", method, path, err, got)
			}
		}
		return a
	}
	call := func(status int, method, path, body string) answer {
		t.Helper()
		contentType := ""
		if method == "POST" || method == "PATCH" {
			contentType = "application/json"
		}
		return callAs(ann, right, status, method, path, contentType, body)
	}
	code := func(method, code string) string { return fmt.Sprintf(`{"method":%q,"code":%q}`, method, code) }
	unknown := strings.Repeat("A", 22)

	callAs(g.NewPerson(""), right, 401, "GET", "/me", "", "")
	call(200, "GET", "/me", "")
	call(409, "POST", "/challenges", `{"action_type":"VIEW"}`)
	begun := call(201, "POST", "/totp", `{"label":"Phone"}`)
	app, err := gateway.NewApp(begun.Secret)
	if err != nil {
		t.Fatal(err)
	}
	call(404, "POST", "/totp/"+unknown+"/confirm", `{"code":"123456"}`)
	call(422, "POST", "/totp/"+begun.ID+"/confirm", `{"code":"`+app.WrongCode()+`"}`)
	phone := call(200, "POST", "/totp/"+begun.ID+"/confirm", `{"code":"`+app.Code(t)+`"}`).Authenticator.ID

	call(404, "POST", "/challenges", `{"action_type":"NOTHING"}`)
	challenge := call(201, "POST", "/challenges", `{"action_type":"VIEW"}`).ChallengeID
	call(200, "GET", "/challenges/"+challenge, "")
	call(404, "GET", "/challenges/"+unknown, "")
	call(422, "POST", "/challenges/"+challenge+"/verify", code("totp", app.WrongCode()))
	call(200, "POST", "/challenges/"+challenge+"/verify", code("totp", app.Code(t)))
	grants := call(200, "GET", "/me", "").Grants
	if len(grants) != 1 {
		t.Fatalf("%d grants are listed", len(grants))
	}
	call(204, "DELETE", "/grants/"+grants[0].ID, "")
	call(404, "DELETE", "/grants/"+grants[0].ID, "")

	// What changes authenticators is asked for twice, with the proof between.
	managed := func(status int, method, path, body string) {
		t.Helper()
		asked := call(401, method, path, body)
		call(200, "POST", "/challenges/"+asked.ChallengeID+"/verify", code("totp", app.Code(t)))
		call(status, method, path, body)
	}
	managed(200, "PATCH", "/authenticators/"+phone, `{"label":"Téléphone"}`)
	managed(201, "POST", "/recovery-codes", "")
	managed(201, "POST", "/totp", `{}`)

	// Calls that are wrong, but JSON: the proxy passes on nothing else.
	for body, status := range map[string]int{
		`{"action_type":"VIEW","more":1}`: 422, `{"action_type":7}`: 422, `{}`: 422, `[]`: 422,
		`{"action_type":"` + strings.Repeat("A", 65<<10) + `"}`: 413,
	} {
		callAs(ann, wrong, status, "POST", "/challenges", "application/json", body)
	}
	callAs(ann, wrong, 415, "POST", "/challenges", "text/plain", `{"action_type":"VIEW"}`)

	// An attempt too many.
	challenge = call(201, "POST", "/challenges", `{"action_type":"VIEW"}`).ChallengeID
	for range 5 {
		call(422, "POST", "/challenges/"+challenge+"/verify", code("totp", app.WrongCode()))
	}
	call(429, "POST", "/challenges/"+challenge+"/verify", code("totp", app.WrongCode()))

	// The last authenticator, of somebody else.
	bob := g.NewPerson("bob")
	bob.Enroll(t, "")
	ann, app = bob, bob.App
	var phoneOfBob struct{ Authenticators []struct{ ID string } }
	if _, err := bob.API("GET", "/me", nil, &phoneOfBob); err != nil {
		t.Fatal(err)
	}
	managed(204, "DELETE", "/authenticators/"+phoneOfBob.Authenticators[0].ID, "")
	call(403, "POST", "/totp", `{}`)
}
