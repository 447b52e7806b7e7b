//go:build components

package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/stepup-gateway/caddy-stepup/internal/freeport"
)

// server is a PostgreSQL server of a test.
type server struct {
	t    testing.TB
	bin  string // the directory of its programs
	dir  string // all of its files; its socket is there
	port string
	env  []string     // added to that of its programs
	made atomic.Int32 // databases
}

// newServer starts a server of Debian's packages, on a socket and on loopback.
func newServer(t testing.TB, settings ...string) *server {
	t.Helper()
	return newServerOf(t, programs(t, "/usr/lib/postgresql/*/bin"), settings...)
}

// newest is where .ci/components puts PostgreSQL 18: initdb, pg_ctl and postgres.
const newest = "/var/cache/caddy-stepup-tests/postgresql-18/bin"

// programs returns the last of the directories in which the programs of a server are.
func programs(t testing.TB, pattern string) string {
	t.Helper()
	found, _ := filepath.Glob(filepath.Join(pattern, "initdb"))
	if len(found) == 0 {
		t.Fatalf("PostgreSQL is not in %s: run .ci/components", pattern)
	}
	sort.Strings(found)
	return filepath.Dir(found[len(found)-1])
}

// overServers runs a test on Debian's PostgreSQL and on the newest.
func overServers(t *testing.T, test func(t *testing.T, s *server)) {
	t.Run("Debian", func(t *testing.T) { test(t, newServer(t)) })
	t.Run("18", func(t *testing.T) {
		s := newServerOf(t, programs(t, newest))
		if version := s.version(); version/10000 != 18 {
			t.Fatalf("the server is of version %d", version)
		}
		test(t, s)
	})
}

// newServerOf starts a server of the programs in a directory.
func newServerOf(t testing.TB, bin string, settings ...string) *server {
	t.Helper()
	s := newFiles(t, bin)
	s.initialize(settings...)
	return s
}

// initialize makes an empty cluster in the server's files, and starts it.
func (s *server) initialize(settings ...string) {
	s.t.Helper()
	s.run("initdb", "-D", s.data(), "-A", "trust", "-U", "postgres", "--no-instructions", "--no-sync")
	s.configure("postgresql.conf", append([]string{
		"port=" + s.port, "listen_addresses=127.0.0.1", "unix_socket_directories=" + s.dir, "max_connections=200",
	}, settings...)...)
	s.start()
}

// newFiles makes a place for the files of a server.
func newFiles(t testing.TB, bin string) *server {
	t.Helper()
	dir, err := os.MkdirTemp("", "pg") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &server{t: t, bin: bin, dir: dir, port: freeport.Find(t)}
	if err := os.Chown(dir, s.user(), s.user()); err != nil && os.Getuid() == 0 {
		t.Fatal(err)
	}
	return s
}

// configure adds settings to a file of the server.
func (s *server) configure(file string, settings ...string) {
	s.t.Helper()
	conf, err := os.OpenFile(filepath.Join(s.data(), file), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, one := range settings {
		name, value, _ := strings.Cut(one, "=")
		fmt.Fprintf(conf, "%s = '%s'\n", name, value)
	}
	if err := conf.Close(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) data() string { return filepath.Join(s.dir, "data") }

// start starts the server, which ends with the test.
func (s *server) start() {
	s.t.Helper()
	s.run("pg_ctl", "start", "-w", "-D", s.data(), "-l", filepath.Join(s.dir, "log"))
	s.t.Cleanup(func() { s.command("pg_ctl", "stop", "-D", s.data(), "-m", "immediate").Run() })
}

// user is who runs the server, which does not run as root.
func (s *server) user() int {
	if os.Getuid() != 0 {
		return os.Getuid()
	}
	out, err := exec.Command("id", "-u", "postgres").Output()
	if err != nil {
		s.t.Fatal(err)
	}
	id, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		s.t.Fatal(err)
	}
	return id
}

func (s *server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	if os.Getuid() == 0 {
		id := uint32(s.user())
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: id, Gid: id}}
	}
	cmd.Dir, cmd.Env = s.dir, append(os.Environ(), s.env...)
	return cmd
}

func (s *server) run(name string, args ...string) {
	s.t.Helper()
	// Not CombinedOutput: the server would keep the pipe open.
	log, err := os.CreateTemp(s.dir, name)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	cmd := s.command(name, args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(log.Name())
		server, _ := os.ReadFile(filepath.Join(s.dir, "log"))
		s.t.Fatalf("%s: %v\n%s\n%s", name, err, said, server[max(0, len(server)-2000):])
	}
}

// url is the address of a database, for its owner.
func (s *server) url(database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%s/%s?sslmode=disable", s.port, database)
}

// database makes an empty one, and returns its address.
func (s *server) database() string {
	s.t.Helper()
	name := fmt.Sprintf("d%d", s.made.Add(1))
	s.exec(s.url("postgres"), "CREATE DATABASE "+name)
	return s.url(name)
}

// version is the number of the server's version, such as 150014.
func (s *server) version() (number int) {
	s.t.Helper()
	ctx := s.t.Context()
	conn, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close(ctx)
	if err := conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::integer").Scan(&number); err != nil {
		s.t.Fatal(err)
	}
	return number
}

func (s *server) exec(url, statement string) {
	s.t.Helper()
	ctx := s.t.Context()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement); err != nil {
		s.t.Fatal(err)
	}
}
