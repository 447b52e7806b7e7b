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

// system is three gateways, of which the last goes through poolers, and two servers,
// of which one follows the other. Each gateway has a link of its own to each server.
type system struct {
	t       *testing.T
	chance  *rand.Rand
	servers [2]*server
	poolers [2]*pooler
	primary int // which of the servers takes writes
	links   [3][2]*rig.Relay
	gates   [3]*gateway.Gateway
	clocks  [3]string // files with what is added to a gateway's clock
	file    string    // the Caddyfile
	up      *application
}

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

func newSystem(t *testing.T, chance *rand.Rand) *system {
	t.Helper()
	s := &system{t: t, chance: chance, up: &application{served: map[string]int{}, seen: map[string]bool{}}}
	s.servers[0] = newServer(t)
	url := s.servers[0].database()
	s.servers[1] = s.servers[0].standby()
	for i, one := range s.servers {
		s.poolers[i] = one.newPooler("transaction")
		s.poolers[i].start()
	}
	upstream := httptest.NewServer(s.up)
	t.Cleanup(upstream.Close)
	binary := gateway.Build(t, "-tags", "clockfault")
	dir := t.TempDir()
	for i := range s.gates {
		for j, one := range s.servers {
			port := one.port
			if i == len(s.gates)-1 {
				port = s.poolers[j].port
			}
			link, err := rig.NewRelay("127.0.0.1:" + port)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(link.Close)
			s.links[i][j] = link
		}
		s.clocks[i] = filepath.Join(dir, fmt.Sprintf("clock%d", i))
		s.setClock(i, "0s")
		s.gates[i] = gateway.New(t, gateway.Options{
			Binary: binary, Upstream: strings.TrimPrefix(upstream.URL, "http://"),
			Env: []string{
				fmt.Sprintf("STEP_UP_DB=postgres://postgres@%s,%s/%s?sslmode=disable", s.links[i][0].Addr, s.links[i][1].Addr, nameOf(url)),
				"STEP_UP_CLOCK_OFFSET_FILE=" + s.clocks[i],
			},
		})
	}
	text, err := s.gates[0].Command("step-up", "keygen").Output()
	if err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(dir, "key")
	if err := os.WriteFile(key, text, 0o600); err != nil {
		t.Fatal(err)
	}
	s.file = strings.NewReplacer("KEY", key, "STORE", onPostgres("{env.STEP_UP_DB}"), "EXTRA", "").Replace(nodeCaddyfile)
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

// tell writes what the parts of the system say of themselves, for people.
func (s *system) tell() {
	for i, g := range s.gates {
		lines := strings.Split(strings.TrimSpace(g.Log()), "\n")
		s.t.Logf("gateway %d:\n%s", i+1, strings.Join(lines[max(0, len(lines)-15):], "\n"))
	}
	for _, one := range s.servers {
		text, _ := os.ReadFile(filepath.Join(one.dir, "log"))
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		s.t.Logf("server at %s:\n%s", one.port, strings.Join(lines[max(0, len(lines)-10):], "\n"))
	}
}
