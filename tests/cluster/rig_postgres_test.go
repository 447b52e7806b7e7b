//go:build components

package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// postgresServers are two servers of which one follows the other, behind poolers for
// the last gateways.
type postgresServers struct {
	t       *testing.T
	pooled  int    // gateways
	name    string // of the database
	all     [2]*server
	poolers [2]*pooler
	primary int // which of the servers takes writes
}

// newPostgresServers are those of the rig, where one gateway goes through poolers.
func newPostgresServers(t *testing.T) servers { return pooledServers(t, 1) }

func pooledServers(t *testing.T, gateways int) *postgresServers {
	p := &postgresServers{t: t, pooled: gateways}
	p.all[0] = newServer(t)
	p.name = nameOf(p.all[0].database())
	p.all[1] = p.all[0].standby()
	for i, one := range p.all {
		p.poolers[i] = one.newPooler("transaction")
		p.poolers[i].start()
	}
	return p
}

func (p *postgresServers) ports(gateway int) []string {
	if gateway >= 3-p.pooled {
		return []string{p.poolers[0].port, p.poolers[1].port}
	}
	return []string{p.all[0].port, p.all[1].port}
}

func (p *postgresServers) at(links []string) string {
	return fmt.Sprintf("postgres://postgres@%s/%s?sslmode=disable", strings.Join(links, ","), p.name)
}

func (p *postgresServers) store(address string) string { return onPostgres(address) }

func (p *postgresServers) hang() (goOn func()) {
	one := p.all[p.primary]
	for _, pid := range one.processes() {
		pause(p.t, pid)
	}
	return func() { one.signal(syscall.SIGCONT) }
}

func (p *postgresServers) tell() {
	for _, one := range p.all {
		text, _ := os.ReadFile(filepath.Join(one.dir, "log"))
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		p.t.Logf("server at %s:\n%s", one.port, strings.Join(lines[max(0, len(lines)-10):], "\n"))
	}
}

// postgresFaults are those of the servers of a system.
type postgresFaults struct {
	*system
	on *postgresServers
}

// faults has both kinds of failover early.
func (p *postgresServers) faults(s *system) (early, others []fault) {
	f := &postgresFaults{s, p}
	return []fault{
			{"failover, asynchronous", f.failoverAsync},
			{"failover, synchronous", f.failoverSync},
		}, []fault{
			{"server killed, restarted", f.restartServer},
			{"server's process killed", f.crashServer},
			{"server paused", func() { s.hang(p) }},
			{"synchronous standby paused", f.pauseStandby},
			{"pooler restarted", f.restartPooler},
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

func (f *postgresFaults) restartServer() {
	one := f.on.all[f.on.primary]
	one.kill9()
	time.Sleep(time.Duration(f.chance.Int64N(int64(2 * time.Second))))
	one.start()
}

func (f *postgresFaults) crashServer() {
	pids := f.on.all[f.on.primary].processes()
	syscall.Kill(pids[1+f.chance.IntN(len(pids)-1)], syscall.SIGKILL)
}

func (f *postgresFaults) setSynchronous(names string) {
	f.t.Helper()
	one := f.on.all[f.on.primary]
	one.query("ALTER SYSTEM SET synchronous_standby_names = '" + names + "'")
	one.query("SELECT pg_reload_conf()")
	if names != "" {
		one.await("SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')", "1")
	}
}

// pauseStandby lets commits wait for a standby that does not answer.
func (f *postgresFaults) pauseStandby() {
	f.setSynchronous("*")
	standby := f.on.all[1-f.on.primary]
	standby.signal(syscall.SIGSTOP)
	f.hold()
	standby.signal(syscall.SIGCONT)
	f.setSynchronous("")
}

func (f *postgresFaults) restartPooler() {
	p := f.on.poolers[f.on.primary]
	p.kill()
	time.Sleep(time.Duration(f.chance.Int64N(int64(time.Second))))
	p.start()
}

// failoverAsync promotes a standby that lacks what was acknowledged last.
func (f *postgresFaults) failoverAsync() {
	f.failoverWithout(func() {
		time.Sleep(300*time.Millisecond + time.Duration(f.chance.Int64N(int64(700*time.Millisecond))))
	})
}

// failoverWithout promotes a standby that lacks what is done meanwhile.
func (f *postgresFaults) failoverWithout(meanwhile func()) {
	old, next := f.on.all[f.on.primary], f.on.all[1-f.on.primary]
	old.cutOff(next)
	meanwhile()
	f.failover(old, next)
}

// failoverSync promotes a standby that has all that was acknowledged.
func (f *postgresFaults) failoverSync() {
	old, next := f.on.all[f.on.primary], f.on.all[1-f.on.primary]
	f.setSynchronous("*")
	time.Sleep(300*time.Millisecond + time.Duration(f.chance.Int64N(int64(700*time.Millisecond))))
	f.failover(old, next)
}

// failover kills the old server, which fences it, and promotes the other one; then
// the old one follows it, as an empty machine would.
func (f *postgresFaults) failover(old, next *server) {
	f.t.Helper()
	old.kill9()
	next.promote()
	f.on.primary = 1 - f.on.primary
	f.setSynchronous("")
	old.remove()
	next.follow(old)
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
