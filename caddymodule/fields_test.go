package caddymodule_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const fieldRules = `protect WITHDRAW /transfer {
	form op withdraw pay
	grant one_time
	show amount payee
}
protect STOP /rpc {
	json /method stop
	grant time_based
}
`

// Rules on fields, and what they show, from the Caddyfile to the application.
func TestFieldsFromEndToEnd(t *testing.T) {
	b := newBed(t)
	b.Load(b.config(keyFile, fieldRules, ""))
	alice := b.enroll("alice")
	send := func(path, contentType, body string, cookies ...*http.Cookie) (*http.Response, map[string]any) {
		r, err := http.NewRequest("POST", b.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Test-User", "alice")
		r.Header.Set("Content-Type", contentType)
		for _, c := range cookies {
			r.AddCookie(c)
		}
		return b.send(r)
	}
	const urlencoded = "application/x-www-form-urlencoded"
	if resp, _ := send("/transfer", urlencoded, "op=list"); resp.StatusCode != 200 {
		t.Error("another value:", resp.Status)
	}
	if resp, _ := send("/rpc", "text/plain", `[{"METHOD":"Stop"}]`); resp.StatusCode != 401 {
		t.Error("JSON as text:", resp.Status)
	}
	if resp, _ := send("/rpc", "application/json", `{"method":"list"}`); resp.StatusCode != 200 {
		t.Error("another method:", resp.Status)
	}

	// A grant for what is shown comes with the request only.
	resp, problem := alice.do("POST", "/.step-up/api/challenges", map[string]string{"action_type": "WITHDRAW"})
	if resp.StatusCode != http.StatusConflict || problem["code"] != "request_required" {
		t.Error(resp.Status, problem)
	}
	const body = "op=pay&amount=10&payee=bob&payee=eve"
	resp, problem = send("/transfer", urlencoded, body)
	if resp.StatusCode != 401 {
		t.Fatal(resp.Status, problem)
	}
	_, challenge := alice.do("GET", problem["api_url"].(string), nil)
	if want := "[map[name:amount truncated:false value:10] map[name:payee truncated:false value:bob] map[name:payee truncated:false value:eve]]"; fmt.Sprint(challenge["show"]) != want {
		t.Errorf("shows %v, want %s", challenge["show"], want)
	}
	resp, won := alice.do("POST", problem["api_url"].(string)+"/verify", map[string]string{"method": "totp", "code": alice.code()})
	if resp.StatusCode != 200 || len(resp.Cookies()) == 0 {
		t.Fatal(resp.Status, won)
	}
	var grant *http.Cookie
	for _, c := range resp.Cookies() {
		if strings.HasPrefix(c.Value, "sug_") {
			grant = c
		}
	}
	before := len(b.app.requests())
	if resp, _ := send("/transfer", urlencoded, strings.Replace(body, "eve", "mallory", 1), grant); resp.StatusCode != 401 || len(b.app.requests()) != before {
		t.Error("an altered request:", resp.Status)
	}
	if resp, _ := send("/transfer", urlencoded, body, grant); resp.StatusCode != 200 || len(b.app.requests()) != before+1 {
		t.Error("the request itself:", resp.Status)
	}
	if resp, _ := send("/transfer", urlencoded, body, grant); resp.StatusCode != 401 {
		t.Error("once more:", resp.Status)
	}

	status, explained := b.admin("POST", "/step_up/explain", map[string]string{"method": "POST", "url": b.URL + "/rpc"})
	if status != 200 || explained["outcome"] != "pass" || explained["depends_on_body"] != true {
		t.Error(status, explained)
	}
}
