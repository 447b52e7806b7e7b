package caddymodule_test

import (
	"net/http"
	"os"
	"strings"
	"testing"
)

// TestCaddyfileExample runs Caddyfile.example as it stands, but for ports and
// directories.
func TestCaddyfileExample(t *testing.T) {
	text, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	b := newBed(t)
	b.Load(strings.NewReplacer("localhost:8080", "localhost:{{port}}", "localhost:9080", "localhost:{{admin}}", "http://:8081", "http://127.0.0.1:{{port}}", "{\n\tbind localhost\n\tstep_up_api\n", "{\n\tstep_up_api\n", "{$STEP_UP_DEMO:/var/tmp/step-up-demo}", "{{dir}}").Replace(string(text)))
	ask := func(method, path string) (int, string) {
		t.Helper()
		r, err := http.NewRequest(method, b.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth("alice", "wonderland")
		resp, answer := b.send(r)
		if action, ok := answer["action_type"].(string); ok {
			return resp.StatusCode, action
		}
		text, _ := answer["text"].(string)
		return resp.StatusCode, text
	}
	for _, tc := range []struct {
		method, path string
		status       int
		says         string
	}{
		{"GET", "/", 200, "GET / reached the application"},
		{"GET", "/reports/1", 401, "VIEW_REPORTS"},
		{"GET", "/reports/public/1", 200, "reached the application"},
		{"POST", "/transfer", 401, "WITHDRAW_FUNDS"},
		{"POST", "/api/transfer", 401, "WITHDRAW_FUNDS"},
		{"PUT", "/transfer", 401, "CHANGE_ANYTHING"},
		{"POST", "/login", 200, "reached the application"},
		{"GET", "/.step-up/", 200, "<bdi>Acme</bdi>"},
	} {
		if status, says := ask(tc.method, tc.path); status != tc.status || !strings.Contains(says, tc.says) {
			t.Errorf("%s %s: %d %.80q, want %d %q", tc.method, tc.path, status, says, tc.status, tc.says)
		}
	}
}
