//go:build components

package components

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// TestExampleBeginsAnew: who deletes the directory in which an example keeps its
// state begins anew, as the examples say. A mark outside it would be that of a
// database that is gone.
func TestExampleBeginsAnew(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	caddyfile := strings.ReplaceAll(example(t, "bank", "localhost:9000"), "GW_DIR/", state+"/")
	g := gateway.Start(t, caddyfile, gateway.Options{Upstream: "127.0.0.1:9"})
	g.Stop()
	if err := os.RemoveAll(state); err != nil {
		t.Fatal(err)
	}
	g.Run(caddyfile)
}
