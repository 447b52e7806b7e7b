package doctor_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/caddytestbed"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/command"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/doctor"
)

var update = flag.Bool("update", false, "write what the configurations give now")

func TestMain(m *testing.M) { os.Exit(caddytestbed.Main(m)) }

const separator = "\n----------\n"

// TestMistakes runs `caddy step-up check` on each configuration of testdata/mistakes,
// each of which an operator could write, and compares the errors and warnings, and the
// notes that a file is about, with what stands below the line.
func TestMistakes(t *testing.T) {
	files, err := filepath.Glob("testdata/mistakes/*")
	if err != nil || len(files) < 50 {
		t.Fatalf("%d mistakes: %v", len(files), err)
	}
	places := prepare(t)
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		file = filepath.Join(here, file)
		t.Run(filepath.Base(file), func(t *testing.T) {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, want, _ := strings.Cut(string(content), separator)
			input = strings.TrimRight(input, "\n")
			report, status, _ := check(t, places.Replace(input+"\n"), filepath.Ext(file) == ".json")
			var got strings.Builder
			for _, f := range report.Findings {
				if f.Severity == doctor.Note && !strings.Contains(filepath.Base(file), "note") {
					continue
				}
				fmt.Fprintln(&got, f.Severity, f.Code, f.At)
				if f.At == "" && f.Code != "no-step-up" && f.Severity != doctor.Note {
					t.Errorf("%s names no place", f.Code)
				}
				if f.Advice == "" && f.Code != "refused" && f.Severity != doctor.Note {
					t.Errorf("%s says not what to do", f.Code)
				}
			}
			if want := map[doctor.Severity]int{doctor.Error: 2, doctor.Warning: 1}[report.Worst()]; status != want {
				t.Errorf("exit status %d, want %d", status, want)
			}
			if *update {
				if err := os.WriteFile(file, []byte(input+separator+got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got.String()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// check runs the command on a configuration.
func check(t *testing.T, config string, isJSON bool, args ...string) (report doctor.Report, status int, text string) {
	t.Helper()
	t.Chdir(t.TempDir())
	file := map[bool]string{true: "caddy.json", false: "Caddyfile"}[isJSON]
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &cobra.Command{Use: "step-up", SilenceUsage: true}
	command.Add(c)
	var out bytes.Buffer
	c.SetOut(&out)
	c.SetErr(&out)
	c.SetArgs(append([]string{"check", "--config", file}, args...))
	if err := c.Execute(); err != nil {
		status = 1
		if v := reflect.Indirect(reflect.ValueOf(err)); v.Kind() == reflect.Struct && v.FieldByName("ExitCode").IsValid() {
			status = int(v.FieldByName("ExitCode").Int())
		}
	}
	for _, a := range args {
		if a == "--text" {
			return report, status, out.String()
		}
	}
	if len(args) == 0 {
		r, s, _ := check(t, config, isJSON, "--json")
		return r, s, out.String()
	}
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatalf("%v in %s", err, out.String())
	}
	return report, status, out.String()
}

// prepare makes the files and servers that the configurations name.
func prepare(t *testing.T) *strings.Replacer {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", filepath.Join(dir, "tmp"))
	for name, mode := range map[string]os.FileMode{"data": 0o700, "open": 0o755, "tmp": 0o700, "full": 0o700} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	for name, mode := range map[string]os.FileMode{"key": 0o600, "secret": 0o600, "key.open": 0o644, "full/MANIFEST": 0o600} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.Repeat("text", 16)), mode); err != nil {
			t.Fatal(err)
		}
	}
	serve := func(h http.HandlerFunc) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return strings.TrimPrefix(s.URL, "http://")
	}
	answer := func(status int, body string) string {
		return serve(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		})
	}
	const keys = `{"keys":[{"kty":"EC","use":"sig","kid":"a"}]}`
	issuer := func(name string) string {
		var at string
		at = serve(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/.well-known/openid-configuration" {
				fmt.Fprint(w, keys)
				return
			}
			said := strings.ReplaceAll(name, "SELF", "http://"+at)
			fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":"http://%s/jwks"}`, said, at)
		})
		return at
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	l.Close()
	return strings.NewReplacer(
		"{{dir}}", dir,
		"{{app}}", answer(200, "hello"),
		"{{nobody}}", answer(200, `{"user":null}`),
		"{{stranger}}", answer(200, `{"user":"127.0.0.1"}`),
		"{{missing}}", answer(404, ""),
		"{{no_keys}}", answer(200, `{"keys":[]}`),
		"{{keys}}", answer(200, keys),
		"{{issuer}}", issuer("SELF"),
		"{{other_issuer}}", issuer("https://other.example.com/"),
		"{{late}}", serve(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", time.Now().Add(10*time.Minute).UTC().Format(http.TimeFormat))
			fmt.Fprint(w, `{"user":null}`)
		}),
		"{{closed}}", closed,
	)
}
