// Package apps starts real applications, each on an address and with data of its
// own, for tests and for the program that records their clients. ".ci/components"
// and tests/honest/record/install install them; a missing one is fatal.
package apps

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// Serve runs a server in a directory until t ends, and returns its address as soon
// as it listens on the port.
func Serve(t gateway.T, dir, port string, env []string, command ...string) string {
	t.Helper()
	path, err := exec.LookPath(command[0])
	if err != nil {
		t.Fatalf("%s is missing: run .ci/components", command[0])
	}
	log, err := os.CreateTemp(t.TempDir(), "log")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(path, command[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, append(os.Environ(), env...), log, log
	// Its own workers end with it, and it ends with this process.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan error, 1)
	go func() { gone <- cmd.Wait() }()
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		select {
		case <-gone:
		case <-time.After(5 * time.Second):
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
	})
	logged := func() []byte {
		b, err := os.ReadFile(log.Name())
		if err != nil {
			return []byte(err.Error())
		}
		return b[max(0, len(b)-3000):]
	}
	addr := "127.0.0.1:" + port
	for deadline := time.Now().Add(90 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return addr
		}
		select {
		case err := <-gone:
			gone <- err
			t.Fatalf("%s ended: %v\n%s", command[0], err, logged())
		default:
		}
	}
	t.Fatalf("%s does not listen on %s:\n%s", command[0], addr, logged())
	return ""
}

// Run runs a program to its end in a directory, with a text to read, and returns
// what it wrote. One that fails is fatal.
func Run(t gateway.T, dir string, env []string, in string, command ...string) string {
	t.Helper()
	out, err := Try(dir, env, in, command...)
	if err != nil {
		if len(out) > 4000 { // the cause is at one of the ends
			out = out[:2000] + "\n…\n" + out[len(out)-2000:]
		}
		t.Fatalf("%q: %v\n%s", command, err, out)
	}
	return out
}

// Try is Run for a program that may fail.
func Try(dir string, env []string, in string, command ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdin = dir, append(os.Environ(), env...), bytes.NewBufferString(in)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Write writes a file and the directories that it needs.
func Write(t gateway.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// copied copies a package's program to dir, so that its configuration can be the
// test's own.
func copied(t gateway.T, from, dir string, more ...string) {
	t.Helper()
	if _, err := os.Stat(from); err != nil {
		t.Fatalf("%s is missing: run .ci/components: %v", from, err)
	}
	Run(t, "/", nil, "", append(append([]string{"cp", "-r"}, more...), from, dir)...)
}
