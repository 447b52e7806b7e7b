package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/internal/freeport"
	"github.com/stepup-gateway/caddy-stepup/tests/apps"
)

// dir is a new directory, which the corpus names as /srv/NAME.
func (a *app) dir() string {
	dir := a.TempDir()
	a.names[dir] = "/srv/" + a.name
	return dir
}

// write writes a file with its directories.
func (a *app) write(path, text string) { apps.Write(a, path, text) }

// serve runs a server in a directory until the end, and waits until it listens on the port.
func (a *app) serve(dir, port string, env []string, command ...string) string {
	return apps.Serve(a, dir, port, env, command...)
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
	out, err := apps.Try(dir, env, "", command...)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %.200s: %v: %s\n", a.name, strings.Join(command, " "), err, tail(out))
	}
	return out
}

// must is run for what the rest needs.
func (a *app) must(dir string, env []string, command ...string) string {
	return apps.Run(a, dir, env, "", command...)
}

// input is run with something to read.
func (a *app) input(dir, in string, command ...string) string {
	out, err := apps.Try(dir, nil, in, command...)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %s: %v: %s\n", a.name, command[0], err, tail(out))
	}
	return out
}

func (a *app) port() string { return freeport.Find(a) }

// here is a file of this directory, as an absolute path.
func (a *app) here(name string) string {
	path, err := filepath.Abs("tests/honest/" + name)
	if err != nil {
		a.Fatal(err)
	}
	return path
}
