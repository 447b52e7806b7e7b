//go:build components

package cluster

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/store/postgres"
	"github.com/stepup-gateway/caddy-stepup/store"
	"github.com/stepup-gateway/caddy-stepup/store/storetest"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// standby starts a server that follows this one, by streaming.
func (s *server) standby() *server {
	s.t.Helper()
	return s.follow(newFiles(s.t, s.bin))
}

// follow makes the files those of a server that follows this one, and starts it.
func (s *server) follow(b *server) *server {
	s.t.Helper()
	b.run("pg_basebackup", "-h", "127.0.0.1", "-p", s.port, "-U", "postgres", "-D", b.data(), "-R", "--checkpoint=fast", "--no-sync")
	b.configure("postgresql.auto.conf", "port="+b.port, "unix_socket_directories="+b.dir)
	b.start()
	return b
}

// kill ends the server as a power failure would, as a failover manager fences it.
func (s *server) kill() {
	s.t.Helper()
	s.run("pg_ctl", "stop", "-D", s.data(), "-m", "immediate")
}

func (s *server) promote() {
	s.t.Helper()
	s.run("pg_ctl", "promote", "-w", "-D", s.data())
}

// query asks the server, and returns the answer as text.
func (s *server) query(text string) string {
	s.t.Helper()
	return s.queryIn(s.url("postgres"), text)
}

// queryIn asks a database.
func (s *server) queryIn(url, text string) string {
	s.t.Helper()
	out, err := s.command("psql", "-XAtc", text, url).CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s: %v\n%s", text, err, out)
	}
	return strings.TrimSpace(string(out))
}

// await waits until the server answers the query so.
func (s *server) await(text, want string) {
	s.t.Helper()
	got := ""
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if got = s.query(text); got == want {
			return
		}
	}
	s.t.Fatalf("%s: %s, want %s", text, got, want)
}

// cutOff waits until the standby has what this server has, and then cuts it off:
// what is acknowledged from now on is lost with this server.
func (s *server) cutOff(standby *server) {
	s.t.Helper()
	at := s.query("SELECT pg_current_wal_lsn()")
	standby.await("SELECT coalesce(pg_last_wal_replay_lsn() >= '"+at+"', false)", "t")
	standby.query("ALTER SYSTEM SET primary_conninfo = ''")
	standby.query("SELECT pg_reload_conf()")
	standby.await("SELECT count(*) FROM pg_stat_wal_receiver", "0")
}

// nameOf is the name of the database of an address.
func nameOf(url string) string { return url[strings.LastIndex(url, "/")+1 : strings.Index(url, "?")] }

// both is the address of a database on two servers, of which one takes writes.
func both(a, b *server, url string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%s,127.0.0.1:%s/%s?sslmode=disable", a.port, b.port, nameOf(url))
}

// pair starts a server with a standby, and returns the address of a database on both.
func pair(t *testing.T) (primary, standby *server, url string) {
	primary = newServer(t)
	url = primary.database()
	standby = primary.standby()
	return primary, standby, both(primary, standby, url)
}

// eventually waits until the request gets the status.
func (c *nodes) eventually(p *gateway.Person, method, path string, want int) {
	c.t.Helper()
	got := 0
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if got = c.status(p, method, path); got == want {
			return
		}
	}
	c.t.Fatalf("%s %s: %d, want %d", method, path, got, want)
}

// TestSecondFailover: the first standby that is promoted is lost before a second one
// has heard of it. Both begin the same timeline and would begin the same generation.
func TestSecondFailover(t *testing.T) {
	primary := newServer(t)
	url := created(t, primary.database())
	first, second := primary.standby(), primary.standby()
	name := nameOf(url)
	all := fmt.Sprintf("postgres://postgres@127.0.0.1:%s,127.0.0.1:%s,127.0.0.1:%s/%s?sslmode=disable", primary.port, first.port, second.port, name)
	st := open(t, all)
	forgot := storetest.Listen(st)
	seen := map[uint64]bool{}
	last := uint64(0)
	step := func() {
		t.Helper()
		generation := uint64(0)
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			err := st.Apply(t.Context(), store.Op{Key: []byte("k"), Value: []byte("v")})
			if generation, _ = st.Generation(); err == nil && !seen[generation] {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("generation %d: %v", generation, err)
			}
		}
		seen[generation] = true
		e, err := st.Get(t.Context(), []byte("k"))
		if err != nil || uint64(e.Version) <= last {
			t.Errorf("version %d after %d, %v", e.Version, last, err)
		}
		last = uint64(e.Version)
	}
	step()
	primary.cutOff(first)
	primary.cutOff(second)
	primary.kill()
	first.promote()
	step()
	first.kill()
	second.promote()
	step()
	if n := forgot.Forgot(); n < 3 {
		t.Errorf("everything was forgotten %d times, want once for each server", n)
	}
}

// TestGenerationBeginsOnce: many gateways meet a promoted server at the same time.
func TestGenerationBeginsOnce(t *testing.T) {
	primary := newServer(t)
	url := created(t, primary.database())
	standby := primary.standby()
	var all [8]*postgres.Store
	for i := range all {
		all[i] = open(t, both(primary, standby, url))
	}
	primary.cutOff(standby)
	primary.kill()
	standby.promote()
	var mu sync.Mutex
	versions := map[store.Version]bool{}
	var wg sync.WaitGroup
	for i, st := range all {
		wg.Go(func() {
			for n := 0; n < 200; {
				key := fmt.Appendf(nil, "%d %d", i, n)
				if st.Apply(context.Background(), store.Op{Key: key, Value: []byte("v")}) != nil {
					time.Sleep(time.Millisecond)
					continue
				}
				n++
				e, err := st.Get(context.Background(), key)
				mu.Lock()
				if err != nil || versions[e.Version] {
					t.Errorf("%s: version %d again, or %v", key, e.Version, err)
				}
				versions[e.Version] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for _, st := range all {
		if g, cause := st.Generation(); g != 1 || !strings.Contains(cause, "promoted") {
			t.Errorf("generation %d: %s", g, cause)
		}
	}
}

// TestCrashLosesNoRevocation: the server crashes and recovers by itself, without
// anybody having restarted it, and gives out the xids of transactions again that left
// nothing on its disk.
func TestCrashLosesNoRevocation(t *testing.T) {
	s := newServer(t)
	url := created(t, s.database())
	one, other := open(t, url), open(t, url)
	h := storetest.Listen(other)
	tell := func(name string) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			generation, _ := one.Generation()
			err := one.ApplyIn(t.Context(), generation, [][]byte{[]byte(name)}, store.Op{Key: []byte("k"), Value: []byte(name)})
			if err == nil {
				break
			}
			if time.Now().After(end) {
				t.Fatal(err)
			}
		}
		h.Wait(t, name)
	}
	for round := range 3 {
		tell(fmt.Sprintf("before %d", round))
		// Transactions that write nothing durable move the xids on.
		for range 50 {
			s.exec(url, "BEGIN; SELECT pg_current_xact_id(); ROLLBACK")
		}
		time.Sleep(600 * time.Millisecond) // two readings
		pids := s.processes()
		syscall.Kill(pids[len(pids)-1], syscall.SIGKILL) // one of its children
		for n := range 5 {
			tell(fmt.Sprintf("after %d %d", round, n))
		}
	}
}
