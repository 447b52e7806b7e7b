//go:build components

package cluster

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/stepup-gateway/caddy-stepup/internal/freeport"
	"github.com/stepup-gateway/caddy-stepup/internal/store/etcd"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// etcdProgram builds the members, once.
var etcdProgram = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "etcdserver")
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "etcdserver")
	cmd := exec.Command("go", "build", "-o", program, ".")
	cmd.Dir = "../etcdserver"
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return program, nil
})

// etcdServer are the members of a cluster, in one process.
type etcdServer struct {
	t       *testing.T
	dir     string
	args    []string
	ports   []string
	scheme  string
	cmd     *exec.Cmd
	asking  io.WriteCloser
	answers *bufio.Scanner
	made    atomic.Int64
}

// newEtcd starts three members, which end with the test.
func newEtcd(t *testing.T, args ...string) *etcdServer {
	t.Helper()
	s := &etcdServer{t: t, dir: t.TempDir(), scheme: "http"}
	for range 3 {
		s.ports = append(s.ports, freeport.Find(t))
	}
	peers := []string{freeport.Find(t), freeport.Find(t), freeport.Find(t)}
	s.args = append([]string{"-clients", strings.Join(s.ports, ","), "-peers", strings.Join(peers, ",")}, args...)
	for _, arg := range args {
		if arg == "-cert" {
			s.scheme = "https"
		}
	}
	s.start()
	t.Cleanup(func() { s.stop() })
	return s
}

func (s *etcdServer) data() string { return filepath.Join(s.dir, "data") }

func (s *etcdServer) start(args ...string) {
	s.t.Helper()
	program, err := etcdProgram()
	if err != nil {
		s.t.Fatal(err)
	}
	s.cmd = exec.Command(program, append(append([]string{"-dir", s.data()}, s.args...), args...)...)
	s.cmd.Stderr = os.Stderr
	if s.asking, err = s.cmd.StdinPipe(); err != nil {
		s.t.Fatal(err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.answers = bufio.NewScanner(out)
	if !s.answers.Scan() || s.answers.Text() != "ready" {
		s.t.Fatalf("etcd does not start: %s", s.answers.Text())
	}
}

// stop ends all members as kill -9 does.
func (s *etcdServer) stop() {
	s.cmd.Process.Signal(syscall.SIGCONT)
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

// do asks something of the members.
func (s *etcdServer) do(format string, args ...any) string {
	s.t.Helper()
	fmt.Fprintf(s.asking, format+"\n", args...)
	if !s.answers.Scan() {
		s.t.Fatalf("etcd does not answer to "+format, args...)
	}
	answer, ok := strings.CutPrefix(s.answers.Text(), "ok")
	if !ok {
		s.t.Fatalf("etcd answers %q", s.answers.Text())
	}
	return strings.TrimSpace(answer)
}

// leader returns who leads, once somebody does.
func (s *etcdServer) leader() int {
	s.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if n, err := strconv.Atoi(s.do("leader")); err == nil && n >= 0 {
			return n
		}
	}
	s.t.Fatal("no member leads")
	return 0
}

// endpoints are those of the members, all of them or some.
func (s *etcdServer) endpoints(some ...int) (all []string) {
	if len(some) == 0 {
		some = []int{0, 1, 2}
	}
	for _, i := range some {
		all = append(all, s.scheme+"://127.0.0.1:"+s.ports[i])
	}
	return all
}

// database makes an empty one, and returns how to get to it.
func (s *etcdServer) database() etcd.Options {
	s.t.Helper()
	o := etcd.Options{Endpoints: s.endpoints(), Prefix: fmt.Sprintf("d%d", s.made.Add(1)), Stale: time.Second}
	if err := etcd.Create(s.t.Context(), o); err != nil {
		s.t.Fatal(err)
	}
	return o
}

func openEtcd(t *testing.T, o etcd.Options) *etcd.Store {
	t.Helper()
	o.Logger = zaptest.NewLogger(t)
	s, err := etcd.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.FirstTry(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// must applies until it succeeds, for as long as servers may need to find each other.
func must(t *testing.T, s store.Store, ops ...store.Op) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := s.Apply(t.Context(), ops...)
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}
