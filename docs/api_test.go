package docs_test

import (
	"crypto/sha256"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

func apiPage(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("api.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// quotedIn returns what the tests of the package quote in their doc comments, by
// the name of the test and with each run of blanks as one.
func quotedIn(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatal(len(files), err)
	}
	quoted := make(map[string]string)
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && strings.HasPrefix(f.Name.Name, "Test") {
				quoted[f.Name.Name] = strings.Join(strings.Fields(f.Doc.Text()), " ")
			}
		}
	}
	return quoted
}

// Every statement of the four documents stands in the page as it was written, and
// the test that is named quotes it.
func TestStatementsOfTheDocuments(t *testing.T) {
	sums := make(map[string]string)
	content, err := os.ReadFile("statements.sum")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		id, sum, _ := strings.Cut(strings.TrimSpace(line), " ")
		sums[id] = sum
	}
	quoted := quotedIn(t, "../internal/backendapi")
	row := regexp.MustCompile("(?m)^\\| (\\d{3}-\\d+) \\| “(.*)” \\| (.+) \\| (?:`(Test\\w+)`|none) \\|$")
	rows := row.FindAllStringSubmatch(apiPage(t), -1)
	for _, m := range rows {
		id, statement, holds, test := m[1], m[2], m[3], m[4]
		if sum := fmt.Sprintf("%x", sha256.Sum256([]byte(statement))); sums[id] != sum {
			t.Errorf("%s is not the statement of the document any more: %q", id, statement)
		}
		delete(sums, id)
		text, exists := quoted[test]
		switch {
		case test == "" && !strings.HasPrefix(holds, "no"):
			t.Errorf("%s holds, and no test checks it", id)
		case test == "":
		case !exists:
			t.Errorf("%s is checked by %s, which does not exist", id, test)
		case !strings.Contains(text, id+": "+statement):
			t.Errorf("%s does not quote %s: %q", test, id, statement)
		}
	}
	for id := range sums {
		t.Errorf("the statement %s is missing from the page", id)
	}
}

// codesOf returns the string literals of a package that a pattern finds.
func codesOf(t *testing.T, dir string, pattern *regexp.Regexp) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	codes := make(map[string]bool)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range pattern.FindAllStringSubmatch(string(content), -1) {
			code, err := strconv.Unquote(m[1])
			if err != nil {
				t.Fatal(err)
			}
			codes[code] = true
		}
	}
	if len(codes) < 10 {
		t.Fatalf("%s: found the codes %v only", dir, codes)
	}
	return codes
}

// Every code of an error stands in the table of its API, and no other does.
func TestErrorCodesAreDescribed(t *testing.T) {
	page := apiPage(t)
	people, servers, found := strings.Cut(page, "## For servers")
	if !found {
		t.Fatal("the page has no section for servers")
	}
	of := map[string]struct {
		text  string
		codes map[string]bool
	}{
		"people":  {people, codesOf(t, "../internal/problem", regexp.MustCompile(`Code += ("[a-z_]+") +//`))},
		"servers": {servers, codesOf(t, "../internal/backendapi", regexp.MustCompile(`(?:code: |code = |\.Code(?:, out\.Message)? = |body\.Error = |secretRefusal\{|refuse\(\w+, )("[a-z_]+")`))},
	}
	row := regexp.MustCompile("(?m)^\\| (`[a-z_]+`(?:, `[a-z_]+`)*) \\| \\d{3}")
	name := regexp.MustCompile("`([a-z_]+)`")
	for whose, api := range of {
		told := make(map[string]bool)
		for _, m := range row.FindAllStringSubmatch(api.text, -1) {
			for _, n := range name.FindAllStringSubmatch(m[1], -1) {
				told[n[1]] = true
			}
		}
		for code := range api.codes {
			// Words for fields stand in a sentence of their own.
			if !told[code] && !strings.Contains(api.text, "`"+code+"`") {
				t.Errorf("the code %s for %s is not described", code, whose)
			}
		}
		for code := range told {
			if !api.codes[code] {
				t.Errorf("the code %s for %s is described, and there is none", code, whose)
			}
		}
	}
}

// Every call stands in the page.
func TestCallsAreDescribed(t *testing.T) {
	page := apiPage(t)
	for _, file := range []string{"../internal/portal/openapi.yaml", "../internal/backendapi/openapi.yaml"} {
		doc, err := openapi3.NewLoader().LoadFromFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for path, item := range doc.Paths.Map() {
			for method, op := range item.Operations() {
				if !strings.Contains(page, "| `"+method+" "+path+"` | "+op.Summary+" |") {
					t.Errorf("%s %s of %s is not described: %s", method, path, file, op.Summary)
				}
			}
		}
	}
}
