package spa_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/caddytestbed"
	"github.com/stepup-gateway/caddy-stepup/examples/spa"
)

func TestMain(m *testing.M) { os.Exit(caddytestbed.Main(m)) }

// The example's own Caddyfile in front of its application: reading is free,
// deleting asks, and the same call goes through once what the answer names is
// passed.
func TestCaddyfile(t *testing.T) {
	app := httptest.NewServer(spa.New())
	defer app.Close()
	b := caddytestbed.New(t)
	b.Load(strings.NewReplacer("localhost:9000", strings.TrimPrefix(app.URL, "http://"), ":8080", ":{{port}}", "{$STEP_UP_DEMO:/var/tmp/step-up-demo}", "{{dir}}").Replace(spa.Caddyfile))
	jar := map[string]*http.Cookie{}
	call := func(method, path, body string) (int, map[string]any, string) {
		t.Helper()
		r, err := http.NewRequest(method, b.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth("alice", "wonderland")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.Header.Set("Sec-Fetch-Mode", "cors")
		if body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		for _, c := range jar {
			r.AddCookie(c)
		}
		resp, err := b.Client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		for _, c := range resp.Cookies() {
			jar[c.Name] = c
		}
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		var answer map[string]any
		_ = json.Unmarshal(text, &answer)
		return resp.StatusCode, answer, string(text)
	}
	if status, _, text := call("GET", "/", ""); status != 200 || !strings.Contains(text, `src="/.step-up/client.js"`) {
		t.Fatalf("the page: %d %s", status, text)
	}
	if status, _, text := call("GET", "/.step-up/client.js", ""); status != 200 || !strings.Contains(text, "insufficient_user_authentication") {
		t.Fatalf("the script: %d %s", status, text)
	}
	_, begun, _ := call("POST", "/.step-up/api/totp", "{}")
	secret, id := begun["secret"].(string), begun["id"].(string)
	now := time.Now()
	code := func(at time.Time) string {
		code, err := totp.GenerateCode(secret, at)
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
	if status, _, text := call("POST", "/.step-up/api/totp/"+id+"/confirm", `{"code":"`+code(now)+`"}`); status != 200 {
		t.Fatal(status, text)
	}
	status, p, text := call("DELETE", "/api/notes/1", "")
	if status != 401 || p["code"] != "insufficient_user_authentication" || p["action_type"] != "DELETE_NOTE" {
		t.Fatalf("deleting without a proof: %d %s", status, text)
	}
	api := p["api_url"].(string)
	if status, _, text := call("GET", api, ""); status != 200 {
		t.Errorf("the challenge, open: %d %s", status, text)
	}
	if status, _, text := call("POST", api+"/verify", `{"method":"totp","code":"`+code(now.Add(30*time.Second))+`"}`); status != 200 {
		t.Fatal(status, text)
	}
	if status, _, text := call("GET", api, ""); status != 404 {
		t.Errorf("the challenge, passed: %d %s", status, text)
	}
	if status, _, text := call("DELETE", "/api/notes/1", ""); status != 204 {
		t.Errorf("deleting with a proof: %d %s", status, text)
	}
	if status, _, _ := call("DELETE", "/api/notes/2", ""); status != 401 {
		t.Errorf("deleting another: %d", status)
	}
	if _, _, text := call("GET", "/api/notes", ""); strings.Contains(text, "Buy milk") || !strings.Contains(text, "Call Bob") {
		t.Errorf("the notes are %s", text)
	}
}
