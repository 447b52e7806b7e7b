//go:build components

package cluster

import (
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// checked is what `caddy step-up check` tells of a store.
type checked struct {
	Findings []struct{ Severity, Code, Problem, Advice string }
	Store    *struct {
		Name    string
		Servers []struct{ Name, Problem, Version, TLS, Role, Note string }
		Schema  int
		Owner   string
		Key     string
		// Generation and ClockSeconds are there even if they are 0.
		Generation   *uint64
		ClockSeconds *float64 `json:"clock_seconds"`
	}
	status int // of the exit
	text   string
}

// codes are those of the findings about the store, as SEVERITY CODE.
func (c checked) codes() string {
	var all []string
	for _, f := range c.Findings {
		if strings.HasPrefix(f.Code, "store-") {
			all = append(all, f.Severity+" "+f.Code)
		}
	}
	return strings.Join(all, ", ")
}

// checkStore runs the command on a file, as JSON and as text.
func checkStore(t *testing.T, g *gateway.Gateway, file string) (c checked) {
	t.Helper()
	run := func(more ...string) string {
		cmd := g.Command(append([]string{"step-up", "check", "--config", g.Write(file)}, more...)...)
		out, err := cmd.Output()
		var ended *exec.ExitError
		if err != nil && !errors.As(err, &ended) {
			t.Fatal(err)
		}
		c.status = cmd.ProcessState.ExitCode()
		return string(out)
	}
	c.text = run()
	if out := run("--json"); json.Unmarshal([]byte(out), &c) != nil || c.Store == nil {
		t.Fatalf("check --json wrote %s", out)
	}
	for _, s := range c.Store.Servers {
		if !strings.Contains(c.text, s.Name) {
			t.Errorf("the text does not name %s:\n%s", s.Name, c.text)
		}
	}
	return c
}

// TestCheckOfSharedStores: `caddy step-up check` says of a database on servers what an
// operator has to do next, and changes nothing in it.
func TestCheckOfSharedStores(t *testing.T) { overEngines(t, testCheck) }

func testCheck(t *testing.T, store string) {
	g := gateway.New(t, gateway.Options{Upstream: "127.0.0.1:1"})
	file := checkFile(t, g, store)
	c := checkStore(t, g, file)
	if c.status != 2 || c.codes() != "error store-empty" || c.Store.Schema != 0 {
		t.Errorf("before init: status %d, %s\n%s", c.status, c.codes(), c.text)
	}
	if c := checkStore(t, g, file); c.codes() != "error store-empty" {
		t.Errorf("the check made something: %s", c.codes())
	}
	if out, err := g.Command("step-up", "init", "--config", g.Write(file)).CombinedOutput(); err != nil {
		t.Fatalf("init: %v\n%s", err, out)
	}
	well := func(what string) {
		t.Helper()
		c := checkStore(t, g, file)
		if c.status == 2 || c.codes() != "" || c.Store.Schema != 1 || c.Store.Key == "" || c.Store.Generation == nil || c.Store.ClockSeconds == nil {
			t.Errorf("%s: status %d, %s\n%s", what, c.status, c.codes(), c.text)
		}
		for _, s := range c.Store.Servers {
			if s.Version == "" || s.Role == "" || s.Problem != "" {
				t.Errorf("%s: %+v", what, s)
			}
		}
	}
	well("after init")
	g.Run(file)
	well("beside a gateway that runs")
	g.Stop()
	c = checkStore(t, g, checkFile(t, g, store)) // with another key
	if c.status != 2 || c.codes() != "error store-key" || c.Store.Key != "" {
		t.Errorf("with another key: status %d, %s\n%s", c.status, c.codes(), c.text)
	}
	well("at the end")
}

// checkFile is a Caddyfile with a new key.
func checkFile(t *testing.T, g *gateway.Gateway, store string) string {
	t.Helper()
	return strings.NewReplacer("KEY", keyFile(t, g), "STORE", store, "EXTRA", "").Replace(nodeCaddyfile)
}

// TestCheckOfPostgres: what can be wrong with servers, roles and their tables.
func TestCheckOfPostgres(t *testing.T) {
	g := gateway.New(t, gateway.Options{Upstream: "127.0.0.1:1"})
	primary := newServer(t)
	url := primary.database()
	file := checkFile(t, g, onPostgres(url))
	if out, err := g.Command("step-up", "init", "--config", g.Write(file)).CombinedOutput(); err != nil {
		t.Fatalf("init: %v\n%s", err, out)
	}
	standby := primary.standby()
	key := func(store string) string { // the file with another store
		return strings.Replace(file, onPostgres(url), store, 1)
	}
	expect := func(what, store, codes string, status int) checked {
		t.Helper()
		c := checkStore(t, g, key(store))
		if c.codes() != codes || c.status != status {
			t.Errorf("%s: status %d, %q, want %d, %q\n%s", what, c.status, c.codes(), status, codes, c.text)
		}
		return c
	}
	two := onPostgres(both(primary, standby, url))
	c := expect("with a standby", two, "warning store-standby", 1)
	roles := ""
	for _, s := range c.Store.Servers {
		roles += s.Role + " "
	}
	if roles != "primary standby " || c.Store.Owner != "postgres" {
		t.Errorf("roles %sand owner %s", roles, c.Store.Owner)
	}
	expect("a standby is required", strings.Replace(two, "}", "standby required\n}", 1), "error store-standby", 2)
	expect("the standby alone", onPostgres(standby.url(url[strings.LastIndex(url, "/")+1:strings.Index(url, "?")])), "error store-read-only", 2)
	primary.exec(url, "CREATE ROLE guest LOGIN")
	expect("a role without grants", onPostgres(strings.Replace(url, "postgres@", "guest@", 1)), "error store-unfit, warning store-standby", 2)
	standby.promote()
	expect("both take writes", two, "error store-rivals", 2)
	standby.kill()
	c = expect("one is away", two, "warning store-unreachable", 1)
	if p := c.Store.Servers[1].Problem; p == "" || c.Store.Servers[0].Problem != "" {
		t.Errorf("problems: %+v", c.Store.Servers)
	}
	primary.kill()
	expect("all are away", two, "error store-unreachable, error store-unreachable", 2)
}
