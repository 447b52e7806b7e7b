//go:build components

package cluster

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/freeport"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// TestExample walks through examples/cluster.
func TestExample(t *testing.T) {
	dir, err := os.MkdirTemp("", "cluster")
	if err != nil {
		t.Fatal(err)
	}
	os.Chmod(dir, 0o755) // PostgreSQL runs as somebody else
	t.Cleanup(func() { os.RemoveAll(dir) })
	ports := map[string]string{}
	env := append(os.Environ(), "CADDY="+gateway.Binary(t), "CLUSTER_DIR="+filepath.Join(dir, "files"))
	for _, name := range []string{"FRONT", "GATEWAY1", "GATEWAY2", "ADMIN1", "ADMIN2", "PRIMARY", "STANDBY"} {
		ports[name] = freeport.Find(t)
		env = append(env, name+"="+ports[name])
	}
	script := func(args ...string) string {
		t.Helper()
		log, err := os.CreateTemp(dir, "log") // what it starts would keep a pipe open
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		cmd := exec.Command("../../examples/cluster/cluster.sh", args...)
		cmd.Env, cmd.Stdout, cmd.Stderr = env, log, log
		err = cmd.Run()
		said, _ := os.ReadFile(log.Name())
		if err != nil {
			t.Fatalf("cluster.sh %v: %v\n%s", args, err, said)
		}
		return string(said)
	}
	t.Cleanup(func() {
		cmd := exec.Command("../../examples/cluster/cluster.sh", "down")
		cmd.Env = env
		cmd.Run()
	})
	script("up")

	get := func(path string) (int, string) {
		t.Helper()
		r, err := http.NewRequest("GET", "http://localhost:"+ports["FRONT"]+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth("alice", "wonderland")
		r.Header.Set("Accept", "application/json")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(text)
	}
	served := func() (by string) {
		for range 4 {
			status, text := get("/")
			if status != 200 {
				t.Errorf("/: %d %s", status, text)
			}
			by += text
		}
		return by
	}
	eventually := func(path string, want int) {
		t.Helper()
		got, text := 0, ""
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			if got, text = get(path); got == want {
				return
			}
		}
		t.Fatalf("%s: %d %s, want %d", path, got, text, want)
	}
	if by := served(); !strings.Contains(by, "gateway 1") || !strings.Contains(by, "gateway 2") {
		t.Errorf("served by %q", by)
	}
	eventually("/reports/", 401)
	script("kill", "gateway1")
	if by := served(); strings.Contains(by, "gateway 1") {
		t.Errorf("served by %q", by)
	}
	eventually("/reports/", 401)
	if said := script("status"); !strings.Contains(said, "gateway1: does not answer") || !strings.Contains(said, `gateway2: {"status":"ok"`) {
		t.Errorf("status says %s", said)
	}
	script("kill", "primary")
	eventually("/reports/", 503)
	served()
	script("promote")
	eventually("/reports/", 401)
	if said := script("status"); !strings.Contains(said, `"generation":1`) {
		t.Errorf("status says %s", said)
	}
	script("down")
}
