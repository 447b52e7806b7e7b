// Command bench measures the gateway as a whole, against plain reverse_proxy on
// the same machine in the same run, and prints medians and ratios:
//
//	go run ./bench
//
// It builds both binaries, starts them on free ports of 127.0.0.1, and ends them.
// What the handler costs by itself is in the Go benchmarks:
//
//	go test -run '^$' -bench . -benchmem ./internal/gate ./internal/ceremony ./internal/store/badgerstore
package main

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/freeport"
)

var (
	connections = flag.Int("connections", 16, "keep-alive connections")
	rounds      = flag.Int("rounds", 11, "interleaved rounds of each")
	pairs       = flag.Int("pairs", 31, "interleaved rounds of a route and a plain one of the same process")
	seconds     = flag.Duration("time", 2*time.Second, "length of a round")
	users       = flag.Int("users", 1000, "users enrolled for the memory figure")
	redeems     = flag.Bool("redeem", false, "instead of all that, measure requests that each redeem a one-time grant")
	starting    = flag.Int("start", 0, "instead of all that, measure a start with so many accounts and grants")
)

func main() {
	flag.Parse()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	dir, err := os.MkdirTemp("", "step-up-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{dir: dir}
	defer b.stop()
	return b.all()
}

type bench struct {
	dir     string
	running []*exec.Cmd
}

func (b *bench) stop() {
	for _, cmd := range b.running {
		cmd.Process.Kill()
		cmd.Wait()
	}
}

func (b *bench) all() error {
	sizes := make(map[string]int64)
	for name, pkg := range map[string]string{"plain": "./bench/plain", "gateway": "./cmd/caddy"} {
		cmd := exec.Command("go", "build", "-trimpath", "-tags", "nobadger,nomysql,nopgx", "-o", filepath.Join(b.dir, name), pkg)
		cmd.Env, cmd.Stderr = append(os.Environ(), "CGO_ENABLED=0"), os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("building %s: %w", pkg, err)
		}
		info, err := os.Stat(filepath.Join(b.dir, name))
		if err != nil {
			return err
		}
		sizes[name] = info.Size()
	}
	fmt.Printf("binary            %.1f MB, plain Caddy %.1f MB, difference %.1f MB\n", mb(sizes["gateway"]), mb(sizes["plain"]), mb(sizes["gateway"]-sizes["plain"]))

	up, err := upstream()
	if err != nil {
		return err
	}
	if *starting > 0 {
		return b.started(up, *starting)
	}
	if *redeems {
		return b.redeeming(up)
	}
	gate, plain, beside := freePort(), freePort(), freePort()
	g, err := b.start("gateway", gateFile+strings.ReplaceAll(plainSite, "PORT", beside), gate, up)
	if err != nil {
		return err
	}
	p, err := b.start("plain", plainOptions+plainSite, plain, up)
	if err != nil {
		return err
	}
	cookie, err := stepUp(gate, "bench", "VIEW")
	if err != nil {
		return err
	}
	through := target{gate, g.Process.Pid}
	if err := throughput(through, target{plain, p.Process.Pid}, cookie); err != nil {
		return err
	}
	unpin := pin(g.Process.Pid)
	if err := besidePlain(through, target{beside, g.Process.Pid}, cookie); err != nil {
		return err
	}
	unpin()
	if err := redemption(gate); err != nil {
		return err
	}
	if err := b.redeeming(up); err != nil {
		return err
	}
	return b.memory(up)
}

func mb(n int64) float64 { return float64(n) / 1e6 }

const gateFile = `{
	admin off
	persist_config off
	auto_https off
	log {
		level ERROR
	}
	step_up {
		store badger {
			dir DIR/data
		}
		key_file DIR/key
		enrollment first_use
		totp {
			skew 2
		}
		allow_plain_http
	}
}
http://:PORT {
	bind 127.0.0.1
	vars user {http.request.header.X-Bench-User}
	step_up {
		tenant t
		identity placeholder {http.vars.user}
		protect WIRE /wire/* {
			grant one_time 10m
		}
		protect ADMIN /admin/* {
			match {
				method POST PUT
			}
			grant time_based 10m
		}
		protect VIEW /view/* {
			grant time_based 1h
		}
	}
	reverse_proxy UPSTREAM
}
`

const plainOptions = `{
	admin off
	persist_config off
	auto_https off
	log {
		level ERROR
	}
}
`

const plainSite = `http://:PORT {
	bind 127.0.0.1
	vars user {http.request.header.X-Bench-User}
	reverse_proxy UPSTREAM
}
`

// start runs one of the binaries in a new directory and waits for its port.
func (b *bench) start(name, file, port, up string) (*exec.Cmd, error) {
	dir, err := os.MkdirTemp(b.dir, name+"-")
	if err != nil {
		return nil, err
	}
	return b.run(name, file, dir, port, up)
}

func (b *bench) run(name, file, dir, port, up string) (*exec.Cmd, error) {
	text := strings.NewReplacer("DIR", dir, "PORT", port, "UPSTREAM", up).Replace(file)
	config := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(filepath.Join(b.dir, name), "run", "--config", config)
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	b.running = append(b.running, cmd)
	for range 12000 {
		if conn, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			conn.Close()
			return cmd, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil, fmt.Errorf("%s does not listen", name)
}

func freePort() string {
	port, err := freeport.Pick()
	if err != nil {
		panic(err)
	}
	return port
}

func upstream() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	body := []byte(strings.Repeat("x", 1024))
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(body) }))
	return l.Addr().String(), nil
}

// memory compares what both hold when idle, the gateway with its users.
func (b *bench) memory(up string) error {
	gate, plain := freePort(), freePort()
	g, err := b.start("gateway", gateFile, gate, up)
	if err != nil {
		return err
	}
	p, err := b.start("plain", plainOptions+plainSite, plain, up)
	if err != nil {
		return err
	}
	for i := range *users {
		if _, err := stepUp(gate, fmt.Sprintf("user-%d", i), "VIEW"); err != nil {
			return err
		}
	}
	time.Sleep(3 * time.Second)
	gm, err := resident(g.Process.Pid)
	if err != nil {
		return err
	}
	pm, err := resident(p.Process.Pid)
	if err != nil {
		return err
	}
	fmt.Printf("resident memory   %.1f MB just after %d users enrolled and won a grant, idle plain Caddy %.1f MB, difference %.1f MB\n", mb(gm), *users, mb(pm), mb(gm-pm))
	return nil
}

// resident reads what a process and its children hold of memory, on Linux. What
// several processes share, as a gateway and its database share the program, is
// divided among them.
func resident(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	var held int64
	for line := range strings.Lines(string(text)) {
		var kb int64
		if n, _ := fmt.Sscanf(line, "Pss: %d kB", &kb); n == 1 {
			held = kb << 10
		}
	}
	if held == 0 {
		return 0, fmt.Errorf("no resident memory in /proc/%d/smaps_rollup", pid)
	}
	for _, child := range childrenOf(pid) {
		more, err := resident(child)
		if err != nil {
			return 0, err
		}
		held += more
	}
	return held, nil
}
