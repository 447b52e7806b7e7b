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
	made atomic.Int32 // databases
}

// newServer starts a server of Debian's packages, on a socket and on loopback.
func newServer(t testing.TB, settings ...string) *server {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		t.Fatal("PostgreSQL is not installed: run .ci/components")
	}
	sort.Strings(found)
	s := newFiles(t, filepath.Dir(found[len(found)-1]))
	s.run("initdb", "-D", s.data(), "-A", "trust", "-U", "postgres", "--no-instructions", "--no-sync")
	s.configure("postgresql.conf", append([]string{
		"port=" + s.port, "listen_addresses=127.0.0.1", "unix_socket_directories=" + s.dir, "max_connections=200",
	}, settings...)...)
	s.start()
	return s
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
	cmd.Dir = s.dir
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
