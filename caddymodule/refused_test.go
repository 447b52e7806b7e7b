package caddymodule_test

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// placed is what a refusal ends with: FILE:LINE of a Caddyfile, or a path in the
// JSON.
var placed = regexp.MustCompile(`, at (Caddyfile:\d+|apps(\.[a-z0-9_]+|\[\d+\])+)\n?$`)

// TestRefused loads each configuration of testdata/refused, which is one that only
// the whole of it shows to be wrong, and compares the refusal with what stands below
// the line. Every one names the place that it is about.
func TestRefused(t *testing.T) {
	t.Setenv("STEP_UP_TEST_SHORT", "short")
	goldens(t, "testdata/refused/*", func(t *testing.T, file, input string) string {
		got := refusal(input, filepath.Ext(file) == ".json")
		if !placed.MatchString(got) {
			t.Errorf("names no place: %s", got)
		}
		return got
	})
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
