//go:build components

package cluster

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/stepup-gateway/caddy-stepup/tests/cluster/rig"
)

// fault breaks something, and mends it where that does not mend itself.
type fault struct {
	kind string
	do   func()
}

// deck returns every fault once, in an order of chance, with both kinds of failover
// among the first ten.
func (s *system) deck(chance *rand.Rand) []fault {
	first := []fault{
		{"failover, asynchronous", s.failoverAsync},
		{"failover, synchronous", s.failoverSync},
	}
	rest := []fault{
		{"gateway killed", s.killGateway},
		{"gateway paused", s.pauseGateway},
		{"link cut", func() { s.breakLink(rig.Cut) }},
		{"link stalled", func() { s.breakLink(rig.Stalled) }},
		{"link deaf", func() { s.breakLink(rig.Deaf) }},
		{"link dropping", func() { s.breakLink(rig.Dropping) }},
		{"server killed, restarted", s.restartServer},
		{"server's process killed", s.crashServer},
		{"server paused", s.pauseServer},
		{"synchronous standby paused", s.pauseStandby},
		{"pooler restarted", s.restartPooler},
	}
	if s.setsClocks() {
		rest = append(rest,
			fault{"clock off by 1 s", func() { s.moveClock([]string{"1s", "-1s"}, false) }},
			fault{"clock off by 6 s", func() { s.moveClock([]string{"6s", "-6s"}, true) }})
	}
	mix := func(all []fault) { chance.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] }) }
	mix(rest)
	first = append(first, rest[:8]...)
	mix(first)
	return append(first, rest[8:]...)
}

// hold is how long a fault lasts: from one to four seconds.
func (s *system) hold() {
	time.Sleep(time.Second + time.Duration(s.chance.Int64N(int64(3*time.Second))))
}

func (s *system) anyGate() int { return s.chance.IntN(len(s.gates)) }

func (s *system) killGateway() {
	g := s.gates[s.anyGate()]
	g.Kill()
	g.Run(s.file)
}

func (s *system) pauseGateway() {
	pid := s.gates[s.anyGate()].Pid()
	syscall.Kill(-pid, syscall.SIGSTOP)
	s.hold()
	syscall.Kill(-pid, syscall.SIGCONT)
}

func (s *system) breakLink(f rig.Fault) {
	i := s.anyGate()
	for _, link := range s.links[i] {
		link.Set(f)
	}
	s.hold()
	for _, link := range s.links[i] {
		link.Set(rig.Whole)
	}
}

func (s *server) signal(sig syscall.Signal) {
	s.t.Helper()
	for _, pid := range s.processes() {
		syscall.Kill(pid, sig)
	}
}

// kill9 ends the server and its processes without a word, and waits for their end.
func (s *server) kill9() {
	s.t.Helper()
	pids := s.processes()
	for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGKILL} { // none starts another
		for _, pid := range pids {
			syscall.Kill(pid, sig)
		}
	}
	for _, pid := range pids {
		for syscall.Kill(pid, 0) == nil && !isZombie(pid) {
			time.Sleep(5 * time.Millisecond)
		}
	}
	// A process that nobody has asked how it ended looks alive to the next server.
	locks, _ := filepath.Glob(filepath.Join(s.dir, ".s.PGSQL.*.lock"))
	for _, path := range append(locks, filepath.Join(s.data(), "postmaster.pid")) {
		if err := os.Remove(path); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *system) restartServer() {
	one := s.servers[s.primary]
	one.kill9()
	time.Sleep(time.Duration(s.chance.Int64N(int64(2 * time.Second))))
	one.start()
}

func (s *system) crashServer() {
	pids := s.servers[s.primary].processes()
	syscall.Kill(pids[1+s.chance.IntN(len(pids)-1)], syscall.SIGKILL)
}

func (s *system) pauseServer() {
	one := s.servers[s.primary]
	one.signal(syscall.SIGSTOP)
	s.hold()
	one.signal(syscall.SIGCONT)
}

func (s *system) setSynchronous(names string) {
	s.t.Helper()
	one := s.servers[s.primary]
	one.query("ALTER SYSTEM SET synchronous_standby_names = '" + names + "'")
	one.query("SELECT pg_reload_conf()")
	if names != "" {
		one.await("SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')", "1")
	}
}

// pauseStandby lets commits wait for a standby that does not answer.
func (s *system) pauseStandby() {
	s.setSynchronous("*")
	standby := s.servers[1-s.primary]
	standby.signal(syscall.SIGSTOP)
	s.hold()
	standby.signal(syscall.SIGCONT)
	s.setSynchronous("")
}

func (s *system) restartPooler() {
	p := s.poolers[s.primary]
	p.kill()
	time.Sleep(time.Duration(s.chance.Int64N(int64(time.Second))))
	p.start()
}

// failoverAsync promotes a standby that lacks what was acknowledged last.
func (s *system) failoverAsync() {
	old, next := s.servers[s.primary], s.servers[1-s.primary]
	old.cutOff(next)
	time.Sleep(300*time.Millisecond + time.Duration(s.chance.Int64N(int64(700*time.Millisecond))))
	s.failover(old, next)
}

// failoverSync promotes a standby that has all that was acknowledged.
func (s *system) failoverSync() {
	old, next := s.servers[s.primary], s.servers[1-s.primary]
	s.setSynchronous("*")
	time.Sleep(300*time.Millisecond + time.Duration(s.chance.Int64N(int64(700*time.Millisecond))))
	s.failover(old, next)
}

// failover kills the old server, which fences it, and promotes the other one; then
// the old one follows it, as an empty machine would.
func (s *system) failover(old, next *server) {
	s.t.Helper()
	old.kill9()
	next.promote()
	s.primary = 1 - s.primary
	s.setSynchronous("")
	old.remove()
	next.follow(old)
}

// moveClock sets a gateway's clock off; one that is too far off is to refuse.
func (s *system) moveClock(offsets []string, refuses bool) {
	i := s.anyGate()
	s.setClock(i, offsets[s.chance.IntN(len(offsets))])
	s.hold()
	s.hold()
	if got := s.protects(i) != 401; got != refuses {
		s.t.Errorf("gateway %d refuses: %v, want %v", i+1, got, refuses)
	}
	s.setClock(i, "0s")
}

// remove removes the files of a server that has ended, but for its log.
func (s *server) remove() {
	s.t.Helper()
	if err := os.RemoveAll(s.data()); err != nil {
		s.t.Fatal(err)
	}
}

// isZombie reports whether a process has ended, though nobody has asked how.
func isZombie(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return strings.HasPrefix(rest, "Z")
}

// protects returns the status that a gateway has for somebody who has proved
// nothing.
func (s *system) protects(i int) int {
	s.t.Helper()
	x := s.gates[i].NewPerson("nobody")
	x.Host = "bank.test"
	resp, _, err := x.Do("GET", "/reports/1", map[string]string{"Accept": "application/json"}, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode
}
