package portal

import (
	"fmt"
	"strings"
	"testing"
)

func TestS19ObjectsInBodiesAreLimitedAndUnmistakable(t *testing.T) {
	s := newPhoneSite(t)
	c := s.program("alice")
	c.enrollPhone()
	id := c.call("POST", "/challenges", obj{"action_type": "WITHDRAW_FUNDS"}).str("challenge_id")
	deep := strings.Repeat(`{"a":`, 9) + "1" + strings.Repeat("}", 9)
	many := ""
	for i := range 65 {
		many += fmt.Sprintf(`,"m%d":1`, i)
	}
	for _, credential := range []string{
		`""`, `[]`, `null`, `1`, `{"a":1,"a":2}`, `{"id":1,"ID":2}`, `{"\u0069d":1,"id":2}`, `{"a":{"b":[{"c":1,"C":2}]}}`, deep, `{` + many[1:] + `}`,
		`{"a":"` + strings.Repeat("x", maxObject) + `"}`, `{"a":`, `{"a" 1}`, `{a:1}`,
	} {
		got := c.call("POST", "/challenges/"+id+"/verify", `{"method":"passkey","credential":`+credential+`}`).wantCode(t, 422, "invalid_request")
		if len(got.body) > 500 {
			t.Errorf("%.40s: the answer repeats it", credential)
		}
	}
	for _, body := range []string{
		`{"method":"passkey"}`, `{"method":"passkey","code":"x"}`, `{"method":"passkey","code":"x","credential":{}}`, `{"method":"sms","credential":{}}`,
		`{"method":"sms","code":"1","credential":{}}`, `{"method":"passkey","credential":{},"credential":{}}`, `{"credential":{}}`,
		`{"method":"passkey","credential":{}}`, // no passkeys here
	} {
		c.call("POST", "/challenges/"+id+"/verify", body).wantCode(t, 422, "invalid_request")
	}
	if left := c.call("GET", "/challenges/"+id, nil).json["attempts_left"]; left != 60.0 {
		t.Errorf("%v attempts left", left)
	}
	c.call("POST", "/phones", `{"phone_number":{}}`).wantCode(t, 422, "invalid_request")
	c.call("POST", "/challenges/"+id+"/send", obj{"authenticator_id": strings.Repeat("A", maxBody)}).wantCode(t, 413, "request_too_large")
}
