package caddymodule_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepup-gateway/caddy-stepup/caddymodule"
)

// What names one object, a person or a secret is not kept, nor what could write
// to a terminal or a configuration.
func TestCollapse(t *testing.T) {
	for path, want := range map[string]string{
		"":                        "/",
		"/":                       "/",
		"/api/users":              "/api/users",
		"/api/users/":             "/api/users/",
		"/api/v2/users/17/edit":   "/api/v2/users/{id}/edit",
		"/o/ord-2024-00017":       "/o/{id}",
		"/wp-admin/post.php":      "/wp-admin/post.php",
		"/oauth2/token":           "/oauth2/token",
		"/add/feed":               "/add/feed",
		"/facade":                 "/facade",
		"/u/alice@example.org":    "/u/{id}",
		"/call/+4915112345678":    "/call/{id}",
		"/c/9b2f6c1e0d":           "/c/{id}",
		"/c/deadbeefdeadbeef":     "/c/{id}",
		"/p/AbCdEfGhIjKlMnOpQrSt": "/p/AbCdEfGhIjKlMnOpQrSt",
		"/t/sug_k3Jd8Slq0PzXvB7w": "/t/{id}",
		"/d/9f0e8c6a-5b1d-4b8e-9c55-0d7f1f6a2b3c":     "/d/{id}",
		"/x/" + strings.Repeat("y", 33):               "/x/{id}",
		"/a b/\x1b[2J/{http.request.host}/\"/é/x;y/*": "/{id}/{id}/{id}/{id}/{id}/{id}/{id}",
		"/" + strings.Repeat("a/", 5000):              "/a/a/a/a/a/a/a/a/a/a/...",
		"/secret#x":                                   "/{id}",
	} {
		if got := caddymodule.Collapse(path); got != want {
			t.Errorf("%q gave %q, want %q", path, got, want)
		}
	}
}

// TestS19CoverageIsBounded: whoever sends ever new paths fills neither memory nor
// drives out what is really used.
func TestS19CoverageIsBounded(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	c := caddymodule.NewCoverage(now)
	used := []string{"/transfer", "/settings/mail", "/logout"}
	sent := 0
	count := func(path string) {
		c.Uncovered("POST", path, false, now)
		sent++
	}
	word := func() string {
		var b strings.Builder
		for range 12 {
			b.WriteByte('g' + byte(rand.IntN(20)))
		}
		return b.String()
	}
	for i := range 10_000 {
		if i%100 == 0 {
			for _, p := range used {
				count(p)
			}
		}
		count("/" + word() + "/" + word())
	}
	listed, _, unlisted := c.List()
	if len(listed) != 500 {
		t.Errorf("%d patterns are kept, want 500", len(listed))
	}
	total := int(unlisted)
	for _, s := range listed {
		total += int(s.Count)
	}
	if total != sent {
		t.Errorf("%d requests are accounted for, want %d", total, sent)
	}
	for i, p := range []string{"/logout", "/settings/mail", "/transfer"} {
		if listed[i].Path != p || listed[i].Count < 90 {
			t.Errorf("place %d is %v, want %s", i, listed[i], p)
		}
	}
}

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
		got := caddymodule.Suggest("POST", path)
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

// The command's text, as it stands in testdata.
func TestCoverageText(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	one := func(method, path, suggestion string, count uint64) caddymodule.Sighting {
		return caddymodule.Sighting{Method: method, Path: path, Count: count, LastSeen: at.Add(time.Hour), Suggestion: suggestion}
	}
	var out bytes.Buffer
	caddymodule.WriteCoverage(&out, caddymodule.CoverageAnswer{Tenants: []caddymodule.TenantCoverage{
		{
			Tenant: "staff", Since: at,
			Uncovered: []caddymodule.Sighting{one("POST", "/users/{id}/edit", "protect POST_USERS_EDIT /users/*/edit", 1234), one("DELETE", "/{id}", "", 1)},
			Excepted:  []caddymodule.Sighting{one("POST", "/login", "", 7)},
			NotListed: 3,
			Rules: []caddymodule.RuleCoverage{
				{Rule: `protect ADMIN path ["/admin/*"] grant time_based 10m`, Action: "ADMIN", Mode: "enforce", Requests: 12},
				{Rule: "protect CHANGE unsafe grant time_based 10m mode observe", Action: "CHANGE", Mode: "observe"},
			},
		},
		{
			Tenant: "guests", Since: at,
			Rules: []caddymodule.RuleCoverage{{Rule: "protect ALL * grant time_based 10m mode observe", Action: "ALL", Mode: "observe", Requests: 2}},
		},
	}}, time.UTC)
	const golden = "testdata/coverage.txt"
	if *update {
		if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
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
