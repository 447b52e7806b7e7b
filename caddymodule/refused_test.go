package caddymodule_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/google/go-cmp/cmp"
)

// placed is what a refusal ends with: FILE:LINE of a Caddyfile, or a path in the
// JSON.
var placed = regexp.MustCompile(`, at (Caddyfile:\d+|apps(\.[a-z0-9_]+|\[\d+\])+)\n?$`)

// TestRefused loads each configuration of testdata/refused, which is one that only
// the whole of it shows to be wrong, and compares the refusal with what stands below
// the line. Every one names the place that it is about.
func TestRefused(t *testing.T) {
	t.Setenv("STEP_UP_TEST_SHORT", "short")
	files, err := filepath.Glob("testdata/refused/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, want, found := strings.Cut(string(content), separator)
			if !found && !*update {
				t.Fatal("the separator line is missing")
			}
			input = strings.TrimRight(input, "\n")
			got := refusal(input+"\n", filepath.Ext(file) == ".json")
			if !placed.MatchString(got) {
				t.Errorf("names no place: %s", got)
			}
			if *update {
				if err := os.WriteFile(file, []byte(input+separator+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// refusal is why a configuration is refused, without the account of where Caddy was
// at.
func refusal(input string, isJSON bool) string {
	raw := []byte(input)
	if !isJSON {
		var err error
		raw, _, err = caddyconfig.GetAdapter("caddyfile").Adapt(raw, map[string]any{"filename": "Caddyfile"})
		if err != nil {
			return err.Error() + "\n"
		}
	}
	var cfg caddy.Config
	if err := json.Unmarshal(raw, &cfg); err != nil {
		return err.Error() + "\n"
	}
	off := false
	cfg.Admin = &caddy.AdminConfig{Disabled: true, Config: &caddy.ConfigSettings{Persist: &off}}
	if err := caddy.Validate(&cfg); err != nil {
		text := err.Error()
		for _, mark := range []string{"provision http.handlers.step_up: ", "provision http.handlers.step_up_api: ", "provision step_up: "} {
			if i := strings.LastIndex(text, mark); i >= 0 {
				text = text[i+len(mark):]
			}
		}
		return text + "\n"
	}
	return "loads\n"
}
