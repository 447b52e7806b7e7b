//go:build components

package components

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// TestReloadsUnderLoad swaps the configuration two hundred times with fifty
// requests in flight at each swap. None may fail, none may pass that must not.
func TestReloadsUnderLoad(t *testing.T) {
	const reloads, workers = 200, 50
	up := newCounter(t)
	g := gateway.Start(t, bank(""), gateway.Options{Upstream: up.addr})
	p := g.NewPerson("alice")
	p.Enrol(t, "")
	p.StepUp(t, "VIEW")
	cookie := cookieHeader(g, p)
	var (
		stop     = make(chan struct{})
		done     sync.WaitGroup
		requests atomic.Int64
	)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: workers}, Timeout: time.Minute}
	for w := range workers {
		done.Add(1)
		go func() {
			defer done.Done()
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				// Alternately with the live grant, without any, and for what
				// only every other configuration protects.
				path, sent, want := "/view/x", cookie, []int{200}
				switch (n + w) % 3 {
				case 1:
					sent, want = "", []int{401}
				case 2:
					path, sent, want = "/toggle/x", "", []int{200, 401}
				}
				req, _ := http.NewRequest("GET", g.URL+path, nil)
				req.Header.Set(gateway.Header, p.Name)
				req.Header.Set("Cookie", sent)
				resp, err := client.Do(req)
				if err != nil {
					t.Errorf("GET %s: %v", path, err)
					return
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				requests.Add(1)
				ok := false
				for _, s := range want {
					ok = ok || s == resp.StatusCode
				}
				if !ok {
					t.Errorf("GET %s with cookie %v: %s", path, sent != "", resp.Status)
					return
				}
			}
		}()
	}
	for n := range reloads {
		extra := ""
		if n%2 == 0 {
			extra = "protect TOGGLE /toggle/* {\n grant time_based 1m\n }"
		}
		if err := g.Load(bank(extra)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	close(stop)
	done.Wait()
	t.Logf("%d requests over %d reloads", requests.Load(), reloads)
	if requests.Load() < reloads*workers {
		t.Errorf("%d requests: too few for %d in flight at each of %d reloads", requests.Load(), workers, reloads)
	}
}

// TestRevocationReachesTheOtherGeneration begins a request before a reload and
// ends it after one; meanwhile the operator revokes the grant through the new
// configuration. The old one must see that.
func TestRevocationReachesTheOtherGeneration(t *testing.T) {
	up := newCounter(t)
	g := gateway.Start(t, bank(""), gateway.Options{Upstream: up.addr})
	p := g.NewPerson("alice")
	p.Enrol(t, "")
	p.StepUp(t, "VIEW")
	cookie := cookieHeader(g, p)
	ask := func(meanwhile func()) string {
		conn, err := net.Dial("tcp", g.Host)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		// A first request makes this a connection in use, which a reload waits for.
		fmt.Fprintf(conn, "GET /view/1 HTTP/1.1\r\nHost: %s\r\n%s: alice\r\nCookie: %s\r\n\r\n", g.Host, gateway.Header, cookie)
		r := bufio.NewReader(conn)
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%v %v", resp, err)
		}
		io.Copy(io.Discard, resp.Body)
		fmt.Fprintf(conn, "GET /view/2 HTTP/1.1\r\nHost: %s\r\n", g.Host)
		time.Sleep(200 * time.Millisecond)
		meanwhile()
		fmt.Fprintf(conn, "Accept: application/json\r\n%s: alice\r\nCookie: %s\r\n\r\n", gateway.Header, cookie)
		resp, err = http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.Status
	}
	if status := ask(func() {
		if err := g.Load(bank("protect OTHER /other/* {\n grant time_based 1m\n }")); err != nil {
			t.Fatal(err)
		}
	}); status != "200 OK" {
		t.Errorf("the old generation refuses a live grant: %s", status)
	}
	if status := ask(func() {
		if err := g.Load(bank("")); err != nil {
			t.Fatal(err)
		}
		if out, err := g.StepUp("revoke", "alice", "--tenant", "t"); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}); status != "401 Unauthorized" {
		t.Errorf("the old generation passes a revoked grant: %s", status)
	}
}

// TestRejectedReloadChangesNothing loads configurations that are refused, some
// only when they are provisioned.
func TestRejectedReloadChangesNothing(t *testing.T) {
	up := newCounter(t)
	g := gateway.Start(t, bank(""), gateway.Options{Upstream: up.addr})
	p := g.NewPerson("alice")
	p.Enrol(t, "")
	p.StepUp(t, "VIEW")
	for _, bad := range []string{
		bank("protect VIEW /again/* {\n grant time_based 9m\n }"),
		bank("protect BROKEN /broken/* {\n grant time_based 48h\n }"),
		strings.Replace(bank(""), "UPSTREAM", "UPSTREAM\n tls /nowhere/cert.pem /nowhere/key.pem", 1),
		strings.Replace(bank(""), "key_file DIR/key", "key_file DIR/otherkey", 1),
		strings.Replace(bank(""), "reverse_proxy UPSTREAM", "reverse_proxy UPSTREAM {\n transport http {\n tls_trust_pool file /nowhere.pem\n }\n }", 1),
	} {
		if err := g.Load(bad); err == nil {
			t.Errorf("a bad configuration was loaded:\n%s", bad)
		}
		if status, body := get(t, p, "/view/still"); status != http.StatusOK {
			t.Fatalf("after a rejected reload the live grant gets %d %s", status, body)
		}
	}
	if status, _ := get(t, g.NewPerson("bob"), "/view/still"); status != http.StatusUnauthorized {
		t.Errorf("after the rejected reloads a stranger gets %d", status)
	}
}

// TestValidateAndSecondProcess: "caddy validate" works beside the running
// server; a second process on the same directory is told what to do.
func TestValidateAndSecondProcess(t *testing.T) {
	up := newCounter(t)
	g := gateway.Start(t, bank(""), gateway.Options{Upstream: up.addr})
	if out, err := g.Command("validate", "--config", g.Write(bank(""))).CombinedOutput(); err != nil {
		t.Errorf("validate beside the running server: %v\n%s", err, out)
	}
	other := gateway.New(t, gateway.Options{Upstream: up.addr})
	err := other.TryRun(strings.ReplaceAll(bank(""), "DIR/", g.Dir+"/"))
	if err == nil {
		t.Fatal("a second process runs on the same directory")
	}
	for _, word := range []string{g.Dir + "/data", "another process"} {
		if !strings.Contains(other.Log(), word) {
			t.Errorf("the second process does not say %q:\n%s", word, other.Log())
		}
	}
	p := g.NewPerson("alice")
	p.Enrol(t, "")
}

// TestStoreAndKeyNeedEachOther: data without its key, and a key without its
// data, refuse to start and say what to do.
func TestStoreAndKeyNeedEachOther(t *testing.T) {
	up := newCounter(t)
	g := gateway.Start(t, bank(""), gateway.Options{Upstream: up.addr})
	g.NewPerson("alice").Enrol(t, "")
	g.Stop()
	refused := func(what string, words ...string) {
		t.Helper()
		if err := g.TryRun(bank("")); err == nil {
			t.Fatalf("%s: the gateway runs", what)
		}
		for _, word := range words {
			if !strings.Contains(g.Log(), word) {
				t.Errorf("%s: does not say %q:\n%s", what, word, g.Log())
			}
		}
	}
	move := func(from, to string) {
		t.Helper()
		if err := os.Rename(g.Dir+from, g.Dir+to); err != nil {
			t.Fatal(err)
		}
	}
	move("/key", "/key.away")
	refused("data without its key", g.Dir+"/key")
	move("/key.away", "/key")
	move("/data", "/data.away")
	refused("a key without its data", "step-up init")
	if err := os.RemoveAll(g.Dir + "/data"); err != nil {
		t.Fatal(err)
	}
	move("/data.away", "/data")
	g.Run(bank(""))
	var me struct{ Enrolled bool }
	if _, err := g.NewPerson("alice").API("GET", "/me", nil, &me); err != nil || !me.Enrolled {
		t.Errorf("with both together again: enrolled %v, %v", me.Enrolled, err)
	}
}

// TestRefusalsAreNotForwardedByHandleErrors has an error handler that would
// proxy whatever fails.
func TestRefusalsAreNotForwardedByHandleErrors(t *testing.T) {
	up := newCounter(t)
	site := strings.Replace(bank(""), "reverse_proxy UPSTREAM\n", "reverse_proxy UPSTREAM\n\thandle_errors {\n\t\treverse_proxy UPSTREAM\n\t}\n", 1)
	g := gateway.Start(t, site, gateway.Options{Upstream: up.addr})
	p := g.NewPerson("alice")
	for path, want := range map[string]int{"/view/x": 401, "/wire/x": 401, "/wire/%2e%2e/view/y": 400, "/.step-up/nothing": 404} {
		status, body := get(t, p, path)
		if status != want || strings.Contains(body, "application") {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	nobody := g.NewPerson("")
	if status, body := get(t, nobody, "/view/x"); status != 401 || strings.Contains(body, "application") {
		t.Errorf("nobody: %d %s", status, body)
	}
	up.mu.Lock()
	defer up.mu.Unlock()
	if len(up.seen) != 0 {
		t.Errorf("the application saw %v", up.seen)
	}
}

// TestUpstreamDown: a one-time grant is given back where no connection was ever
// obtained, and stays spent where the application took the request and failed.
func TestUpstreamDown(t *testing.T) {
	addr := "127.0.0.1:" + gateway.FreePort(t)
	g := gateway.Start(t, bank(""), gateway.Options{Upstream: addr})
	p := g.NewPerson("alice")
	p.Enrol(t, "")
	p.StepUp(t, "WIRE")
	if status, body := get(t, p, "/wire/1"); status != http.StatusBadGateway {
		t.Fatalf("with the upstream down: %d %s", status, body)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var took atomic.Int64
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			// The application takes the request, and dies.
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				took.Add(1)
			}
			conn.Close()
		}
	}()
	if status, body := get(t, p, "/wire/2"); status != http.StatusBadGateway || took.Load() != 1 {
		t.Fatalf("the grant was not given back: %d %s, the application took %d", status, body, took.Load())
	}
	if status, body := get(t, p, "/wire/3"); status != http.StatusUnauthorized || took.Load() != 1 {
		t.Fatalf("a grant whose request was taken is good again: %d %s, the application took %d", status, body, took.Load())
	}
}
