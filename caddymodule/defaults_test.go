package caddymodule_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/database"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/realpath"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/stores"
	"github.com/stepup-gateway/caddy-stepup/config"
)

// Without a setting the key does not lie in the database, whatever Caddy's two
// directories are.
func TestS28DefaultsWorkTogether(t *testing.T) {
	dir := t.TempDir()
	for name, env := range map[string]map[string]string{
		"one directory":  {"XDG_DATA_HOME": dir, "XDG_CONFIG_HOME": dir},
		"two":            {"XDG_DATA_HOME": filepath.Join(dir, "data"), "XDG_CONFIG_HOME": filepath.Join(dir, "config")},
		"no home at all": {"XDG_DATA_HOME": "", "XDG_CONFIG_HOME": "", "HOME": "", "home": "", "AppData": ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(dir)
			for k, v := range env {
				t.Setenv(k, v)
			}
			key, err := database.KeyPath("")
			if err != nil {
				t.Fatal(err)
			}
			var b stores.Badger
			if err := b.Locate(); err != nil {
				t.Fatal(err)
			}
			if realpath.Inside(key, b.Location()) || realpath.Inside(b.KeptMark(), b.Location()) {
				t.Errorf("key %s, mark %s, database %s", key, b.KeptMark(), b.Location())
			}
		})
	}
}

// An application that appends its session to the path (Tomcat's ;jsessionid=) is
// excepted by the way that the refusal names.
func TestS28ExceptCoversWhatIsAppended(t *testing.T) {
	err := config.CheckPath("/login;jsessionid=*")
	if err == nil || !strings.Contains(err.Error(), "write /login*,") {
		t.Fatal(err)
	}
	b := newBed(t)
	b.Load(b.config(keyFile, "protect ANY {\nunsafe\nexcept /login*\ngrant time_based 5m\n}\n", ""))
	for path, want := range map[string]int{"/login": 200, "/login;jsessionid=4711": 200, "/login;x/../pay": 401, "/pay;/login": 401} {
		r, err := http.NewRequest("POST", b.URL+path, strings.NewReader("a=b"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Test-User", "alice")
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if resp, _ := b.send(r); resp.StatusCode != want {
			t.Errorf("POST %s: %d, want %d", path, resp.StatusCode, want)
		}
	}
}
