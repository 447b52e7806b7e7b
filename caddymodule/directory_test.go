package caddymodule_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// What is typed is looked up: by the API for servers and by the commands. Who signed
// in is not.
func TestDirectoryOfAFile(t *testing.T) {
	b := newBed(t)
	path := filepath.Join(t.TempDir(), "users")
	write := func(users string) {
		if err := os.WriteFile(path+".new", []byte(users), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	write("# staff\nAlice\nbob\n")
	b.Load(b.withAPI(b.config(keyFile+"directory {\nfile "+path+"\n}\n", protectAdmin, ""), ""))
	s := b.newServer(anyVerb...)

	fails := func(want string, args ...string) {
		t.Helper()
		if out, err := b.run(args...); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "{") {
			t.Errorf("step-up %v: %q, %v, want a sentence with %q", args, out, err, want)
		}
	}
	const meant = `the directory of the tenant default has no user "alcie"`
	fails(meant+`: did you mean "Alice"?`, "invite", "alcie")
	fails(meant+`: did you mean "Alice"?`, "reset", "alcie", "--new")
	fails(meant, "reset", "alcie")
	fails(meant, "unlock", "alcie")
	fails(meant, "users", "alcie")
	fails(`"bob" is in the directory of the tenant default, and never enrolled`, "unlock", "bob")
	b.mustRun("invite", "ALICE")
	b.mustRun("reset", "bob") // who is known needs no --new

	enroll := func(user string) (int, any) {
		t.Helper()
		status, answer := s.do("POST", "/v1/mfa/enroll", object{"user_id": user, "method": "totp"})
		return status, answer["error"]
	}
	if status, code := enroll("alcie"); status != 404 || code != "user_not_found" {
		t.Errorf("enrolling whom there is not: %d %v", status, code)
	}
	if status, code := enroll("alice"); status != 200 {
		t.Errorf("enrolling whom there is: %d %v", status, code)
	}
	if !strings.Contains(b.Log(), `"cause":"unknown_user"`) {
		t.Error("the audit log does not say that an unknown user was refused")
	}

	// Somebody who signed in enrolls, though the file does not have them yet, and is
	// reset after they left it; but an invite is refused.
	zoe := b.enroll("zoe")
	b.mustRun("reset", zoe.name)
	fails("has no user", "invite", "zoe")

	// The file is read again, without a reload; while it is broken nobody is let in.
	write("alice\nbob\nzoe\n")
	b.mustRun("invite", "zoe")
	write("alice\nbob\x00\n")
	if status, code := enroll("bob"); status != 503 || code != "unavailable" {
		t.Errorf("a broken file: %d %v", status, code)
	}
	fails(path+":2: a user id is UTF-8", "invite", "bob")
	b.mustRun("reset", "zoe") // what takes away from who is known works
}

func TestDirectoryOfAServer(t *testing.T) {
	var answer atomic.Int32
	var credential atomic.Value
	hr := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		credential.Store(r.Header.Get("Authorization"))
		switch {
		case answer.Load() != 0:
			w.WriteHeader(int(answer.Load()))
		case r.URL.Path != "/users/alice":
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer hr.Close()
	t.Setenv("HR_TOKEN", "secret-of-hr-4711")
	b := newBed(t)
	b.Load(b.withAPI(b.config(keyFile+"directory {\nhttp "+hr.URL+"/users/{user} {\nsend Authorization \"Bearer {env.HR_TOKEN}\"\ntimeout 1s\ncache 100ms\n}\n}\n", protectAdmin, ""), ""))
	s := b.newServer(anyVerb...)
	for user, want := range map[string]int{"Alice": 200, "alcie": 404} {
		if status, got := s.do("POST", "/v1/mfa/enroll", object{"user_id": user, "method": "totp"}); status != want {
			t.Errorf("%s: %d %v, want %d", user, status, got, want)
		}
	}
	if got := credential.Load(); got != "Bearer secret-of-hr-4711" {
		t.Errorf("the server is asked with %q", got)
	}
	for _, status := range []int32{302, 401, 500} {
		answer.Store(status)
		if status, got := s.do("POST", "/v1/mfa/enroll", object{"user_id": fmt.Sprint("new", status), "method": "totp"}); status != 503 {
			t.Errorf("a directory that answers %d: %d %v", answer.Load(), status, got)
		}
	}
	_, err := b.run("invite", "bob")
	if err == nil || !strings.Contains(err.Error(), "nothing was done") || !strings.Contains(err.Error(), "500") {
		t.Errorf("invite without an answer: %v", err)
	}
	if _, config := b.admin("GET", "/config/", nil); strings.Contains(fmt.Sprint(config), "of-hr-4711") || strings.Contains(b.Log(), "of-hr-4711") {
		t.Error("the secret is in the configuration or the log")
	}
}

// Each tenant has a directory of its own, and a configuration in JSON says the same.
func TestDirectoriesInJSON(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(path, []byte("alice\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ directories, says string }{
		"file":         {`{"staff": {"directory": "file", "path": "` + path + `"}}`, ""},
		"http":         {`{"staff": {"directory": "http", "url": "https://hr.example.com/{user}", "send": {"Authorization": "{env.HOME}"}, "timeout": "1s", "cache": "10m"}}`, ""},
		"unknown":      {`{"staff": {"directory": "fiel"}}`, `unknown directory "fiel": did you mean "file"?`},
		"no file":      {`{"staff": {"directory": "file"}}`, "has no path"},
		"missing file": {`{"staff": {"directory": "file", "path": "` + path + `x"}}`, "no such file"},
		"tenant":       {`{"a/b": {"directory": "file", "path": "` + path + `"}}`, "tenant"},
		"secret":       {`{"staff": {"directory": "http", "url": "https://hr.example.com/{user}", "send": {"authorization": "Bearer x"}}}`, "must be one placeholder"},
		"placeholder":  {`{"staff": {"directory": "http", "url": "https://{http.request.host}/{user}"}}`, "takes no placeholders but"},
		"no user":      {`{"staff": {"directory": "http", "url": "https://hr.example.com/"}}`, "{user}"},
		"timeout":      {`{"staff": {"directory": "http", "url": "https://hr.example.com/{user}", "timeout": "1h"}}`, "timeout must be between"},
		"field":        {`{"staff": {"directory": "file", "path": "` + path + `", "pth": 1}}`, "pth"},
	} {
		t.Run(name, func(t *testing.T) {
			err := caddy.Validate(configOf(t, `{"step_up": {"directories": `+test.directories+`, "store": {"engine": "badger", "dir": "`+t.TempDir()+`/data"}, "key_file": "`+t.TempDir()+`/key"}}`))
			if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v, want %q", err, test.says)
			}
		})
	}
}

// configOf is a configuration of these apps.
func configOf(t *testing.T, apps string) *caddy.Config {
	t.Helper()
	var cfg caddy.Config
	if err := caddy.StrictUnmarshalJSON([]byte(`{"admin": {"disabled": true}, "apps": `+apps+`}`), &cfg); err != nil {
		t.Fatal(err)
	}
	return &cfg
}
