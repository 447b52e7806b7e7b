package command

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// audited is a log that the gateway wrote: alice passed, bob was reset, alice passed.
const audited = "testdata/audit.jsonl"

func run(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	root := &cobra.Command{Use: "step-up", SilenceUsage: true, SilenceErrors: true}
	Add(root)
	var out bytes.Buffer
	root.SetArgs(args)
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(&out)
	err := root.Execute()
	return out.String(), err
}

func TestAuditVerify(t *testing.T) {
	log, err := os.ReadFile(audited)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(log, []byte("\n"))
	out, err := run(t, "", "audit", "verify", audited)
	if err != nil || !strings.Contains(out, "3 lines read; lines 1 to 3 of chain") {
		t.Fatal(out, err)
	}
	_, head, _ := strings.Cut(strings.TrimSpace(out), "The head is ")
	removed := string(lines[0]) + string(lines[2])
	for name, c := range map[string]struct {
		stdin, want string
		args        []string
	}{
		"standard input":  {string(log), "3 lines read", []string{"-"}},
		"its head":        {"", "3 lines read", []string{"--head", head, audited}},
		"removed":         {removed, "Fault, removed: -, line 2: lines 2 to 2 of the chain are missing.", []string{"-"}},
		"cut off":         {string(lines[0]), "Fault, truncated: line 3 of chain", []string{"--head", head, "-"}},
		"as JSON":         {removed, `"kind": "removed"`, []string{"--json", "-"}},
		"a head of yours": {"", "a head is CHAIN:NUMBER:HASH", []string{"--head", "1", audited}},
	} {
		out, err := run(t, c.stdin, append([]string{"audit", "verify"}, c.args...)...)
		if err != nil {
			out += err.Error()
		}
		if fault := strings.Contains(c.want, "ault") || strings.Contains(c.want, "kind") || strings.Contains(c.want, "HASH"); !strings.Contains(out, c.want) || fault != (err != nil) {
			t.Errorf("%s: %s (%v)", name, out, err)
		}
		if c.args[0] == "--json" && !json.Valid([]byte(out[:strings.LastIndexByte(out, '}')+1])) {
			t.Errorf("%s: %s", name, out)
		}
	}
}

func TestAuditErase(t *testing.T) {
	log, err := os.ReadFile(audited)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	if err := os.WriteFile(file, log, 0o640); err != nil {
		t.Fatal(err)
	}
	if out, err := run(t, "", "audit", "erase", "--user", "alice", file); err != nil || !strings.Contains(out, "2 lines were erased.") {
		t.Fatal(out, err)
	}
	if got, _ := os.ReadFile(file); bytes.Contains(got, []byte("alice")) || !bytes.Contains(got, []byte("bob")) {
		t.Errorf("%s", got)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o640 {
		t.Error(info.Mode(), err)
	}
	if out, err := run(t, "", "audit", "verify", file); err != nil || !strings.Contains(out, "2 lines were erased") {
		t.Error(out, err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(file)); len(entries) != 1 {
		t.Error("something was left beside:", entries)
	}
	for want, args := range map[string][]string{
		"say whose lines":    {file},
		"opening log":        {"--user", "alice", file + ".none"},
		"not a regular file": {"--user", "alice", os.DevNull},
		"accepts 1 arg(s)":   {"--user", "alice"},
	} {
		if out, err := run(t, "", append([]string{"audit", "erase"}, args...)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", args, err, want+out)
		}
	}
}

// The file of the gateway's own is read as well as Caddy's log.
func TestAuditLinesOfTheOwnFile(t *testing.T) {
	log, err := os.ReadFile(audited)
	if err != nil {
		t.Fatal(err)
	}
	var got auditLines
	damaged := strings.Replace(string(log), "bob", "eve", 1)
	if err := got.read(strings.NewReader(string(log) + damaged)); err != nil {
		t.Fatal(err)
	}
	if got.Lines != 6 || got.Unreadable != 1 || len(got.Events) != 1 || got.Events[0].User != "bob" || got.Events[0].Event != "reset" || got.Events[0].Time.IsZero() {
		t.Errorf("%+v", got)
	}
}
