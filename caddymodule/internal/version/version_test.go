package version_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/version"
)

// The version is one that the change log describes, and says what it was built
// with.
func TestVersion(t *testing.T) {
	changes, err := os.ReadFile("../../../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(changes), "\n## "+version.Number) {
		t.Errorf("CHANGELOG.md has no section for %s", version.Number)
	}
	if got := version.Get().String(); !regexp.MustCompile(`^\d+\.\d+\.\d+ \(.*go1\.\d+`).MatchString(got) {
		t.Error(got)
	}
	i := version.Info{Version: "1.2.3", Revision: "0123456789abcdef", Modified: true, Caddy: "v2.1.0", Go: "go1.99"}
	if got := i.String(); got != "1.2.3 (revision 0123456789ab with changes, Caddy v2.1.0, go1.99)" {
		t.Error(got)
	}
}
