//go:build components

package components

import (
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/freeport"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

var shellBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")

// TestAPIExample runs the commands that examples/api tells people to run, as they
// stand there.
func TestAPIExample(t *testing.T) {
	for _, name := range []string{"curl", "jq", "oathtool"} {
		program(t, name)
	}
	up := newCounter(t)
	api := freeport.Find(t)
	g := gateway.Start(t, strings.Replace(example(t, "api", "localhost:9000"), "http://:8081", "http://:"+api, 1), gateway.Options{Upstream: up.addr})
	readme, err := os.ReadFile("../../examples/api/README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := shellBlock.FindAllStringSubmatch(string(readme), -1)
	if len(blocks) != 5 {
		t.Fatal(len(blocks), "blocks of commands in the README")
	}
	script := "set -eu\n"
	for _, b := range blocks[1:] { // the first starts the gateway
		script += b[1]
	}
	for said, here := range map[string]string{
		`CADDY="go run ./cmd/caddy"`: `CADDY=` + g.Command().Path,
		"keys create ":               "keys create --address " + g.Admin + " ",
		"http://localhost:8081":      "http://127.0.0.1:" + api,
		"http://localhost:8080":      g.URL,
		// The gateway under test takes codes of two steps around.
		"sleep 31    # each code is good once: wait for the next\n": "",
		`$(code '+30 seconds')'", "grant_type": "TIME_BASED"`:       `$(code '+60 seconds')'", "grant_type": "TIME_BASED"`,
	} {
		if strings.Count(script, said) != 1 {
			t.Fatalf("%q is not once in the README", said)
		}
		script = strings.Replace(script, said, here, 1)
	}
	c := exec.Command("sh", "-c", script)
	c.Dir = t.TempDir()
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, g.Log())
	}
	rest := string(out)
	for _, next := range []string{`"verified":true`, `"success":true`, `"grant":"grant_not_found"`, "200 OK", "application: /reports/1 for alice"} {
		var found bool
		if _, rest, found = strings.Cut(rest, next); !found {
			t.Errorf("%s is missing, or out of order, in\n%s", next, out)
		}
	}
	if up.count("/reports/1") != 1 {
		t.Errorf("the application was asked for the report %d times\n%s", up.count("/reports/1"), out)
	}
	// By whatever name it is asked, it refuses: clients take what is below 400 for a
	// yes.
	verify, err := http.NewRequest("POST", "http://127.0.0.1:"+api+"/api/backend/v1/mfa/step-up/verify-grant", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	verify.Host = "propelauth-api.com"
	if resp, err := http.DefaultClient.Do(verify); err != nil || resp.StatusCode != http.StatusUnauthorized {
		t.Error("by another name:", resp, err)
	}
	if resp, err := http.Get(g.URL + "/reports/1"); err != nil || resp.StatusCode != http.StatusUnauthorized {
		t.Error("nobody:", resp, err)
	}
}
