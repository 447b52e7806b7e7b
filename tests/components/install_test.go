//go:build components

package components

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

const installCaddyfile = `{
	step_up {
		issuer "Acme Intranet"
		enrollment first_use
		allow_plain_http
	}
}
http://localhost {
	basic_auth {
		alice HASH
	}
	step_up {
		identity placeholder {http.auth.user.id}
		protect VIEW_REPORTS /reports/* {
			grant time_based 10m
		}
	}
	respond "hello
"
}
http://localhost:8081 {
	step_up_api
}
`

// emptyDebian is where .ci/components puts a Debian with nothing in it.
const emptyDebian = "/var/cache/caddy-stepup-tests/debian"

// TestInstallByTheManual runs the scripts of tests/install, each in an empty Debian
// of its own with the files that an operator would bring: the binary, the unit of
// examples/systemd, a Caddyfile, and the steps of docs/operate.md.
func TestInstallByTheManual(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("an empty system needs root")
	}
	for _, name := range []string{"unshare", "chroot", "ip"} {
		program(t, name)
	}
	if _, err := os.Stat(emptyDebian); err != nil {
		t.Fatalf("%v: run .ci/components", err)
	}
	files := t.TempDir()
	put := func(name, content string) {
		t.Helper()
		at := filepath.Join(files, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	read := func(path string) string {
		t.Helper()
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	binary := gateway.Binary(t)
	hash, err := exec.Command(binary, "hash-password", "--plaintext", "wonderland").Output()
	if err != nil {
		t.Fatal(err)
	}
	put("Caddyfile", strings.Replace(installCaddyfile, "HASH", strings.TrimSpace(string(hash)), 1))
	put("examples/systemd/caddy-step-up.service", read("../../examples/systemd/caddy-step-up.service"))
	for _, name := range []string{"lib.sh", "install.sh", "upgrade.sh", "restore.sh"} {
		put(name, read("../install/"+name))
	}
	put("steps.sh", installSteps(t, read("../../docs/operate.md")))
	for name, path := range map[string]string{"caddy": binary, "caddy-before": earlier(t)} {
		put(name, read(path))
		if err := os.Chmod(filepath.Join(files, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, script := range []string{"install.sh", "upgrade.sh", "restore.sh"} {
		t.Run(script, func(t *testing.T) {
			if out, err := exec.Command("../install/clean-root.sh", emptyDebian, files, script).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// installSteps are the steps by which the manual installs, but for those of an init
// system that runs.
func installSteps(t *testing.T, manual string) string {
	t.Helper()
	section := regexp.MustCompile("(?s)## Install with systemd\n.*?```sh\n(.*?)```").FindStringSubmatch(manual)
	if section == nil {
		t.Fatal("docs/operate.md has no steps under Install with systemd")
	}
	var steps strings.Builder
	for line := range strings.Lines(section[1]) {
		if !strings.HasPrefix(line, "systemctl ") {
			steps.WriteString(line)
		}
	}
	if !strings.Contains(steps.String(), "useradd") {
		t.Fatalf("the steps make no user: %s", steps.String())
	}
	return steps.String()
}

// earlier builds the gateway as a version before this one, which differs in its
// number alone.
func earlier(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	source, err := filepath.Abs("../../caddymodule/internal/version/version.go")
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	changed := regexp.MustCompile(`const Number = "[^"]*"`).ReplaceAll(content, []byte(`const Number = "0.0.9"`))
	if string(changed) == string(content) {
		t.Fatal("the version has no number to change")
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{source: filepath.Join(dir, "version.go")}})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"version.go": changed, "overlay.json": overlay} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", filepath.Join(dir, "caddy"), "../../cmd/caddy")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return filepath.Join(dir, "caddy")
}

// TestUnit: the unit is one that systemd takes, and leaves the process little to do.
func TestUnit(t *testing.T) {
	analyze := program(t, "systemd-analyze")
	// The unit is checked where its binary is.
	dir := t.TempDir()
	unit, err := os.ReadFile("../../examples/systemd/caddy-step-up.service")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "caddy-step-up.service")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(unit), "/usr/local/bin/caddy", gateway.Binary(t))), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(analyze, "verify", path).CombinedOutput(); err != nil || strings.Contains(string(out), "caddy-step-up") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := exec.Command(analyze, "security", "--offline=true", "--threshold=20", path).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
