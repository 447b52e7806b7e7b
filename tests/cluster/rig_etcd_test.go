//go:build components

package cluster

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// etcdServers are three members.
type etcdServers struct{ *etcdServer }

func newEtcdServers(t *testing.T) servers { return etcdServers{newEtcd(t)} }

func (e etcdServers) ports(int) []string { return e.etcdServer.ports }

func (e etcdServers) at(links []string) string { return "http://" + strings.Join(links, ",http://") }

func (e etcdServers) store(address string) string { return onEtcd(address) }

func (e etcdServers) hang() (goOn func()) {
	pause(e.t, e.cmd.Process.Pid)
	return func() { e.cmd.Process.Signal(syscall.SIGCONT) }
}

// tell has nothing to say: the members' errors go where those of the test go.
func (e etcdServers) tell() {}

// etcdFaults are those of the members of a system.
type etcdFaults struct {
	*system
	on etcdServers
}

// faults has those of the leader early.
func (e etcdServers) faults(s *system) (early, others []fault) {
	f := &etcdFaults{s, e}
	return []fault{
			{"leader killed", func() { f.killMember(e.leader()) }},
			{"leader cut off", func() { f.cutOff(e.leader()) }},
		}, []fault{
			{"member killed", func() { f.killMember(s.chance.IntN(3)) }},
			{"member cut off", func() { f.cutOff(s.chance.IntN(3)) }},
			{"all members killed", f.killAll},
			{"all members paused", func() { s.hang(e) }},
		}
}

// killMember ends a member at once, and runs it again with what it has on its disk.
func (f *etcdFaults) killMember(i int) {
	f.on.do("kill %d", i)
	f.hold()
	f.on.do("run %d", i)
}

// cutOff lets nothing pass between a member and the others; gateways still reach it.
func (f *etcdFaults) cutOff(i int) {
	f.on.do("cut %d", i)
	f.hold()
	f.on.do("mend %d", i)
}

func (f *etcdFaults) killAll() {
	f.on.stop()
	time.Sleep(time.Duration(f.chance.Int64N(int64(2 * time.Second))))
	f.on.start()
}
