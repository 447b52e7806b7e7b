package gateway

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// RootCA is the certificate of Caddy's internal CA. Caddy makes it when it first
// serves a site with "tls internal".
func (g *Gateway) RootCA() string {
	return filepath.Join(g.Dir, "xdg-data", "caddy", "pki", "authorities", "local", "root.crt")
}

// Sealed makes commands that believe the gateway to be another host. They run in
// mount and network namespaces of their own: there the name resolves to
// 127.0.0.1, no other address can be reached, and port 443 is free whatever this
// machine serves. Needs root.
type Sealed struct {
	Name string // the host's name, whose site the gateway serves with "tls internal"
	Port string // where the gateway serves it on 127.0.0.1
}

// Node is a Node.js program, with arguments, for which the gateway is s.Name. It
// trusts the gateway's internal CA beside those that Node.js trusts. The bridge,
// a module, takes the environment variable BRIDGE; see tests/clients/bridge.mjs.
// The command ends with ctx.
func (g *Gateway) Node(ctx context.Context, s Sealed, bridge, program string, args ...string) *exec.Cmd {
	g.t.Helper()
	for _, needed := range []string{"unshare", "mount", "ip", "node"} {
		if _, err := exec.LookPath(needed); err != nil {
			g.t.Fatalf("%s is missing: run .ci/components", needed)
		}
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(g.RootCA()); err == nil {
			break
		} else if time.Now().After(deadline) {
			g.t.Fatalf("the internal CA has no certificate: %v", err)
		}
	}
	hosts := filepath.Join(g.Dir, "hosts")
	if err := os.WriteFile(hosts, []byte("127.0.0.1 localhost "+s.Name+"\n"), 0o644); err != nil {
		g.t.Fatal(err)
	}
	// A socket in the file system is the same in every network namespace.
	const inside = `ip link set lo up && mount --bind "$0" /etc/hosts && exec node --import "$@"`
	cmd := exec.CommandContext(ctx, "unshare", append([]string{"--mount", "--net", "sh", "-c", inside, hosts, bridge, program}, args...)...)
	cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+g.RootCA(), "BRIDGE="+g.bridge(s.Port))
	cmd.Dir = filepath.Dir(program)
	return cmd
}

// bridge is a Unix socket whose connections are carried to a port of 127.0.0.1,
// until the test ends. Its path is short: sockets have at most 107 bytes
// (unix(7)).
func (g *Gateway) bridge(port string) string {
	g.t.Helper()
	dir, err := os.MkdirTemp("", "bridge-")
	if err != nil {
		g.t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() {
		l.Close()
		os.RemoveAll(dir)
	})
	go func() {
		for {
			inside, err := l.Accept()
			if err != nil {
				return
			}
			go carry(inside, port)
		}
	}()
	return path
}

// carry joins a connection with a new one to the port, and ends both when one
// side has ended.
func carry(inside net.Conn, port string) {
	defer inside.Close()
	outside, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		return
	}
	defer outside.Close()
	ended := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{inside, outside}, {outside, inside}} {
		go func() {
			io.Copy(way[0], way[1])
			ended <- struct{}{}
		}()
	}
	<-ended
}
