package audit

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

// TestMain runs the writer of TestS27Killed in a process of its own.
func TestMain(m *testing.M) {
	if dir := os.Getenv("STEP_UP_AUDIT_WRITER"); dir != "" {
		l := New(Options{File: dir + "/audit.jsonl", Head: dir + "/head", Node: "gw1", Now: time.Now, Problem: func(err error) { fmt.Println("problem", err) }})
		for i := 0; ; i++ {
			at, ok := l.Write(entry(i))
			if !ok {
				fmt.Println("lost")
			}
			fmt.Println(at.Seq)
		}
	}
	os.Exit(m.Run())
}

// S27: a process is killed while it writes, again and again. Every line that it said
// was written is there, and the chain goes on.
func TestS27Killed(t *testing.T) {
	dir := t.TempDir()
	var last uint64
	for round := range 20 {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), "STEP_UP_AUDIT_WRITER="+dir)
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; n < 20+37*round && lines.Scan(); n++ {
			seq, err := strconv.ParseUint(lines.Text(), 10, 64)
			if err != nil {
				t.Fatal(lines.Text())
			}
			if seq <= last {
				t.Fatalf("line %d after line %d", seq, last)
			}
			last = seq
		}
		c.Process.Kill()
		for lines.Scan() {
			if seq, err := strconv.ParseUint(lines.Text(), 10, 64); err == nil {
				last = max(last, seq)
			}
		}
		c.Wait() // it was killed
		log, err := os.ReadFile(dir + "/audit.jsonl")
		if err != nil {
			t.Fatal(err)
		}
		if r := verify(t, log); r.Fault != nil || r.Last.Seq < last || r.First.Seq != 1 {
			t.Fatalf("round %d: line %d was acknowledged: %+v", round, last, r)
		}
	}
}
