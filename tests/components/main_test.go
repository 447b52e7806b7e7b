//go:build components

// Package components holds the tests that drive real programs: browsers,
// upstreams, tracers and clients. ".ci/components" installs them; a program
// that is missing fails the test.
package components

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

func TestMain(m *testing.M) {
	code := m.Run()
	gateway.Cleanup()
	os.Exit(code)
}

// program returns the path of a program, or fails.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is missing: run .ci/components", name)
	}
	return path
}

// global is the global block of the tests' Caddyfiles.
const global = `
	admin GW_ADMIN
	persist_config off
	auto_https off
	step_up {
		issuer "Test"
		store badger {
			dir GW_DIR/data
		}
		key_file GW_DIR/key
		enrollment first_use
		totp {
			skew 2
		}
		allow_plain_http
	}
`
