// Package caddytestbed runs a real Caddy with the gateway inside a test's own
// process, in milliseconds.
//
//	func TestMain(m *testing.M) { os.Exit(caddytestbed.Main(m)) }
//
//	func TestSomething(t *testing.T) {
//		bed := caddytestbed.New(t)
//		bed.Load(`http://localhost:{{port}} { respond ok }`)
//		resp, err := bed.Client.Get(bed.URL + "/")
//
// A process has one Caddy, so tests that use a bed must not run in parallel.
// Caddy is stopped and its directories are removed when the test ends. It does
// not replace a run of the built program: signals, flags and process exits are
// not seen here.
package caddytestbed

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard" // what every build has

	_ "github.com/stepup-gateway/caddy-stepup/caddymodule" // what is tested
	"github.com/stepup-gateway/caddy-stepup/internal/freeport"
)

// Main runs the tests of a package with directories of their own for what Caddy
// and the gateway keep, and returns the exit code.
func Main(m *testing.M) int {
	dir, err := os.MkdirTemp("", "caddytestbed")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{"XDG_DATA_HOME", "XDG_CONFIG_HOME", "HOME"} {
		os.Setenv(name, filepath.Join(dir, strings.ToLower(name)))
	}
	return m.Run()
}

// Bed is one test's Caddy.
type Bed struct {
	// Port is free for the site, AdminPort for the admin endpoint. Load
	// writes them in place of {{port}} and {{admin}}.
	Port, AdminPort string
	// URL is http://localhost:Port.
	URL string
	// Dir is a directory of the test's own; {{dir}} in a configuration.
	Dir string
	// Client follows no redirects and keeps no cookies.
	Client *http.Client

	t testing.TB
}

// New returns a bed in which nothing runs yet.
func New(t testing.TB) *Bed {
	t.Helper()
	port := freeport.Find(t)
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	b := &Bed{
		Port: port, AdminPort: freeport.Find(t), URL: "http://localhost:" + port, Dir: t.TempDir(), t: t,
		Client: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := caddy.Stop(); err != nil {
			t.Errorf("stopping Caddy: %v", err)
		}
	})
	return b
}

// Load runs a Caddyfile, or replaces the running one by it as a reload does. It
// ends the test where Caddy refuses it.
func (b *Bed) Load(caddyfile string) {
	b.t.Helper()
	if err := b.TryLoad(caddyfile); err != nil {
		b.t.Fatalf("loading: %v", err)
	}
}

// TryLoad is Load for what may be refused.
func (b *Bed) TryLoad(caddyfile string) error {
	b.t.Helper()
	config, err := b.Adapt(caddyfile)
	if err != nil {
		return err
	}
	// A reload closes idle connections, and a POST that is just being sent on
	// one is lost: the next request is to take a new one.
	defer b.Client.CloseIdleConnections()
	replaced := openListeners()
	if err := caddy.Load(config, true); err != nil {
		return err
	}
	for _, closed := range replaced {
		<-closed
	}
	return nil
}

// Adapt returns the JSON of a Caddyfile, with what a test needs: nothing is
// persisted, everything is logged to the file that Log reads, and the admin
// endpoint listens only where the Caddyfile says {{admin}}.
func (b *Bed) Adapt(caddyfile string) ([]byte, error) {
	text := strings.NewReplacer("{{port}}", b.Port, "{{admin}}", b.AdminPort, "{{dir}}", b.Dir).Replace(caddyfile)
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return nil, err
	}
	var config map[string]any
	if err := json.Unmarshal(adapted, &config); err != nil {
		return nil, err
	}
	watch(config)
	admin, _ := config["admin"].(map[string]any)
	if admin == nil {
		admin = map[string]any{"disabled": true}
	}
	admin["config"] = map[string]any{"persist": false}
	config["admin"] = admin
	if _, said := config["logging"]; !said {
		config["logging"] = map[string]any{"logs": map[string]any{"default": map[string]any{
			"level":  "DEBUG",
			"writer": map[string]any{"output": "file", "filename": b.logFile(), "roll": false},
		}}}
	}
	return json.Marshal(config)
}

func (b *Bed) logFile() string { return filepath.Join(b.Dir, "caddy.log") }

// Log returns everything that was logged so far, at all levels.
func (b *Bed) Log() string {
	b.t.Helper()
	text, err := os.ReadFile(b.logFile())
	if err != nil {
		b.t.Fatal(err)
	}
	return string(text)
}
