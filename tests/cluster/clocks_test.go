//go:build components

package cluster

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// TestWrongClock: a gateway whose clock is not the database's refuses what is
// protected, says so, and goes on once the clock is right.
func TestWrongClock(t *testing.T) {
	c := newNodes(t, newServer(t).database(), 1)
	offset := filepath.Join(t.TempDir(), "offset")
	set := func(d time.Duration) {
		if err := os.WriteFile(offset, []byte(d.String()+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set(0)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "served") }))
	t.Cleanup(upstream.Close)
	g := gateway.New(t, gateway.Options{
		Upstream: strings.TrimPrefix(upstream.URL, "http://"),
		Binary:   gateway.Binary(t, "-tags", "clockfault"), Env: []string{"STEP_UP_CLOCK_OFFSET_FILE=" + offset},
	})
	g.Run(c.file)
	alice := c.enroll("alice")
	alice.StepUp(t, "VIEW_REPORTS")
	alice.Before = nil
	other := alice.Copy(g)
	for _, step := range []struct {
		offset time.Duration
		works  bool
	}{{time.Second, true}, {6 * time.Second, false}, {-time.Second, true}, {-6 * time.Second, false}, {0, true}} {
		set(step.offset)
		if step.works {
			c.eventually(other, "GET", "/reports/1", 200)
			time.Sleep(2 * time.Second) // it goes on
			if got := c.status(other, "GET", "/reports/1"); got != 200 {
				t.Errorf("with an offset of %v: %d", step.offset, got)
			}
			continue
		}
		changed := time.Now()
		c.eventually(other, "GET", "/reports/1", 503)
		if took := time.Since(changed); took > 3*time.Second {
			t.Errorf("with an offset of %v it was refused after %v", step.offset, took)
		}
		if got := c.status(alice.At(c.all[0]), "GET", "/reports/1"); got != 200 {
			t.Errorf("the gateway with the right clock: %d", got)
		}
		for end := time.Now().Add(10 * time.Second); !strings.Contains(healthOf(t, g), "this machine's clock is "+step.offset.Abs().String()); time.Sleep(100 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("health says nothing of an offset of %v: %s", step.offset, healthOf(t, g))
			}
		}
	}
	if n := strings.Count(g.Log(), "the clock is wrong; what is protected is refused"); n != 2 {
		t.Errorf("it was logged %d times, want 2", n)
	}
}
