//go:build components

package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepup-gateway/caddy-stepup/internal/freeport"
	"github.com/stepup-gateway/caddy-stepup/store"
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
// database, which may be on other servers too, through it.
func (s *server) bouncer(mode, url string) string {
	s.t.Helper()
	p := s.newPooler(mode)
	p.start()
	p.await(url)
	return strings.Replace(url, ":"+s.port, ":"+p.port, 1)
}

// await waits until the server of a database answers through the pooler.
func (p *pooler) await(url string) {
	p.s.t.Helper()
	alone := strings.Replace(p.s.url(nameOf(url)), ":"+p.s.port, ":"+p.port, 1)
	ctx, err := p.s.t.Context(), error(nil)
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		var conn *pgx.Conn
		if conn, err = pgx.Connect(ctx, alone); err != nil {
			continue
		}
		_, err = conn.Exec(ctx, "SELECT 1", pgx.QueryExecModeExec)
		conn.Close(ctx)
		if err == nil {
			return
		}
	}
	p.s.t.Fatalf("pgbouncer: %v", err)
}

// TestPoolerBehindWhichTheServerBecameAStandby: a pooler keeps the connections of its
// clients while its server is replaced by one that follows the promoted standby. They
// led to a primary once; no call fails by them.
func TestPoolerBehindWhichTheServerBecameAStandby(t *testing.T) {
	primary, standby, url := pair(t)
	pooler := primary.newPooler("transaction")
	pooler.start()
	pooler.await(created(t, url))
	st := open(t, strings.Replace(url, ":"+primary.port, ":"+pooler.port, 1))
	// all asks on as many connections as there may be, and returns how many failed.
	all := func() (failed int64) {
		var n atomic.Int64
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				for range 4 {
					if _, err := st.Get(t.Context(), []byte("k")); !errors.Is(err, store.ErrNotFound) {
						n.Add(1)
					}
				}
			})
		}
		wg.Wait()
		return n.Load()
	}
	until(t, "an answer to all", func() bool { return all() == 0 })
	primary.kill9()
	standby.promote()
	primary.remove()
	standby.follow(primary)
	pooler.await(url)
	until(t, "the promoted server is in use", func() bool { return st.Current(time.Now()) })
	if failed := all(); failed > 0 {
		t.Errorf("%d calls failed by connections that lead to the standby", failed)
	}
}
