package caddymodule_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepup-gateway/caddy-stepup/internal/coverage"
)

// Every suggestion is a line that a Caddyfile takes.
func TestSuggestions(t *testing.T) {
	for path, want := range map[string]string{
		"/transfer":                             "protect POST_TRANSFER /transfer",
		"/":                                     "protect POST /",
		"/api/users/{id}":                       "protect POST_API_USERS /api/users/*",
		"/users/{id}/e-mail":                    "protect POST_USERS_E_MAIL /users/*/e-mail",
		"/{id}":                                 "",
		"/a//b":                                 "",
		"/a/../b":                               "",
		"/a/b/c/d/e/f/g/h/i/j/...":              "protect POST_A_B_C_D_E_F_G_H_I_J /a/b/c/d/e/f/g/h/i/j/*",
		"/" + strings.Repeat("a-long-word/", 7): "protect POST_A_LONG_WORD_A_LONG_WORD_A_LONG_WORD_A_LONG_WORD_A_LONG_WOR /" + strings.Repeat("a-long-word/", 7),
	} {
		got := coverage.Suggest("POST", path)
		if want != "" && strings.HasPrefix(path, "/a-long") {
			if action := strings.Fields(got)[1]; len(action) > 64 {
				t.Errorf("the action type %s is too long", action)
			}
		} else if got != want {
			t.Errorf("%s gave %q, want %q", path, got, want)
		}
		if got == "" {
			continue
		}
		config := "example.com {\nstep_up {\nidentity placeholder {http.auth.user.id}\n" + got + " {\nunsafe\ngrant time_based 10m\nmode observe\n}\n}\n}\n"
		if adapted := adapt(config); !strings.HasPrefix(adapted, "{") {
			t.Errorf("%s is refused: %s", got, adapted)
		}
	}
}

// TestCoverage: requests that a rule enforces, observes or excepts are told from
// those that none covers, also across a reload.
func TestCoverage(t *testing.T) {
	b := newBed(t)
	tenant := fmt.Sprintf("coverage-%d", time.Now().UnixNano()) // counts last as long as the process
	site := "tenant " + tenant + "\n" + protectAdmin + `protect PAY /pay {
	form op send
	grant one_time
	mode observe
}
protect DROP /drop/* {
	unsafe
	except /drop/mine
	grant one_time
}
`
	b.Load(b.config(keyFile, site, ""))
	alice := &person{b: b, name: "alice"}
	send := func(method, path string, status int) {
		t.Helper()
		if resp, answer := alice.do(method, path, nil); resp.StatusCode != status {
			t.Errorf("%s %s gave %d %v, want %d", method, path, resp.StatusCode, answer, status)
		}
	}
	send("POST", "/save/17?token=hush", 200)
	send("GET", "/x", 200)
	send("POST", "/admin/x", 401)
	send("POST", "/pay?op=send", 200)
	send("POST", "/pay?op=view", 200)
	b.Load(b.config("issuer Reloaded\n"+keyFile, site, ""))
	send("POST", "/save/18", 200)
	send("GET", "/x?_method=delete", 200)
	send("POST", "/drop/mine", 200)

	got := b.mustRun("coverage", "--site", "http://localhost:"+b.Port)["tenants"].([]any)[0].(map[string]any)
	list := func(key string) string {
		var all []string
		for _, s := range got[key].([]any) {
			s := s.(map[string]any)
			all = append(all, fmt.Sprint(s["method"], " ", s["path"], " ", s["count"]))
		}
		return strings.Join(all, ", ")
	}
	if got["tenant"] != tenant || list("uncovered") != "POST /save/{id} 2, POST /pay 1, GET /x 1" || list("excepted") != "POST /drop/mine 1" {
		t.Errorf("uncovered %s; excepted %s", list("uncovered"), list("excepted"))
	}
	var met []any
	for _, r := range got["rules"].([]any) {
		met = append(met, r.(map[string]any)["mode"], r.(map[string]any)["requests"])
	}
	if diff := cmp.Diff([]any{"enforce", 1.0, "observe", 1.0, "enforce", 0.0}, met); diff != "" {
		t.Errorf("the rules met (-want +got)\n%s", diff)
	}
	out, err := b.run("coverage", "--tenant", tenant)
	if err != nil || !strings.Contains(out, "protect POST_SAVE /save/*") || strings.Contains(out, "hush") {
		t.Errorf("coverage wrote %q, %v", out, err)
	}
	for _, bad := range [][]string{
		{"coverage", "--tenant", "elsewhere"}, {"coverage", "--site", "http://127.0.0.2:" + b.Port}, {"coverage", "--site", "a b"}, {"coverage", "x"},
	} {
		if out, err := b.run(bad...); err == nil {
			t.Errorf("step-up %v wrote %q, want an error", bad, out)
		}
	}
}
