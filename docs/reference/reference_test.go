package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

// The pages are what would be drawn now: every setting, command, flag, metric,
// event and cause is described, and nothing that is gone.
func TestPagesAreCurrent(t *testing.T) {
	pages, err := draw(root)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range pages {
		have, err := os.ReadFile(filepath.Join(root, "docs", name))
		if err != nil || string(have) != want {
			t.Errorf("docs/%s is not what the code says (%v): run `go run ./docs/reference`", name, err)
		}
	}
}

// Every setting has a comment, and a Caddyfile that sets it.
func TestSettingsAreDescribed(t *testing.T) {
	list, err := units(newSource(root))
	if err != nil {
		t.Fatal(err)
	}
	if err := spell(root, list); err != nil {
		t.Fatal(err)
	}
	if len(list) < 11 {
		t.Errorf("%d modules", len(list))
	}
	settings := 0
	for _, u := range list {
		if u.about.text == "" || len(u.syntax) == 0 {
			t.Errorf("%s has no comment or no Caddyfile syntax", u.id)
		}
		for _, s := range u.settings {
			settings++
			if strings.TrimSpace(s.text) == "" {
				t.Errorf("%s: the field of %s has no comment", u.id, s.path)
			}
			// The adapter itself writes where settings stand.
			if len(s.lines) == 0 && s.path != "source" {
				t.Errorf("%s: no Caddyfile in caddymodule/testdata/caddyfile sets %s", u.id, s.path)
			}
		}
	}
	if settings < 140 {
		t.Errorf("%d settings: some were not found", settings)
	}
}

// Every collector and every word of the audit log has a line.
func TestEventsAreDescribed(t *testing.T) {
	src := newSource(root)
	metrics, err := metricsOf(src)
	if err != nil || len(metrics) < 3 {
		t.Errorf("%d metrics: %v", len(metrics), err)
	}
	page, err := eventsPage(src)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"`step_up_requests_total` | `action_type`, `outcome` |", "| `enrol` |", "| `given_back` |", "| `store_rolled_back` |"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q", want)
		}
	}
}

// Every rule that security.md states has a test that names it, and no test names
// another.
func TestRulesHaveTests(t *testing.T) {
	list, err := evidenceOf(root)
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	stated := make(map[string]int)
	for _, m := range regexp.MustCompile(`(?m)^\| (S\d\d) \|`).FindAllStringSubmatch(string(page), -1) {
		stated[m[1]] = 1
	}
	if len(stated) < 28 {
		t.Errorf("security.md states %d rules", len(stated))
	}
	for _, e := range list {
		if stated[e.rule] == 0 {
			t.Errorf("%s in %s names a rule that docs/security.md does not state", e.name, e.file)
		}
		stated[e.rule]++
	}
	for rule, n := range stated {
		if n < 2 {
			t.Errorf("no test names rule %s", rule)
		}
	}
}
