package examples_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/command"
)

// TestCheck runs `caddy step-up check` on each example as it stands, with servers in the
// place of those that it names: there is nothing to warn of, and where one stands does
// not matter.
func TestCheck(t *testing.T) {
	files, err := filepath.Glob("*/Caddyfile")
	if err != nil || len(files) < 9 {
		t.Fatalf("%d examples: %v", len(files), err)
	}
	files = append(files, "../Caddyfile.example")
	var self string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/.well-known/jwks.json":
			fmt.Fprint(w, `{"keys":[{"kty":"RSA","kid":"a"}]}`)
		case "/.well-known/openid-configuration":
			fmt.Fprintf(w, `{"issuer":"http://%s/","jwks_uri":"http://%s/.well-known/jwks.json"}`, self, self)
		}
	}))
	t.Cleanup(server.Close)
	self = strings.TrimPrefix(server.URL, "http://")
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("STEP_UP_DEMO", filepath.Join(dir, "state"))
	t.Setenv("TMPDIR", filepath.Join(dir, "tmp"))
	t.Setenv("SMS_SECRET", strings.Repeat("s", 32))
	t.Chdir("..")
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("examples", file))
			if err != nil {
				t.Fatal(err)
			}
			said := strings.NewReplacer("localhost:9000", self, "localhost:9091", self, "localhost:9093", self, "localhost:9010", self,
				"https://id.example.com", "http://"+self).Replace(string(text))
			replaced := filepath.Join(t.TempDir(), "Caddyfile")
			if err := os.WriteFile(replaced, []byte(said), 0o600); err != nil {
				t.Fatal(err)
			}
			c := &cobra.Command{Use: "step-up", SilenceUsage: true}
			command.Add(c)
			var out bytes.Buffer
			c.SetOut(&out)
			c.SetArgs([]string{"check", "--config", replaced, "--json"})
			if err := c.Execute(); err != nil {
				t.Error("status:", err)
			}
			var report struct {
				Findings []struct{ Severity, Code, Problem, At string }
			}
			if err := json.Unmarshal(out.Bytes(), &report); err != nil {
				t.Fatalf("%v in %s", err, out.String())
			}
			for _, f := range report.Findings {
				if f.Severity != "note" {
					t.Errorf("%s: %s %s: %s", f.At, f.Severity, f.Code, f.Problem)
				}
			}
		})
	}
}
