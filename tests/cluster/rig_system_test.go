//go:build components

package cluster

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/tests/cluster/rig"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// system is three gateways on one database. Each has a link of its own to each of its
// servers.
type system struct {
	t      *testing.T
	chance *rand.Rand
	links  [3][]*rig.Relay
	gates  [3]*gateway.Gateway
	clocks [3]string // files with what is added to a gateway's clock
	file   string    // the Caddyfile
	up     *application
}

// servers are what the gateways of a system keep their state on.
type servers interface {
	// ports are those that the gateway's links lead to.
	ports(gateway int) []string
	// at is the address of the database for a gateway with those links.
	at(links []string) string
	// store are the lines of the Caddyfile for an address.
	store(address string) string
	// hang lets those that take writes answer nothing until goOn is called.
	hang() (goOn func())
	// faults are those of the servers, under a system on them; early are to be among
	// the first ten.
	faults(s *system) (early, others []fault)
	// tell writes what the servers say of themselves.
	tell()
}

// bothServers are those of either engine.
var bothServers = map[string]func(*testing.T) servers{"postgres": newPostgresServers, "etcd": newEtcdServers}

// application is what stands behind the gateways.
type application struct {
	mu     sync.Mutex
	served map[string]int  // by what can be used once
	seen   map[string]bool // attempts
}

const attemptHeader = "X-Attempt"

func (a *application) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	if key := r.URL.Query().Get("once"); key != "" {
		a.served[key]++
	}
	a.seen[r.Header.Get(attemptHeader)] = true
	a.mu.Unlock()
	fmt.Fprint(w, "served")
}

func (a *application) saw(attempt string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.seen[attempt]
}

func newSystem(t *testing.T, chance *rand.Rand, on servers) *system {
	t.Helper()
	s := &system{t: t, chance: chance, up: &application{served: map[string]int{}, seen: map[string]bool{}}}
	upstream := httptest.NewServer(s.up)
	t.Cleanup(upstream.Close)
	binary := gateway.Binary(t, "-tags", "clockfault")
	dir := t.TempDir()
	for i := range s.gates {
		var links []string
		for _, port := range on.ports(i) {
			link, err := rig.NewRelay("127.0.0.1:" + port)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(link.Close)
			s.links[i] = append(s.links[i], link)
			links = append(links, link.Addr)
		}
		s.clocks[i] = filepath.Join(dir, fmt.Sprintf("clock%d", i))
		s.setClock(i, "0s")
		s.gates[i] = gateway.New(t, gateway.Options{
			Binary: binary, Upstream: strings.TrimPrefix(upstream.URL, "http://"),
			Env: []string{"STEP_UP_DB=" + on.at(links), "STEP_UP_CLOCK_OFFSET_FILE=" + s.clocks[i]},
		})
	}
	s.file = strings.NewReplacer("KEY", keyFile(t, s.gates[0]), "STORE", on.store("{env.STEP_UP_DB}"), "EXTRA", "").Replace(nodeCaddyfile)
	if out, err := s.gates[0].Command("step-up", "init", "--config", s.gates[0].Write(s.file)).CombinedOutput(); err != nil {
		t.Fatalf("init: %v\n%s", err, out)
	}
	for _, g := range s.gates {
		g.Run(s.file)
	}
	return s
}

// setClock changes what is added to a gateway's clock, in one step.
func (s *system) setClock(i int, offset string) {
	s.t.Helper()
	next := s.clocks[i] + ".next"
	if err := os.WriteFile(next, []byte(offset), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(next, s.clocks[i]); err != nil {
		s.t.Fatal(err)
	}
}

// setsClocks reports whether the gateways read the offset of their clock.
func (s *system) setsClocks() bool {
	s.t.Helper()
	program, err := os.ReadFile(s.gates[0].Command().Path)
	if err != nil {
		s.t.Fatal(err)
	}
	return bytes.Contains(program, []byte("STEP_UP_CLOCK_OFFSET_FILE"))
}

// tell writes what the gateways say of themselves, for people.
func (s *system) tell() {
	for i, g := range s.gates {
		lines := strings.Split(strings.TrimSpace(g.Log()), "\n")
		s.t.Logf("gateway %d:\n%s", i+1, strings.Join(lines[max(0, len(lines)-15):], "\n"))
	}
}
