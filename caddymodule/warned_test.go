package caddymodule_test

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// TestWarned loads each configuration of testdata/warned, which loads and cannot
// work, or cannot mean what it says, and compares the warnings with what stands
// below the line. Every one names its place and says what to write.
func TestWarned(t *testing.T) {
	place := regexp.MustCompile(`^(Caddyfile:\d+|(apps|admin)(\.[a-z0-9_]+|\[\d+\])+): `)
	goldens(t, "testdata/warned/*", func(t *testing.T, file, input string) string {
		raw := []byte(input)
		if filepath.Ext(file) != ".json" {
			var err error
			raw, _, err = caddyconfig.GetAdapter("caddyfile").Adapt(raw, map[string]any{"filename": "Caddyfile"})
			if err != nil {
				t.Fatal(err)
			}
		}
		got := warnings(t, raw)
		if len(got) == 0 {
			t.Error("nothing is warned of")
		}
		for _, line := range got {
			if !place.MatchString(line) {
				t.Errorf("names no place: %s", line)
			}
			if !strings.Contains(place.ReplaceAllString(line, ""), ": ") {
				t.Errorf("says not what to write: %s", line)
			}
		}
		return strings.Join(got, "\n") + "\n"
	})
}

// warnings loads a configuration, without starting it, and returns what the gateway
// warns of then: the place and the sentence, sorted.
func warnings(t *testing.T, raw []byte) (lines []string) {
	t.Helper()
	var cfg caddy.Config
	if err := json.Unmarshal(raw, &cfg); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(t.TempDir(), "log")
	written, err := json.Marshal(map[string]any{"output": "file", "filename": log, "roll": false})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Logging = &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{WriterRaw: written, EncoderRaw: json.RawMessage(`{"format":"json"}`)}}}}
	if err := caddy.Validate(&cfg); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(log)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for scan := bufio.NewScanner(file); scan.Scan(); {
		var line struct{ Level, Logger, Msg, At string }
		if json.Unmarshal(scan.Bytes(), &line) == nil && line.Level == "warn" && strings.Contains(line.Logger, "step_up") {
			lines = append(lines, line.At+": "+line.Msg)
		}
	}
	slices.Sort(lines)
	return lines
}
