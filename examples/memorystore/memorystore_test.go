package memorystore_test

import (
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/caddytestbed"
	"github.com/stepup-gateway/caddy-stepup/examples/memorystore"
	"github.com/stepup-gateway/caddy-stepup/store"
	"github.com/stepup-gateway/caddy-stepup/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(caddytestbed.Main(m)) }

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return memorystore.Open(t.Name()) })
}

func TestStoreReopened(t *testing.T) {
	storetest.RunDurable(t, func(_ *testing.T, dir string) store.Store { return memorystore.Open(dir) })
}

// The gateway runs with an engine that is not its own.
func TestGateway(t *testing.T) {
	b := caddytestbed.New(t)
	b.Load(`{
	admin localhost:{{admin}}
	step_up {
		store memory try
		key_file {{dir}}/key
		allow_plain_http
	}
}
http://localhost:{{port}} {
	vars user alice
	step_up {
		identity placeholder {http.vars.user}
		protect PAY /pay {
			grant one_time
		}
	}
	respond ok
}
`)
	for path, status := range map[string]int{"/": http.StatusOK, "/pay": http.StatusUnauthorized} {
		resp, err := b.Client.Get(b.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != status {
			t.Errorf("%s gave %d, want %d", path, resp.StatusCode, status)
		}
	}
}

// An engine needs nothing that a module of another repository cannot import.
func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{join .Imports "\n"}}`, ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range strings.Fields(string(out)) {
		if strings.Contains(path, "/internal/") {
			t.Errorf("it imports %s", path)
		}
	}
}
