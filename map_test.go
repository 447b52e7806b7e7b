package stepup_test

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestMap compares the map of packages in CONTRIBUTING.md with the packages: each one
// that has code besides tests stands there once, with a line that says what it is.
func TestMap(t *testing.T) {
	text, err := os.ReadFile("CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## How it is built\n")
	if !found {
		t.Fatal("CONTRIBUTING.md has no section `How it is built`")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	mapped := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^([a-z./_0-9]+) {2,}(.*)$`).FindAllStringSubmatch(section, -1) {
		name, line := m[1], m[2]
		if mapped[name] {
			t.Errorf("CONTRIBUTING.md: %s stands in the map twice", name)
		}
		mapped[name] = true
		if len(strings.TrimSpace(line)) < 10 {
			t.Errorf("CONTRIBUTING.md: the map does not say what %s is", name)
		}
	}
	for _, tags := range []string{"", "components"} {
		out, err := exec.Command("go", "list", "-tags", tags, "-f", "{{if .GoFiles}}{{.ImportPath}}{{end}}", "./...").Output()
		if err != nil {
			t.Fatalf("listing packages: %v", err)
		}
		for _, path := range strings.Fields(string(out)) {
			if _, ok := mapped[short(path)]; !ok {
				t.Errorf("CONTRIBUTING.md, section `How it is built`: add a line for %s", short(path))
			}
			mapped[short(path)] = false
		}
	}
	for name, unseen := range mapped {
		if unseen {
			t.Errorf("CONTRIBUTING.md: the map has %s, and there is no such package", name)
		}
	}
}

const (
	maxLines = 350 // of a file that is no test
	maxFiles = 30  // that are no tests, at the top of caddymodule
)

// TestFiles bounds the length of files, so that each can be read at once, and how
// many stand beside each other at the top of caddymodule.
func TestFiles(t *testing.T) {
	top := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		if filepath.Dir(path) == "caddymodule" {
			top++
		}
		text, err := os.ReadFile(path)
		if n := bytes.Count(text, []byte("\n")); n > maxLines {
			t.Errorf("%s has %d lines, more than %d: split it where a second idea begins", path, n, maxLines)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if top > maxFiles {
		t.Errorf("caddymodule has %d files at its top, more than %d: some of them belong into a room", top, maxFiles)
	}
}

// TestContributing checks that the files that CONTRIBUTING.md names are there.
func TestContributing(t *testing.T) {
	text, err := os.ReadFile("CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("`((?:[a-z_]+/)+[a-z_]+\\.[a-z]+|[a-z]+(?:/[a-z_]+)+)`").FindAllStringSubmatch(string(text), -1) {
		if _, err := os.Stat(m[1]); err != nil {
			t.Errorf("CONTRIBUTING.md names %s, which is not there", m[1])
		}
	}
}
