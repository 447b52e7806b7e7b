package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// dir is a new directory, which the corpus names as /srv/NAME.
func (a *app) dir() string {
	dir := a.TempDir()
	a.names[dir] = "/srv/" + a.name
	return dir
}

// write writes a file with its directories.
func (a *app) write(path, text string) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		a.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		a.Fatal(err)
	}
}

// serve runs a server in a directory until the end, and waits until it listens on the port.
func (a *app) serve(dir, port string, env []string, command ...string) string {
	log := &bytes.Buffer{}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, append(os.Environ(), env...), log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		a.Fatal(err)
	}
	gone := make(chan error, 1)
	go func() { gone <- cmd.Wait() }()
	a.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		select {
		case <-gone:
		case <-time.After(5 * time.Second):
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
	})
	addr := "127.0.0.1:" + port
	for deadline := time.Now().Add(90 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return addr
		}
		select {
		case err := <-gone:
			a.Fatalf("%s ended: %v\n%s", command[0], err, tail(log.String()))
		default:
		}
	}
	a.Fatalf("%s does not listen on %s:\n%s", command[0], addr, tail(log.String()))
	return ""
}

func tail(s string) string {
	if len(s) > 3000 {
		s = s[len(s)-3000:]
	}
	return s
}

// run runs a client to its end. One that fails is told and not fatal: what it sent
// was sent all the same.
func (a *app) run(dir string, env []string, command ...string) string {
	out, err := a.try(dir, env, "", command...)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %.200s: %v: %s\n", a.name, strings.Join(command, " "), err, tail(out))
	}
	return out
}

// must is run for what the rest needs.
func (a *app) must(dir string, env []string, command ...string) string {
	out, err := a.try(dir, env, "", command...)
	if err != nil {
		a.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, tail(out))
	}
	return out
}

// input is run with something to read.
func (a *app) input(dir, in string, command ...string) string {
	out, err := a.try(dir, nil, in, command...)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %s: %v: %s\n", a.name, command[0], err, tail(out))
	}
	return out
}

func (a *app) try(dir string, env []string, in string, command ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdin = dir, append(os.Environ(), env...), strings.NewReader(in)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (a *app) port() string { return gateway.FreePort(a) }

// here is a file of this directory, as an absolute path.
func (a *app) here(name string) string {
	path, err := filepath.Abs("tests/honest/" + name)
	if err != nil {
		a.Fatal(err)
	}
	return path
}
