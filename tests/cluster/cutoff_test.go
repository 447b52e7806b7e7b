//go:build components

package cluster

import (
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/store/remote"
	"github.com/stepup-gateway/caddy-stepup/tests/cluster/rig"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// TestGatewayCutOff: a gateway that the database cannot be reached from refuses what
// is protected within stale and five seconds, also on a grant that it has in memory,
// serves the rest, says so in its health and its log, and goes on by itself.
func TestGatewayCutOff(t *testing.T) {
	for name, newServers := range bothServers {
		for _, f := range []rig.Fault{rig.Cut, rig.Stalled, rig.Dropping} {
			t.Run(name+"/"+f.String(), func(t *testing.T) {
				o := newOnlooker(t, newServers(t))
				o.cut(f)
				o.refuses(0)
				if got := o.get(1, "/reports/1"); got != 200 {
					t.Errorf("another gateway: %d", got)
				}
				o.cut(rig.Whole)
				o.eventually(0, "/reports/1", 200, 10*time.Second)
			})
		}
	}
}

// TestGatewaysOnHungServers: the servers do not answer, and do not go away either. No
// request waits longer than the deadline of a call.
func TestGatewaysOnHungServers(t *testing.T) {
	for name, newServers := range bothServers {
		t.Run(name, func(t *testing.T) {
			on := newServers(t)
			o := newOnlooker(t, on)
			goOn := on.hang()
			for i := range o.s.gates {
				o.refuses(i)
			}
			goOn()
			for i := range o.s.gates {
				o.eventually(i, "/reports/1", 200, 15*time.Second)
			}
		})
	}
}

// TestGatewaysOnAHungMember: one member of etcd answers none of the gateways any more,
// whichever it is. They go on with the others.
func TestGatewaysOnAHungMember(t *testing.T) {
	o := newOnlooker(t, newEtcdServers(t))
	hang := func(member int, f rig.Fault) {
		for i := range o.s.links {
			o.s.links[i][member].Set(f)
		}
	}
	for member := range 3 {
		hang(member, rig.Stalled)
		for end := time.Now().Add(3 * time.Second); time.Now().Before(end); {
			for i := range o.s.gates {
				o.get(i, "/reports/1")
			}
		}
		for i := range o.s.gates {
			o.eventually(i, "/reports/1", 200, 5*time.Second)
		}
		until(t, "another grant", func() bool { return o.person.TryStepUp(t, "PAY") == nil })
		hang(member, rig.Whole)
	}
}

// onlooker is somebody with a grant that every gateway has in memory.
type onlooker struct {
	t       *testing.T
	s       *system
	p       *people
	person  *gateway.Person
	cookies string
}

func newOnlooker(t *testing.T, on servers) *onlooker {
	s := newSystem(t, rand.New(rand.NewPCG(1, 1)), on)
	p := newPeople(t, s)
	x, cookies := p.withGrant("VIEW_REPORTS")
	if x == nil {
		t.Fatal("no grant")
	}
	o := &onlooker{t, s, p, x, cookies}
	for i := range s.gates {
		if got := o.get(i, "/reports/1"); got != 200 {
			t.Fatalf("gateway %d: %d with the grant", i+1, got)
		}
	}
	return o
}

// get returns the status of an answer, which must come before the deadline of a call
// to the database, and a second, is over.
func (o *onlooker) get(i int, path string) int {
	o.t.Helper()
	began := time.Now()
	status, _ := o.p.ask(i, o.person.Name, o.cookies, "GET", path, "", nil)
	if took := time.Since(began); took > remote.CallTimeout+time.Second {
		o.t.Errorf("%s at gateway %d: %d after %v", path, i+1, status, took)
	}
	return status
}

func (o *onlooker) eventually(i int, path string, want int, within time.Duration) {
	o.t.Helper()
	got := 0
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if got = o.get(i, path); got == want {
			return
		}
	}
	o.t.Fatalf("%s at gateway %d: %d, want %d within %v", path, i+1, got, want, within)
}

// cut breaks the links of the first gateway.
func (o *onlooker) cut(f rig.Fault) {
	for _, link := range o.s.links[0] {
		link.Set(f)
	}
}

// refuses waits until a gateway refuses what is protected,
// and checks that it goes on to do so, serves the rest, and says so.
func (o *onlooker) refuses(i int) {
	o.t.Helper()
	o.eventually(i, "/reports/1", 503, rigStale+5*time.Second)
	if got := o.get(i, "/"); got != 200 {
		o.t.Errorf("what is not protected gets %d", got)
	}
	g := o.s.gates[i]
	until(o.t, "an error in the log", func() bool { return strings.Contains(g.Log(), "the database server cannot be used") })
	if resp, err := http.Get("http://" + g.Admin + "/step_up/health"); err != nil {
		o.t.Error(err)
	} else {
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 503 || !strings.Contains(string(text), "unavailable") {
			o.t.Errorf("health: %d %s", resp.StatusCode, text)
		}
	}
	if got := o.get(i, "/reports/1"); got != 503 {
		o.t.Errorf("what is protected gets %d", got)
	}
}
