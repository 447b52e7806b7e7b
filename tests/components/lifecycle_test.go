//go:build components

package components

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/freeport"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// TestReloadsUnderLoad swaps the configuration two hundred times. At each swap
// fifty requests are in flight: forty in the application, let through by a live
// grant, and ten in the gateway's own API, waiting for their bodies. None of them
// may fail, and after each swap the new rules hold.
func TestReloadsUnderLoad(t *testing.T) {
	const reloads, inApplication, inGateway = 200, 40, 10
	var (
		arrived = make(chan struct{}, inApplication)
		release atomic.Pointer[chan struct{}]
	)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/view/held" {
			wait := *release.Load()
			arrived <- struct{}{}
			<-wait
		}
		io.WriteString(w, "application")
	}))
	defer up.Close()
	g := gateway.Start(t, bank(""), gateway.Options{Upstream: strings.TrimPrefix(up.URL, "http://")})
	p := g.NewPerson("alice")
	p.Enroll(t, "")
	p.StepUp(t, "VIEW")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	ask := func(path, cookie string) (int, error) {
		req, _ := http.NewRequest("GET", g.URL+path, nil)
		req.Header.Set(gateway.Header, p.Name)
		req.Header.Set("Cookie", cookie)
		resp, err := patient(client, req)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode, err
	}
	cookie := cookieHeader(g, p)
	for n := range reloads {
		wait := make(chan struct{})
		release.Store(&wait)
		answers := make(chan error, inApplication)
		for range inApplication {
			go func() {
				status, err := ask("/view/held", cookie)
				if err == nil && status != http.StatusOK {
					err = fmt.Errorf("status %d", status)
				}
				answers <- err
			}()
		}
		for range inApplication {
			<-arrived
		}
		var waiting []*begun
		for range inGateway {
			waiting = append(waiting, begin(t, g, p, "/.step-up/api/challenges", `{"action_type":"WIRE"}`))
		}
		extra, want := "", http.StatusOK
		if n%2 == 0 {
			extra, want = "protect TOGGLE /toggle/* {\n grant time_based 1m\n }", http.StatusUnauthorized
		}
		if err := g.Load(bank(extra)); err != nil {
			t.Fatal(err)
		}
		for path, c := range map[string]struct {
			cookie string
			want   int
		}{"/toggle/x": {cookie, want}, "/view/x": {cookie, http.StatusOK}, "/wire/x": {cookie, http.StatusUnauthorized}, "/view/y": {"", http.StatusUnauthorized}} {
			if status, err := ask(path, c.cookie); err != nil || status != c.want {
				t.Fatalf("after reload %d: GET %s gives %d, %v; want %d", n, path, status, err, c.want)
			}
		}
		close(wait)
		for range inApplication {
			if err := <-answers; err != nil {
				t.Fatalf("reload %d: a request in the application failed: %v", n, err)
			}
		}
		for _, b := range waiting {
			if status, body, err := b.end(); err != nil || status != http.StatusCreated {
				t.Fatalf("reload %d: a request in the gateway failed: %d %s %v", n, status, body, err)
			}
		}
	}
}

// TestRevocationReachesTheOtherGeneration begins a request before a reload and
// ends it after one; meanwhile the operator revokes the grant through the new
// configuration. The old one must see that.
func TestRevocationReachesTheOtherGeneration(t *testing.T) {
	up := newCounter(t)
	g := gateway.Start(t, bank(""), gateway.Options{Upstream: up.addr})
	p := g.NewPerson("alice")
	p.Enroll(t, "")
	p.StepUp(t, "VIEW")
	// A form may hide a method, so the gate reads it before it asks for the
	// grant: until the body comes the request waits in the old generation.
	change := "protect CHANGE /change/* {\n unsafe\n grant time_based 1m\n }"
	if err := g.Load(bank(change)); err != nil {
		t.Fatal(err)
	}
	ask := func(meanwhile func()) int {
		b := beginAs(t, g, p, "application/x-www-form-urlencoded", "/view/form", "a=1")
		meanwhile()
		status, _, err := b.end()
		if err != nil {
			t.Fatal(err)
		}
		return status
	}
	if status := ask(func() {
		if err := g.Load(bank(change + "\nprotect OTHER /other/* {\n grant time_based 1m\n }")); err != nil {
			t.Fatal(err)
		}
	}); status != http.StatusOK {
		t.Errorf("the old generation refuses a live grant: %d", status)
	}
	if status := ask(func() {
		if err := g.Load(bank(change)); err != nil {
			t.Fatal(err)
		}
		if out, err := g.StepUp("revoke", "alice", "--tenant", "t"); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}); status != http.StatusUnauthorized {
		t.Errorf("the old generation passes a revoked grant: %d", status)
	}
}

// TestRejectedReloadChangesNothing loads configurations that are refused, some
// only when they are provisioned.
func TestRejectedReloadChangesNothing(t *testing.T) {
	up := newCounter(t)
	g := gateway.Start(t, bank(""), gateway.Options{Upstream: up.addr})
	p := g.NewPerson("alice")
	p.Enroll(t, "")
	p.StepUp(t, "VIEW")
	for _, bad := range []string{
		bank("protect VIEW /again/* {\n grant time_based 9m\n }"),
		bank("protect BROKEN /broken/* {\n grant time_based 48h\n }"),
		strings.Replace(bank(""), "GW_UPSTREAM", "GW_UPSTREAM\n tls /nowhere/cert.pem /nowhere/key.pem", 1),
		strings.Replace(bank(""), "key_file GW_DIR/key", "key_file GW_DIR/otherkey", 1),
		strings.Replace(bank(""), "reverse_proxy GW_UPSTREAM", "reverse_proxy GW_UPSTREAM {\n transport http {\n tls_trust_pool file /nowhere.pem\n }\n }", 1),
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
	err := other.TryRun(strings.ReplaceAll(bank(""), "GW_DIR/", g.Dir+"/"))
	if err == nil {
		t.Fatal("a second process runs on the same directory")
	}
	for _, word := range []string{g.Dir + "/data", "another process"} {
		if !strings.Contains(other.Log(), word) {
			t.Errorf("the second process does not say %q:\n%s", word, other.Log())
		}
	}
	p := g.NewPerson("alice")
	p.Enroll(t, "")
}

// TestStoreAndKeyNeedEachOther: data without its key, and a key without its
// data, refuse to start and say what to do.
func TestStoreAndKeyNeedEachOther(t *testing.T) {
	up := newCounter(t)
	g := gateway.Start(t, bank(""), gateway.Options{Upstream: up.addr})
	g.NewPerson("alice").Enroll(t, "")
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
	refused("a key without its data", "restore a backup", g.Dir+"/data") // by the mark
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
	site := strings.Replace(bank(""), "reverse_proxy GW_UPSTREAM\n", "reverse_proxy GW_UPSTREAM\n\thandle_errors {\n\t\treverse_proxy GW_UPSTREAM\n\t}\n", 1)
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
	addr := "127.0.0.1:" + freeport.Find(t)
	g := gateway.Start(t, bank(""), gateway.Options{Upstream: addr})
	p := g.NewPerson("alice")
	p.Enroll(t, "")
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
