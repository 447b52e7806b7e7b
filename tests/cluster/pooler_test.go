//go:build components

package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepup-gateway/caddy-stepup/internal/freeport"
)

// pooler is a pgbouncer in front of a server.
type pooler struct {
	s          *server
	port, file string
	cmd        *exec.Cmd
}

// newPooler prepares one, without starting it.
func (s *server) newPooler(mode string) *pooler {
	s.t.Helper()
	p := &pooler{s: s, port: freeport.Find(s.t)}
	p.file = filepath.Join(s.dir, "pgbouncer-"+p.port+".ini")
	settings := fmt.Sprintf("[databases]\n* = host=127.0.0.1 port=%s user=postgres\n[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port=%s\nunix_socket_dir=\n"+
		"auth_type=any\npool_mode=%s\ndefault_pool_size=8\nmax_client_conn=500\nserver_login_retry=1\n", s.port, p.port, mode)
	if err := os.WriteFile(p.file, []byte(settings), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return p
}

// start starts it; it ends with the test.
func (p *pooler) start() {
	p.s.t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		p.s.t.Fatal(err)
	}
	p.cmd = p.s.command("pgbouncer", p.file)
	p.cmd.Path, p.cmd.Dir = program, "/"
	if err := p.cmd.Start(); err != nil {
		p.s.t.Fatal(err)
	}
	p.s.t.Cleanup(p.kill)
}

// kill ends it as kill -9 does.
func (p *pooler) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

// bouncer starts pgbouncer in front of the server, and returns the address of a
// database through it.
func (s *server) bouncer(mode, url string) string {
	s.t.Helper()
	p := s.newPooler(mode)
	p.start()
	through := strings.Replace(url, ":"+s.port+"/", ":"+p.port+"/", 1)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		conn, err := pgx.Connect(s.t.Context(), through+"&default_query_exec_mode=exec")
		if err == nil {
			conn.Close(s.t.Context())
			return through
		}
		if time.Now().After(end) {
			s.t.Fatalf("pgbouncer: %v", err)
		}
	}
}
