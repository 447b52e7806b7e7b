// Package docs_test runs what the README, the pages here and those of the examples
// show: each Caddyfile is loaded by Caddy, and each command is one that there is.
package docs_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/spf13/cobra"

	_ "github.com/caddyserver/caddy/v2/modules/standard"
	_ "github.com/stepup-gateway/caddy-stepup"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/command"
	"github.com/stepup-gateway/caddy-stepup/internal/seal"
)

// block is one fenced block of a page.
type block struct {
	file  string
	line  int
	kind  string // what stands behind the fence: caddyfile, sh
	wraps string // site, step_up, global or sms: where a part of a Caddyfile belongs
	text  string
}

func (b block) String() string { return fmt.Sprintf("%s:%d", b.file, b.line) }

// blocks returns those of all pages.
func blocks(t *testing.T) []block {
	t.Helper()
	var files, list = []string{"../README.md", "../CONTRIBUTING.md", "../SECURITY.md"}, []block(nil)
	for _, pattern := range []string{"*.md", "../examples/*/README.md"} {
		more, err := filepath.Glob(pattern)
		if err != nil || len(more) == 0 {
			t.Fatalf("%s: %d pages, %v", pattern, len(more), err)
		}
		files = append(files, more...)
	}
	fence := regexp.MustCompile("(?ms)^```(\\w*) ?(\\w*)\\n(.*?)^```$")
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range fence.FindAllSubmatchIndex(content, -1) {
			part := func(i int) string { return string(content[m[2*i]:m[2*i+1]]) }
			list = append(list, block{file, strings.Count(string(content[:m[0]]), "\n") + 1, part(1), part(2), part(3)})
		}
	}
	return list
}

// Every Caddyfile loads, as it stands or in the place that its fence names.
func TestCaddyfilesLoad(t *testing.T) {
	dir := t.TempDir()
	place := strings.NewReplacer(" /etc/", " "+dir+"/etc/", "{file./etc/", "{file."+dir+"/etc/", " /var/", " "+dir+"/var/", "step-up-demo/", dir+"/demo/", "examples/brand/", "../examples/brand/")
	prepare(t, dir)
	loaded := 0
	for _, b := range blocks(t) {
		if b.kind != "caddyfile" {
			continue
		}
		loaded++
		text := place.Replace(b.text)
		const rule = "protect A_RULE /a-rule {\ngrant time_based 10m\n}\n"
		switch b.wraps {
		case "":
		case "site":
			text = "example.com {\n" + text + "\nreverse_proxy localhost:9000\n}\n"
		case "step_up":
			if !strings.Contains(text, "protect ") {
				text += rule
			}
			if !strings.Contains(text, "identity ") {
				text = "identity placeholder {http.auth.user.id}\n" + text
			}
			text = "example.com {\nbasic_auth {\nalice {$ALICE_HASH}\n}\nstep_up {\n" + text + "\n}\nreverse_proxy localhost:9000\n}\n"
		case "sms", "global":
			if b.wraps == "sms" {
				text = "sms {\ncountry DE\n" + text + "\n}\n"
			}
			text = "{\nstep_up {\n" + text + "\n}\n}\nexample.com {\nbasic_auth {\nalice {$ALICE_HASH}\n}\nstep_up {\nidentity placeholder {http.auth.user.id}\n" + rule + "}\nreverse_proxy localhost:9000\n}\n"
		default:
			t.Errorf("%s: there is no place %q: site, step_up, global or sms", b, b.wraps)
			continue
		}
		if err := load(text); err != nil {
			t.Errorf("%s: %v", b, err)
		}
	}
	if loaded < 15 {
		t.Errorf("%d Caddyfiles: some were not found", loaded)
	}
}

// load provisions a Caddyfile, as `caddy validate` does.
func load(text string) error {
	adapted, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return err
	}
	for _, w := range warnings {
		if !strings.Contains(w.Message, "not formatted") {
			return fmt.Errorf("warning: %s", w)
		}
	}
	var config caddy.Config
	if err := json.Unmarshal(adapted, &config); err != nil {
		return err
	}
	config.Logging = &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{Level: "ERROR"}}}}
	return caddy.Validate(&config)
}

// prepare makes what the Caddyfiles refer to.
func prepare(t *testing.T, dir string) {
	t.Helper()
	t.Setenv("XDG_DATA_HOME", filepath.Join(dir, "data"))
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(dir, "config"))
	for name, value := range map[string]string{
		"ALICE_HASH": "$2a$14$m5/PsoD8PnAqiOgRdB0BeuGTcCvpMNwIlHIx8dN9qMVwK2l5AzwuC", "SMTP_PASSWORD": "wonderland", "SMS_SECRET": strings.Repeat("s", 32),
		"STEP_UP_DB": "postgres://step_up:wonderland@db.example.com/step_up?sslmode=verify-full", "STEP_UP_ETCD_PASSWORD": "wonderland",
	} {
		t.Setenv(name, value)
	}
	etc := filepath.Join(dir, "etc", "step_up")
	if err := os.MkdirAll(etc, 0o700); err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"clients.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}),
		"issuer.pem":  pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}),
		"users":       []byte("alice\nbob\n"),
		"key":         []byte(seal.GenerateKey().Text()),
	} {
		if err := os.WriteFile(filepath.Join(etc, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Every `caddy step-up …` is a command with flags that there are, and as many
// arguments as it takes.
func TestCommandsExist(t *testing.T) {
	seen := 0
	inline := regexp.MustCompile("`caddy (step-up [a-z][^`\n]*)`")
	for _, b := range blocks(t) {
		if b.kind != "sh" {
			continue
		}
		lines := strings.FieldsFunc(strings.ReplaceAll(b.text, " && ", "\n"), func(c rune) bool { return c == '\n' })
		for i, line := range lines {
			line, _, _ = strings.Cut(line, " #")
			words := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "./"))
			if len(words) > 1 && words[0] == "caddy" && words[1] == "step-up" {
				seen++
				if err := parses(words[2:]); err != nil {
					t.Errorf("%s, line %d: %v", b, i+1, err)
				}
			}
		}
	}
	files, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, "../README.md", "../SECURITY.md") {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range inline.FindAllStringSubmatch(string(content), -1) {
			seen++
			if words := strings.Fields(m[1])[1:]; !known(words) {
				t.Errorf("%s: there is no `caddy %s`", file, m[1])
			}
		}
	}
	if seen < 25 {
		t.Errorf("%d commands: some were not found", seen)
	}
}

func root() *cobra.Command {
	c := &cobra.Command{Use: "step-up", SilenceErrors: true, SilenceUsage: true}
	command.Add(c)
	return c
}

// known reports whether words begin with a command, however they go on.
func known(words []string) bool {
	c, _, err := root().Find(words[:1])
	return err == nil && c.Name() == words[0]
}

// parses reports what is wrong with a command and its arguments, without running it.
func parses(words []string) error {
	for i, w := range words {
		words[i] = strings.Trim(w, `'"`)
	}
	c, rest, err := root().Find(words)
	if err != nil {
		return err
	}
	if err := c.ParseFlags(rest); err != nil {
		return err
	}
	if c.Args != nil {
		return c.Args(c, c.Flags().Args())
	}
	return nil
}

// Links between the pages lead somewhere, to the heading too.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading := regexp.MustCompile(`(?m)^#+ (.*)$`)
	odd := regexp.MustCompile(`[^a-z0-9 _-]`)
	files, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("../examples/*/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(append(files, more...), "../README.md", "../SECURITY.md", "../CONTRIBUTING.md", "../CHANGELOG.md") {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(content), -1) {
			target, fragment, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			to := filepath.Join(filepath.Dir(file), target)
			if target == "" {
				to = file
			}
			text, err := os.ReadFile(to)
			if err != nil {
				if _, err := os.Stat(to); err != nil {
					t.Errorf("%s: %s leads nowhere", file, m[1])
				}
				continue
			}
			found := fragment == ""
			for _, h := range heading.FindAllStringSubmatch(string(text), -1) {
				found = found || fragment == strings.ReplaceAll(odd.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-")
			}
			if !found {
				t.Errorf("%s: %s has no heading #%s", file, to, fragment)
			}
		}
	}
}
