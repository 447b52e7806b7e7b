//go:build components

package cluster

import (
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/tests/cluster/rig"
)

// TestGatewayCutOff: a gateway that the database cannot be reached from refuses what
// is protected within stale and five seconds, also on a grant that it has in memory,
// serves the rest, says so in its health and its log, and goes on by itself.
func TestGatewayCutOff(t *testing.T) {
	for _, f := range []rig.Fault{rig.Cut, rig.Stalled, rig.Dropping} {
		t.Run(f.String(), func(t *testing.T) {
			s := newSystem(t, rand.New(rand.NewPCG(1, 1)))
			p := newPeople(t, s)
			x, cookies := p.withGrant("VIEW_REPORTS")
			if x == nil {
				t.Fatal("no grant")
			}
			get := func(i int, path string) int {
				status, _ := p.ask(i, x.Name, cookies, "GET", path, "", nil)
				return status
			}
			eventually := func(path string, want int, within time.Duration) {
				t.Helper()
				got := 0
				for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
					if got = get(0, path); got == want {
						return
					}
				}
				t.Fatalf("%s: %d, want %d within %v", path, got, want, within)
			}
			for i := range s.gates {
				if got := get(i, "/reports/1"); got != 200 {
					t.Fatalf("gateway %d: %d with the grant", i+1, got)
				}
			}
			for _, link := range s.links[0] {
				link.Set(f)
			}
			eventually("/reports/1", 503, rigStale+5*time.Second)
			if got := get(0, "/"); got != 200 {
				t.Errorf("what is not protected gets %d", got)
			}
			if got := get(1, "/reports/1"); got != 200 {
				t.Errorf("another gateway: %d", got)
			}
			time.Sleep(3 * time.Second)
			resp, err := http.Get("http://" + s.gates[0].Admin + "/step_up/health")
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != 503 || !strings.Contains(string(text), "unavailable") {
				t.Errorf("health: %d %s", resp.StatusCode, text)
			}
			if !strings.Contains(s.gates[0].Log(), "the database server cannot be used") {
				t.Error("the log does not say so")
			}
			for _, link := range s.links[0] {
				link.Set(rig.Whole)
			}
			eventually("/reports/1", 200, 10*time.Second)
		})
	}
}
