// Package gateway runs the real binary as a process of its own, for tests that
// treat it as its users do: by its Caddyfile, its listeners, its signals and its
// commands.
//
// The binary is built once per test process. In a Caddyfile the words GW_PORT,
// GW_ADMIN, GW_DIR and GW_UPSTREAM stand for the gateway's port, its admin address, a
// directory of its own and the upstream's address.
package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/freeport"
)

// builds are those of this process, by their flags.
var builds struct {
	sync.Mutex
	paths map[string]string
}

// T is what is used of a test. Programs that are no tests have one of their own.
type T interface {
	Helper()
	Fatal(...any)
	Fatalf(format string, args ...any)
	TempDir() string
	Cleanup(func())
}

// Binary builds cmd/caddy with flags of go build, once for the same ones, and gives
// its path.
func Binary(t T, flags ...string) string {
	t.Helper()
	builds.Lock()
	defer builds.Unlock()
	name := strings.Join(flags, " ")
	if path := builds.paths[name]; path != "" {
		return path
	}
	dir, err := os.MkdirTemp("", "step-up-binary-")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "caddy")
	cmd := exec.Command("go", append(append([]string{"build", "-o", path}, flags...), "github.com/stepup-gateway/caddy-stepup/cmd/caddy")...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		os.RemoveAll(dir)
		t.Fatalf("building the gateway: %v\n%s", err, out)
	}
	if builds.paths == nil {
		builds.paths = map[string]string{}
	}
	builds.paths[name] = path
	return path
}

// Cleanup removes what was built; call it at the end of TestMain.
func Cleanup() {
	for _, path := range builds.paths {
		os.RemoveAll(filepath.Dir(path))
	}
}

// Gateway is one running gateway.
type Gateway struct {
	URL   string // http://127.0.0.1:port
	Host  string // 127.0.0.1:port
	Admin string // address of the admin endpoint
	Dir   string // removed at the end

	t       T
	port    string
	cmd     *exec.Cmd
	exited  chan error
	log     logBuffer
	logged  int // what was logged before the process began
	options Options
}

// logBuffer collects what the process writes.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// Options change how a gateway is started.
type Options struct {
	// Upstream is the upstream's address, host:port.
	Upstream string
	// Wrap is put before the binary's command line: a tracer, for instance.
	Wrap []string
	// Binary is the path of another build than that of [Binary] without flags.
	Binary string
	// Env is added to the environment, as NAME=value.
	Env []string
}

// New prepares a gateway without starting it.
func New(t T, o Options) *Gateway {
	t.Helper()
	g := &Gateway{t: t, Dir: t.TempDir(), options: o}
	g.port = freeport.Find(t)
	g.Host = "127.0.0.1:" + g.port
	g.URL = "http://" + g.Host
	g.Admin = "127.0.0.1:" + freeport.Find(t)
	return g
}

// Start starts a gateway and waits until it answers.
func Start(t T, caddyfile string, o Options) *Gateway {
	t.Helper()
	g := New(t, o)
	g.Run(caddyfile)
	return g
}

// Fill replaces the words that stand for this gateway's addresses.
func (g *Gateway) Fill(caddyfile string) string {
	return strings.NewReplacer("GW_PORT", g.port, "GW_ADMIN", g.Admin, "GW_DIR", g.Dir, "GW_UPSTREAM", g.options.Upstream).Replace(caddyfile)
}

// Write writes the Caddyfile and gives its path.
func (g *Gateway) Write(caddyfile string) string {
	g.t.Helper()
	path := filepath.Join(g.Dir, "Caddyfile")
	if err := os.WriteFile(path, []byte(g.Fill(caddyfile)), 0o600); err != nil {
		g.t.Fatal(err)
	}
	return path
}

func (g *Gateway) env() []string {
	own := append(os.Environ(), "XDG_DATA_HOME="+filepath.Join(g.Dir, "xdg-data"), "XDG_CONFIG_HOME="+filepath.Join(g.Dir, "xdg-config"))
	return append(own, g.options.Env...)
}

func (g *Gateway) binary() string {
	if g.options.Binary != "" {
		return g.options.Binary
	}
	return Binary(g.t)
}

// Command is the binary with arguments, in the gateway's own surroundings.
func (g *Gateway) Command(args ...string) *exec.Cmd {
	cmd := exec.Command(g.binary(), args...)
	cmd.Env = g.env()
	cmd.Dir = g.Dir
	return cmd
}

// Run starts the process and waits until the admin endpoint and the site
// answer.
func (g *Gateway) Run(caddyfile string) {
	g.t.Helper()
	if err := g.TryRun(caddyfile); err != nil {
		g.t.Fatalf("%v\n%s", err, g.Log())
	}
}

// TryRun is Run for a gateway that may refuse to start.
func (g *Gateway) TryRun(caddyfile string) error {
	path := g.Write(caddyfile)
	args := append(append([]string(nil), g.options.Wrap...), g.binary(), "run", "--config", path)
	g.cmd = exec.Command(args[0], args[1:]...)
	g.cmd.Env, g.cmd.Dir = g.env(), g.Dir
	g.cmd.Stdout, g.cmd.Stderr = &g.log, &g.log
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	g.logged = len(g.Log())
	if err := g.cmd.Start(); err != nil {
		return err
	}
	g.exited = make(chan error, 1)
	go func(cmd *exec.Cmd, exited chan<- error) {
		err := cmd.Wait()
		if strings.Contains(g.Log()[g.logged:], "\ngoroutine ") {
			fmt.Fprintf(os.Stderr, "the gateway crashed: %v\n%s", err, g.Log()[g.logged:])
		}
		exited <- err
		close(exited)
	}(g.cmd, g.exited)
	g.t.Cleanup(g.Kill)
	return g.ready()
}

func (g *Gateway) ready() error {
	deadline, logged := time.Now().Add(60*time.Second), g.logged
	for time.Now().Before(deadline) {
		select {
		case err := <-g.exited:
			return fmt.Errorf("the gateway ended: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
		// A listener may be open before another part of the configuration
		// fails to start.
		if strings.Contains(g.Log()[logged:], "serving initial configuration") {
			return nil
		}
	}
	return errors.New("the gateway did not start in 60 s")
}

// Use makes the next start that of another build, with these variables added to its
// environment.
func (g *Gateway) Use(binary string, env ...string) {
	g.options.Binary, g.options.Env = binary, env
}

// Kill ends the process at once, as kill -9 does, and waits for its end.
func (g *Gateway) Kill() {
	if g.cmd == nil || g.cmd.Process == nil {
		return
	}
	syscall.Kill(-g.cmd.Process.Pid, syscall.SIGKILL)
	<-g.exited
}

// Stop asks the process to end and waits for it.
func (g *Gateway) Stop() {
	syscall.Kill(-g.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-g.exited:
	case <-time.After(20 * time.Second):
		g.Kill()
	}
}

// Reload gives the running process another Caddyfile.
func (g *Gateway) Reload(caddyfile string) error {
	out, err := g.Command("reload", "--config", g.Write(caddyfile), "--address", g.Admin, "--force").CombinedOutput()
	if err != nil {
		return fmt.Errorf("reloading: %w: %s", err, out)
	}
	return nil
}

// Load is Reload through the admin API, which takes milliseconds.
func (g *Gateway) Load(caddyfile string) error {
	req, err := http.NewRequest("POST", "http://"+g.Admin+"/load", strings.NewReader(g.Fill(caddyfile)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "text/caddyfile")
	req.Header.Set("Cache-Control", "must-revalidate")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("loading: %s: %s", resp.Status, body)
	}
	// The replaced server closes its listener a moment after that, and with it
	// connections that came to it and no handler saw.
	time.Sleep(100 * time.Millisecond)
	return nil
}

// StepUp runs a "caddy step-up" command against the gateway.
func (g *Gateway) StepUp(args ...string) (string, error) {
	out, err := g.Command(append(append([]string{"step-up"}, args...), "--address", g.Admin)...).CombinedOutput()
	return string(out), err
}

// Log is what the process wrote so far.
func (g *Gateway) Log() string { return g.log.String() }

// Pid is the process's id.
func (g *Gateway) Pid() int { return g.cmd.Process.Pid }
