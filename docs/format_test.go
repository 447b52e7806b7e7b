package docs_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// TestFormatted wants each Caddyfile of the manual and the examples as `caddy fmt`
// writes it. Caddy warns of any other, and whoever copies one would see that first.
func TestFormatted(t *testing.T) {
	block := regexp.MustCompile("(?ms)^```caddyfile[^\\n]*\\n(.*?)^```")
	var files []string
	for _, pattern := range []string{"../README.md", "*.md", "../examples/*/README.md", "../examples/*/Caddyfile", "../Caddyfile.example"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: no files, %v", pattern, err)
		}
		files = append(files, found...)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		parts := [][]byte{text}
		if strings.HasSuffix(file, ".md") {
			parts = nil
			for _, found := range block.FindAllSubmatch(text, -1) {
				parts = append(parts, found[1])
			}
		}
		for _, part := range parts {
			if want := caddyfile.Format(part); !bytes.Equal(part, want) {
				t.Errorf("%s is not formatted; write\n%s", file, want)
			}
		}
	}
}
