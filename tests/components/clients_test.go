//go:build components

package components

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// clients is the directory of the programs for Node.js.
func clients(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../clients")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", ".installed")); err != nil {
		t.Fatalf("the packages of tests/clients are missing: run .ci/components (%v)", err)
	}
	return dir
}

// client runs a program of tests/clients to its end: in is its standard input
// as JSON, and what it prints is decoded into out.
func client(t *testing.T, name string, in, out any) {
	t.Helper()
	dir := clients(t)
	input, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program(t, "node"), filepath.Join(dir, name))
	var complaints bytes.Buffer
	cmd.Dir, cmd.Stdin, cmd.Stderr = dir, bytes.NewReader(input), &complaints
	printed, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, complaints.String())
	}
	if err := json.Unmarshal(printed, out); err != nil {
		t.Fatalf("%s: %v in %q", name, err, printed)
	}
}
