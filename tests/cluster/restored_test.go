//go:build components

package cluster

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestS25RestoredToAPointInTime: the server is restored from a base backup and its
// archived log to a point before what was acknowledged last. Nothing is good again at
// gateways that went on meanwhile, and apply again what they acknowledged; nor at
// those that start afterwards and know nothing.
func TestS25RestoredToAPointInTime(t *testing.T) {
	for name, ended := range map[string]bool{"while gateways run": false, "before they start": true} {
		t.Run(name, func(t *testing.T) {
			on := pooledServers(t, 0)
			s := newSystem(t, rand.New(rand.NewPCG(1, 3)), on)
			on.all[1].kill9() // no standby is to take its place
			one := on.all[0]
			one.archive()
			p := newPeople(t, s)
			p.begin()
			if err := p.serving(time.Now(), recovers); err != nil {
				t.Fatal(err)
			}
			one.backup()
			f := p.losing(0)
			one.query("SELECT pg_create_restore_point('here')")
			f.lose()
			if f.ended = ended; ended {
				for _, g := range s.gates {
					g.Kill()
				}
			}
			one.restore("here")
			if ended {
				for _, g := range s.gates {
					g.Run(s.file)
				}
			}
			if err := p.serving(time.Now(), recovers); err != nil {
				s.tell()
				on.tell()
				t.Fatal(err)
			}
			f.judge()
			p.end()
		})
	}
}

// archive makes the server keep its log elsewhere, which it does once it is restarted.
func (s *server) archive() {
	s.t.Helper()
	dir := filepath.Join(s.dir, "archive")
	if err := os.Mkdir(dir, 0o700); err != nil {
		s.t.Fatal(err)
	}
	if os.Getuid() == 0 {
		if err := os.Chown(dir, s.user(), s.user()); err != nil {
			s.t.Fatal(err)
		}
	}
	s.run("pg_ctl", "stop", "-D", s.data(), "-m", "fast")
	s.configure("postgresql.conf", "archive_mode=on", "archive_command=cp %p ../archive/%f", "synchronous_standby_names=")
	s.start()
}

func (s *server) backup() {
	s.t.Helper()
	s.run("pg_basebackup", "-h", "127.0.0.1", "-p", s.port, "-U", "postgres", "-D", filepath.Join(s.dir, "base"), "--checkpoint=fast", "--no-sync")
}

// restore ends the server, and starts what its backup and its log make of it at a point.
func (s *server) restore(point string) {
	s.t.Helper()
	segment := s.query("SELECT pg_walfile_name(pg_switch_wal())")
	s.await("SELECT coalesce(last_archived_wal >= '"+segment+"', false) FROM pg_stat_archiver", "t")
	s.kill9()
	s.remove()
	if err := os.Rename(filepath.Join(s.dir, "base"), s.data()); err != nil {
		s.t.Fatal(err)
	}
	s.configure("postgresql.conf", "restore_command=cp ../archive/%f %p", "recovery_target_name="+point, "recovery_target_action=promote")
	if err := os.WriteFile(filepath.Join(s.data(), "recovery.signal"), nil, 0o644); err != nil {
		s.t.Fatal(err)
	}
	s.start()
	s.await("SELECT pg_is_in_recovery()", "f")
}

// TestStandbyRequired: with `standby required` the gateway refuses to start where no
// standby is synchronous, in a sentence; otherwise it warns where there are standbys.
// Once it runs it goes on without one.
func TestStandbyRequired(t *testing.T) {
	primary, standby, url := pair(t)
	c := newNodes(t, url, 1)
	const none = "a failover loses the last changes that were acknowledged"
	if !strings.Contains(c.all[0].Log(), none) {
		t.Errorf("by default it starts without a warning:\n%s", c.all[0].Log())
	}
	required := strings.Replace(c.file, "store postgres {", "store postgres {\nstandby required", 1)
	if said := refused(t, required); !strings.Contains(said, "`standby required`: the server has no synchronous standby now: start it, or set synchronous_standby_names") {
		t.Errorf("without a synchronous standby it says:\n%s", said)
	}
	primary.query("CREATE ROLE plain LOGIN")
	asPlain := strings.Replace(required, "postgres://postgres@", "postgres://plain@", 1)
	if said := refused(t, asPlain); !strings.Contains(said, "GRANT pg_read_all_stats") {
		t.Errorf("a role that may not see standbys gets:\n%s", said)
	}
	primary.query("ALTER SYSTEM SET synchronous_standby_names = '*'")
	primary.query("SELECT pg_reload_conf()")
	primary.await("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'", "1")
	g := c.all[0]
	g.Stop()
	g.Run(required)
	primary.kill9()
	standby.promote()
	c.eventually(c.newPerson("nobody"), "GET", "/reports/1", 401)
	if !strings.Contains(g.Log(), "another failover may lose the last changes") {
		t.Errorf("it goes on without a warning:\n%s", g.Log())
	}
}
