//go:build components

// Package judges sends random requests through the gateway to real servers that
// read paths and bodies in ways of their own. Each server reports which of its
// handlers ran, so that the server is the judge: no request without a grant
// may run a protected handler, and the grant of one rule must not run the
// handler of another (rules S06, S07 and S22 of docs/security.md).
//
// The same requests go straight to the server too. How many of them run a
// protected handler there shows that the search finds what it looks for.
//
// The short form is part of .ci/run. The long form:
//
//	JUDGES=20000 go test -tags components -timeout 3h -v ./tests/judges
//
// JUDGES is the number of targets, and of bodies, for each judge. JUDGES_SEED
// sets the seed of the generators ("random" draws one); every run prints it.
// JUDGES_ONLY is a regular expression of judges' names.
package judges

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// Number of requests of each kind for each judge, and the seed.
var (
	amount = 1000
	seed   = uint64(9)
	only   = regexp.MustCompile("")
)

func TestMain(m *testing.M) {
	if err := settings(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	code := m.Run()
	gateway.Cleanup()
	os.Exit(code)
}

func settings() (err error) {
	if s := os.Getenv("JUDGES"); s != "" {
		if amount, err = strconv.Atoi(s); err != nil || amount < 1 {
			return fmt.Errorf("JUDGES=%s is not a number of requests", s)
		}
	}
	switch s := os.Getenv("JUDGES_SEED"); s {
	case "":
	case "random":
		seed = rand.Uint64()
	default:
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			return fmt.Errorf("JUDGES_SEED=%s is not a seed", s)
		}
	}
	if only, err = regexp.Compile(os.Getenv("JUDGES_ONLY")); err != nil {
		return fmt.Errorf("JUDGES_ONLY: %w", err)
	}
	return nil
}

// program returns the path of a program, or fails.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is missing: run .ci/components", name)
	}
	return path
}
