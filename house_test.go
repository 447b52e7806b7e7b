package stepup_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/stepup-gateway/caddy-stepup"

// house lists the packages from the top down. Imports point down this list and
// never up, and packages on one line do not import each other. A package stands
// where its longest prefix here does, and packages of one prefix may import each
// other.
var house = [][]string{
	{"cmd/caddy", "bench", "tests", "docs"},
	{"examples"},
	{"."},
	{"caddymodule/caddytestbed"},
	{"caddymodule"},
	{"caddymodule/command"},
	{"caddymodule/internal/adminapi"},
	{"caddymodule/identity", "caddymodule/senders", "caddymodule/stores", "caddymodule/directories"},
	{"caddymodule/internal"},
	{"internal/gate", "internal/portal", "internal/backendapi"},
	{"internal/ceremony/ceremonytest"},
	{"internal/factor"},
	{"internal/ceremony"},
	{"internal/apikeys", "internal/invite", "internal/quota"},
	{"internal/backup"},
	{"internal/identity/whoami", "internal/sender", "internal/directory", "internal/migrate"},
	{"internal/records", "internal/cookies", "internal/coverage"},
	{"internal/seal", "internal/store", "grants"},
	{"internal/pages", "internal/problem", "internal/deadline", "internal/identity", "internal/readings", "internal/heldrequest", "internal/inflight", "internal/freeport", "store", "config", "totp", "internal/typed"},
	{"internal/audit", "internal/clock", "internal/color", "internal/cause", "internal/digest", "internal/inbound", "internal/nearest"},
	{"internal/durable"},
}

// knowsCaddy are the packages that may import Caddy; everything else must be
// usable, and tested, without it.
var knowsCaddy = []string{"cmd/caddy", ".", "caddymodule", "bench", "tests", "examples", "docs"}

// pure are the packages that know nothing of HTTP.
var pure = []string{"grants", "totp", "config", "internal/seal", "store", "internal/store", "internal/records", "internal/apikeys", "internal/ceremony", "internal/cause", "internal/typed"}

type listed struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

// TestHouse holds the imports of the packages against the house: what a reader
// can rely on when they read one package alone.
func TestHouse(t *testing.T) {
	packages := list(t)
	for _, p := range packages {
		name := short(p.ImportPath)
		from := floor(name)
		if from < 0 {
			t.Errorf("%s has no place in the house: add it to the list in this test", name)
			continue
		}
		for _, imported := range p.Imports {
			to, ours := strings.CutPrefix(imported, module)
			if !ours {
				continue
			}
			to = short(module + to)
			switch below := floor(to); {
			case below < 0, below > from, related(name, to):
			default:
				t.Errorf("%s imports %s, which stands above or beside it", name, to)
			}
		}
		if !under(name, knowsCaddy) {
			if i := slices.IndexFunc(p.Deps, isCaddy); i >= 0 {
				t.Errorf("%s knows Caddy: it depends on %s", name, p.Deps[i])
			}
		}
		if slices.Contains(pure, name) && slices.Contains(p.Imports, "net/http") {
			t.Errorf("%s knows HTTP", name)
		}
	}
}

func list(t *testing.T) []listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", "./...").Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("listing packages: %v\n%s", err, exit.Stderr)
		}
		t.Fatalf("listing packages: %v", err)
	}
	var packages []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

// short is the path below the module, "." for its root.
func short(importPath string) string {
	name := strings.TrimPrefix(strings.TrimPrefix(importPath, module), "/")
	if name == "" {
		return "."
	}
	return name
}

// floor is the line of the house on which a package stands, or -1.
func floor(name string) int {
	line, _ := place(name)
	return line
}

// place is the line and the root that a package belongs to.
func place(name string) (line int, root string) {
	line = -1
	for i, roots := range house {
		for _, r := range roots {
			if under(name, []string{r}) && len(r) >= len(root) {
				line, root = i, r
			}
		}
	}
	return line, root
}

func under(name string, roots []string) bool {
	return slices.ContainsFunc(roots, func(root string) bool {
		return name == root || root != "." && strings.HasPrefix(name, root+"/")
	})
}

// related tells whether both belong to one root of the house.
func related(a, b string) bool {
	_, one := place(a)
	_, other := place(b)
	return one == other
}

func isCaddy(path string) bool { return strings.HasPrefix(path, "github.com/caddyserver/caddy/") }
