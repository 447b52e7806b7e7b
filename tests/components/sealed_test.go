//go:build components

package components

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/freeport"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// sealed runs a program of tests/clients for which the gateway is s.Name, and
// returns what it prints and how it ends.
func sealed(t *testing.T, g *gateway.Gateway, s gateway.Sealed, name string, in any, args ...string) (printed, complaints string, err error) {
	t.Helper()
	dir := clients(t)
	input, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := g.Node(ctx, s, filepath.Join(dir, "bridge.mjs"), filepath.Join(dir, name), args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// TestSealedClientReachesTheGatewayAlone holds the surroundings of published
// clients to what the tests with them rely on.
func TestSealedClientReachesTheGatewayAlone(t *testing.T) {
	outside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("a sealed client reaches this machine's port: %s", r.URL)
		io.WriteString(w, "outside")
	}))
	defer outside.Close()
	port := freeport.Find(t)
	g := gateway.Start(t, `{
	admin GW_ADMIN
	persist_config off
	auto_https disable_redirects
	skip_install_trust
}
https://propelauth-api.com:`+port+` {
	bind 127.0.0.1
	tls internal
	respond "{http.request.host} {http.request.uri} {http.request.tls.server_name}"
}
`, gateway.Options{})
	printed, complaints, err := sealed(t, g, gateway.Sealed{Name: "propelauth-api.com", Port: port}, "reach.mjs", nil,
		"https://propelauth-api.com/a?b", "http://propelauth-api.com/", outside.URL, g.URL, "https://127.0.0.1/", "https://192.0.2.1/", "https://example.com/")
	if err != nil {
		t.Fatalf("%v\n%s", err, complaints)
	}
	type answer struct {
		Status      int
		Text, Error string
	}
	var got []answer
	if err := json.Unmarshal([]byte(printed), &got); err != nil {
		t.Fatalf("%v in %q", err, printed)
	}
	want := []answer{
		{Status: 200, Text: "propelauth-api.com /a?b propelauth-api.com"},
		{Error: "ECONNREFUSED"}, {Error: "ECONNREFUSED"}, {Error: "ECONNREFUSED"},
		{}, // Caddy has no certificate for an address; how Node.js puts it may change
		{Error: "ENETUNREACH"},
		{},
	}
	for i, a := range got {
		if want[i] == (answer{}) && a.Status == 0 {
			continue
		}
		if a != want[i] {
			t.Errorf("answer %d is %+v, want %+v", i, a, want[i])
		}
	}
}
