package caddymodule_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/google/go-cmp/cmp"

	_ "github.com/stepup-gateway/caddy-stepup/caddymodule"
)

var update = flag.Bool("update", false, "write what the Caddyfile goldens give now")

// separator stands between a Caddyfile and what it gives: JSON, or an error.
const separator = "\n----------\n"

// TestCaddyfile adapts each file of testdata/caddyfile and compares the outcome
// with what stands below the line: the JSON of our own modules' configuration, or
// the error with file and line.
func TestCaddyfile(t *testing.T) {
	goldens(t, "testdata/caddyfile/*.caddyfile", func(_ *testing.T, _, input string) string { return adapt(input) })
}

// goldens compares what each file of a pattern gives with what stands in it below
// the line, and writes that instead where -update is set.
func goldens(t *testing.T, pattern string, give func(t *testing.T, file, input string) string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfile"), func(t *testing.T) {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, want, found := strings.Cut(string(content), separator)
			if !found && !*update {
				t.Fatal("the separator line is missing")
			}
			input = strings.TrimRight(input, "\n")
			got := give(t, file, input+"\n")
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

// adapt gives the indented JSON of a Caddyfile, or the error's text.
func adapt(input string) string {
	adapter := caddyconfig.GetAdapter("caddyfile")
	out, _, err := adapter.Adapt([]byte(input), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return err.Error() + "\n"
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, out, "", "\t"); err != nil {
		return err.Error() + "\n"
	}
	return pretty.String() + "\n"
}

// Every refusal names its line and says what to write.
func TestRefusalsSayWhatToWrite(t *testing.T) {
	files, err := filepath.Glob("testdata/caddyfile/err_*.caddyfile")
	if err != nil || len(files) < 150 {
		t.Fatalf("%d refusals, %v", len(files), err)
	}
	place := regexp.MustCompile(`Caddyfile:[0-9]+`)
	advice := regexp.MustCompile(`(?i)\b(add|at (least|most)|between|choose|close|did you mean|expected|give|instead|keep|leave|make|match|may stand|move|must|name|needs?|nearest|put|remove|said twice|say|set|such as|takes?|there (is|are)|use|write)\b`)
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, refusal, _ := strings.Cut(string(content), separator)
		if !place.MatchString(refusal) {
			t.Errorf("%s: no line: %s", file, refusal)
		}
		if sentence := place.Split(refusal, 2)[0]; !advice.MatchString(sentence) {
			t.Errorf("%s: says not what to write: %s", file, refusal)
		}
	}
}
