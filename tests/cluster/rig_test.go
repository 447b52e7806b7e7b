//go:build components

package cluster

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/tests/cluster/rig"
)

const (
	// rigStale is the stale of the gateways, and rigMargin what is allowed beyond
	// it: nothing, but for the clock of this process.
	rigStale  = time.Second
	rigMargin = 100 * time.Millisecond
	// recovers is how long the gateways may take to serve again after a fault is
	// over.
	recovers = 40 * time.Second
)

// long returns what STEP_UP_LONG asks for: nothing for the short form, n for 1,
// and otherwise what it says.
func long(t *testing.T, short, n int) int {
	t.Helper()
	switch said := os.Getenv("STEP_UP_LONG"); said {
	case "":
		return short
	case "1":
		return n
	default:
		number, err := strconv.Atoi(said)
		if err != nil || number < 1 {
			t.Fatalf("STEP_UP_LONG=%s: write a number", said)
		}
		return number
	}
}

// TestFaultRig breaks one thing after the other under three gateways, while people use one-time grants, codes, recovery codes, held
// forms and grants that are revoked. What they saw is judged afterwards: nothing is
// spent twice, no code is accepted twice, no revocation is seen later than stale, and
// nobody passes without a proof. STEP_UP_LONG=1 makes 200 faults, another number so
// many; STEP_UP_SEED repeats the choice of faults.
func TestFaultRig(t *testing.T) { testFaultRig(t, newPostgresServers) }

// TestFaultRigOnEtcd is TestFaultRig on three members of etcd.
func TestFaultRigOnEtcd(t *testing.T) { testFaultRig(t, newEtcdServers) }

func testFaultRig(t *testing.T, newServers func(*testing.T) servers) {
	faults := long(t, 10, 200)
	seed := uint64(time.Now().UnixNano())
	if said := os.Getenv("STEP_UP_SEED"); said != "" {
		var err error
		if seed, err = strconv.ParseUint(said, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("STEP_UP_SEED=%d", seed)
	chance := rand.New(rand.NewPCG(seed, 0))
	on := newServers(t)
	s := newSystem(t, chance, on)
	p := newPeople(t, s)
	p.begin()
	began := time.Now()
	var all []fault
	report := map[string]*faultReport{}
	for n := 0; n < faults && !t.Failed(); n++ {
		if len(all) == 0 {
			all = s.deck(on)
		}
		f := all[0]
		all = all[1:]
		at := time.Now()
		t.Logf("%3d. %s", n+1, f.kind)
		f.do()
		healed := time.Now()
		if err := p.serving(healed, recovers); err != nil {
			s.tell()
			on.tell()
			t.Errorf("after %s: %v", f.kind, err)
		}
		r := report[f.kind]
		if r == nil {
			r = new(faultReport)
			report[f.kind] = r
		}
		one, whole := p.gaps(at, time.Now())
		r.one, r.whole = append(r.one, one), append(r.whole, whole)
		time.Sleep(500 * time.Millisecond)
	}
	p.end()
	p.judge(filepath.Join(os.TempDir(), fmt.Sprintf("step-up-rig-%d", seed)))
	t.Logf("%d faults in %v\n%s\n%s", faults, time.Since(began).Round(time.Second), summary(report), p.summary())
	if t.Failed() {
		t.Logf("again by STEP_UP_SEED=%d", seed)
	}
}

// faultReport is how long, for each fault of a kind, one gateway and all of them did
// not serve what is protected.
type faultReport struct{ one, whole []time.Duration }

func summary(kinds map[string]*faultReport) string {
	var names []string
	for name := range kinds {
		names = append(names, name)
	}
	slices.Sort(names)
	var b bytes.Buffer
	fmt.Fprintf(&b, "%-28s %5s   one gateway out, median max   all out, median max\n", "fault", "times")
	middle := func(d []time.Duration) string {
		slices.Sort(d)
		return fmt.Sprintf("%7.2f s %7.2f s", d[len(d)/2].Seconds(), d[len(d)-1].Seconds())
	}
	for _, name := range names {
		r := kinds[name]
		fmt.Fprintf(&b, "%-28s %5d       %s       %s\n", name, len(r.one), middle(r.one), middle(r.whole))
	}
	return strings.TrimRight(b.String(), "\n")
}

// judge checks all histories.
func (p *people) judge(dir string) {
	for _, one := range []struct {
		model   rig.Model
		history *rig.History
	}{
		{rig.Once("grants"), p.grants},
		{rig.Once("held-requests"), p.held},
		{rig.Once("recovery-codes"), p.recovery},
		{rig.Once("without-a-proof"), p.unproved},
		{rig.Rising("codes"), p.codes},
		{rig.Standing("revocations", rigStale+rigMargin), p.revoked},
		{rig.Standing("resets", 0), p.resets},
	} {
		if err := one.model.Judge(one.history, dir); err != nil {
			p.t.Error(err)
		}
		done := 0
		for _, op := range one.history.Ops() {
			if op.Verb == rig.Use && op.Outcome == rig.Done {
				done++
			}
		}
		if done == 0 && one.history != p.unproved && one.history != p.resets {
			p.t.Errorf("%s: nothing was ever done", one.model.Name)
		}
	}
	p.up.mu.Lock()
	defer p.up.mu.Unlock()
	for key, n := range p.up.served {
		if n > 1 {
			p.t.Errorf("the application was asked %d times for %s", n, key)
		}
	}
}
