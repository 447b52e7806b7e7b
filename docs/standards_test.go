package docs_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// asvs are the requirements of the chapters of OWASP ASVS 5.0 that standards.md
// treats: how many there are in each section of a chapter.
var asvs = map[int][]int{
	3:  {1, 3, 5, 8, 8, 1, 5},
	6:  {3, 12, 8, 6, 8, 4, 2, 4},
	7:  {3, 4, 2, 5, 3, 2},
	11: {4, 5, 5, 4, 2, 2, 2},
	14: {2, 8, 3},
	16: {1, 5, 4, 3, 4},
}

// nist are the sections of NIST SP 800-63B-4 that have requirements for
// authenticators, verifiers, events and sessions, and for AALs.
var nist = strings.Fields(`2.1.1 2.1.2 2.1.3 2.2.1 2.2.2 2.2.3 2.3.1 2.3.2 2.3.3
	3.1.1.1 3.1.1.2 3.1.2.1 3.1.2.2 3.1.3.1 3.1.3.2 3.1.3.3 3.1.3.4 3.1.4.1 3.1.4.2 3.1.5.1 3.1.5.2 3.1.6.1 3.1.6.2
	3.1.7.1 3.1.7.2 3.1.7.3 3.2.1 3.2.2 3.2.3 3.2.3.1 3.2.3.2 3.2.3.3 3.2.3.4 3.2.4 3.2.5 3.2.5.1 3.2.5.2 3.2.6 3.2.7
	3.2.8 3.2.9 3.2.10 3.2.11 3.2.11.1 3.2.11.2 3.2.11.3 3.2.12 3.2.13
	4.1 4.1.1 4.1.2.1 4.1.2.2 4.1.3 4.1.4 4.2.1 4.2.1.1 4.2.1.2 4.2.1.3 4.2.1.4 4.2.2.1 4.2.2.2 4.2.2.3 4.2.3
	4.3 4.4 4.5 4.6 5.1 5.1.1 5.1.2 5.2 5.3 B.2 B.3 B.5`)

// verdicts are those that the page explains.
var verdicts = []string{"holds", "the application's", "the operator's", "does not apply", "does not hold"}

// requirement is a row of standards.md.
type requirement struct{ number, level, subject, verdict, evidence string }

func (r requirement) String() string { return r.number + " " + r.subject }

// standards returns the rows of ASVS and of NIST.
func standards(t *testing.T) (owasp, federal []requirement) {
	t.Helper()
	page := readPage(t)
	if strings.Count(page, "\n## NIST ") != 1 {
		t.Fatal("the page has no section on NIST SP 800-63B-4")
	}
	ours, theirs, _ := strings.Cut(page, "\n## NIST ")
	return rows(t, ours), rows(t, theirs)
}

func readPage(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("standards.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

var numbered = regexp.MustCompile(`^(?:[0-9]+|B)(?:\.[0-9]+)+$`)

// rows reads the tables whose rows begin with a requirement's number.
func rows(t *testing.T, text string) (all []requirement) {
	t.Helper()
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) < 2 || !numbered.MatchString(strings.TrimSpace(cells[1])) {
			continue
		}
		if len(cells) != 7 {
			t.Errorf("a row has %d cells, not 5: %s", len(cells)-2, line)
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		all = append(all, requirement{cells[1], cells[2], cells[3], cells[4], cells[5]})
	}
	return all
}

// Every requirement of the chapters stands there once, in order, with its level,
// and every section of NIST's at least once.
func TestStandardsAreComplete(t *testing.T) {
	owasp, federal := standards(t)
	var want []string
	for _, chapter := range slices.Sorted(maps.Keys(asvs)) {
		for section, n := range asvs[chapter] {
			for i := range n {
				want = append(want, fmt.Sprintf("%d.%d.%d", chapter, section+1, i+1))
			}
		}
	}
	var have []string
	for _, r := range owasp {
		have = append(have, r.number)
		if level, err := strconv.Atoi(r.level); err != nil || level < 1 || level > 3 {
			t.Errorf("%s: level %q", r, r.level)
		}
	}
	if !slices.Equal(have, want) {
		for _, n := range want {
			if c := count(have, n); c != 1 {
				t.Errorf("ASVS %s stands there %d times", n, c)
			}
		}
		t.Errorf("%d requirements of ASVS, in order, are wanted; the page has %d", len(want), len(have))
	}
	var sections []string
	for _, r := range federal {
		sections = append(sections, r.number)
		if !slices.Contains(nist, r.number) {
			t.Errorf("NIST SP 800-63B-4 has no requirements in section %s", r.number)
		}
	}
	for _, s := range nist {
		if !slices.Contains(sections, s) {
			t.Errorf("section %s of NIST SP 800-63B-4 is missing", s)
		}
	}
}

func count(list []string, of string) (n int) {
	for _, s := range list {
		if s == of {
			n++
		}
	}
	return n
}

var (
	quoted   = regexp.MustCompile("`([^`]+)`")
	testName = regexp.MustCompile(`^Test[A-Z][A-Za-z0-9]*$`)
	fileName = regexp.MustCompile(`^[a-z_]+(/[a-z0-9_.]+)*/[a-z0-9_]+\.(go|js|md|html)$`)
	pageLink = regexp.MustCompile(`\]\(#[^)]+\)`) // to a heading of the page
)

// What a row gives as evidence exists: tests of that name, and files. What holds has
// some, and everything else says why.
func TestStandardsHaveEvidence(t *testing.T) {
	tests := testsOfTheModule(t)
	owasp, federal := standards(t)
	for _, r := range slices.Concat(owasp, federal) {
		if !slices.Contains(verdicts, r.verdict) {
			t.Errorf("%s: %q is no verdict", r, r.verdict)
		}
		evidence := 0
		for _, m := range quoted.FindAllStringSubmatch(r.evidence, -1) {
			switch name := m[1]; {
			case testName.MatchString(name):
				evidence++
				if tests[name] == 0 {
					t.Errorf("%s: there is no test %s", r, name)
				}
			case fileName.MatchString(name):
				evidence++
				if _, err := os.Stat(filepath.Join("..", name)); err != nil {
					t.Errorf("%s: there is no file %s", r, name)
				}
			}
		}
		evidence += len(pageLink.FindAllString(r.evidence, -1))
		switch {
		case r.subject == "", r.evidence == "":
			t.Errorf("%s: a cell is empty", r.number)
		case r.verdict == "holds" && evidence == 0:
			t.Errorf("%s: it holds, and neither a test nor a file shows that", r)
		}
	}
}

// testsOfTheModule counts the test functions of each name, whatever their build
// constraints.
func testsOfTheModule(t *testing.T) map[string]int {
	t.Helper()
	function := regexp.MustCompile(`(?m)^func (Test[A-Z][A-Za-z0-9]*)\(t \*testing\.T\)`)
	found := make(map[string]int)
	eachFile(t, func(name string) {
		if !strings.HasSuffix(name, "_test.go") {
			return
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range function.FindAllSubmatch(text, -1) {
			found[string(m[1])]++
		}
	})
	return found
}

// eachFile visits the Go files of the module.
func eachFile(t *testing.T, visit func(name string)) {
	t.Helper()
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != ".." && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir
		case !d.IsDir() && strings.HasSuffix(name, ".go"):
			visit(name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// cryptographic begins the import paths of what an inventory of cryptography
// lists.
var cryptographic = []string{"crypto/", "hash/", "golang.org/x/crypto/", "github.com/go-webauthn/", "github.com/golang-jwt/", "github.com/pquerna/otp"}

// TestInventoryOfCryptography checks the inventory of standards.md against what
// the packages of the gateway import: none is missing, and none is too many.
func TestInventoryOfCryptography(t *testing.T) {
	_, rest, ok := strings.Cut(readPage(t), "\n### Inventory of cryptography\n")
	if !ok {
		t.Fatal("there is no inventory")
	}
	inventory, _, _ := strings.Cut(rest, "\n#")
	listed := make(map[string]bool)
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z/]+)` \\|").FindAllStringSubmatch(inventory, -1) {
		listed[m[1]] = true
	}
	using := make(map[string]bool)
	eachFile(t, func(name string) {
		dir, err := filepath.Rel("..", filepath.Dir(name))
		if err != nil {
			t.Fatal(err)
		}
		dir = filepath.ToSlash(dir)
		top, _, _ := strings.Cut(dir, "/")
		if strings.HasSuffix(name, "_test.go") || slices.Contains([]string{"examples", "tests", "bench", "docs"}, top) || path.Base(dir) == "ceremonytest" {
			return
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range file.Imports {
			imported := strings.Trim(i.Path.Value, `"`)
			if slices.ContainsFunc(cryptographic, func(begin string) bool { return strings.HasPrefix(imported, begin) }) {
				using[dir] = true
			}
		}
	})
	for _, dir := range slices.Sorted(maps.Keys(using)) {
		if !listed[dir] {
			t.Errorf("%s uses cryptography and is not in the inventory of docs/standards.md", dir)
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(listed)) {
		if !using[dir] {
			t.Errorf("%s is in the inventory of docs/standards.md and uses no cryptography", dir)
		}
	}
	if len(using) < 20 {
		t.Errorf("%d packages use cryptography: some were not found", len(using))
	}
}
