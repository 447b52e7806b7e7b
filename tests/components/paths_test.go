//go:build components

package components

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/readings/spellings"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

const pathsSite = `{` + global + `}
http://:GW_PORT {
	bind 127.0.0.1
	vars user {http.request.header.X-Test-User}
	step_up {
		tenant t
		identity placeholder {http.vars.user}
		protect ADMIN /admin/* {
			grant time_based 1h
		}
		protect REPORTS /reports/* {
			grant time_based 1h
		}
	}
	reverse_proxy GW_UPSTREAM
}
`

// rawClient sends request targets that no client library would send.
type rawClient struct {
	addr string
	conn net.Conn
	r    *bufio.Reader
}

func (c *rawClient) get(target, cookie string) (int, string, error) {
	for try := 0; ; try++ {
		if c.conn == nil {
			conn, err := net.Dial("tcp", c.addr)
			if err != nil {
				return 0, "", err
			}
			c.conn, c.r = conn, bufio.NewReader(conn)
		}
		c.conn.SetDeadline(time.Now().Add(20 * time.Second))
		fmt.Fprintf(c.conn, "GET %s HTTP/1.1\r\nHost: %s\r\n%s: mallory\r\nCookie: %s\r\nAccept: application/json\r\n\r\n", target, c.addr, gateway.Header, cookie)
		resp, err := http.ReadResponse(c.r, nil)
		if err != nil {
			c.close()
			if try == 0 {
				continue // the server may have closed the connection before
			}
			return 0, "", err
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.Close {
			c.close()
		}
		return resp.StatusCode, string(body), err
	}
}

func (c *rawClient) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// crossings are ways from one rule's territory into another's resource.
func crossings(target string) []string {
	if !strings.HasPrefix(target, "/") {
		return nil
	}
	var all []string
	for _, from := range []string{"/reports/..", "/reports/%2e%2e", "/reports/..;", "/reports/..%2f..", "/reports/x/..%2f..", "/reports%2f..", "/reports/..%5c", "/reports/%252e%252e", "//reports//.."} {
		all = append(all, from+target)
	}
	return all
}

// TestS06RealUpstreams sends every spelling of a protected path through the
// gateway to servers that read paths differently. The server is the judge: an
// answer with the resource's mark means that it was reached.
func TestS06RealUpstreams(t *testing.T) {
	for _, start := range []func(*testing.T) upstream{goServer, nginx, php, node} {
		u := start(t)
		t.Run(u.name, func(t *testing.T) {
			g := gateway.Start(t, pathsSite, gateway.Options{Upstream: u.addr})
			p := g.NewPerson("mallory")
			p.Enroll(t, "")
			p.StepUp(t, "REPORTS")
			cookie := cookieHeader(g, p)

			direct, front := &rawClient{addr: u.addr}, &rawClient{addr: g.Host}
			if status, body, err := front.get("/reports/list", cookie); err != nil || !strings.Contains(body, reportMark) {
				t.Fatalf("the grant does not open its own resource: %d %q %v", status, body, err)
			}
			var sent, reachable, reached int
			try := func(target, cookie string) {
				sent++
				if _, body, err := direct.get(target, ""); err == nil && strings.Contains(body, adminMark) {
					reachable++
				}
				status, body, err := front.get(target, cookie)
				if err != nil {
					t.Fatalf("%q: %v", target, err)
				}
				if strings.Contains(body, adminMark) {
					reached++
					t.Errorf("%q reached the admin page with status %d", target, status)
				}
				if reached > 20 {
					t.Fatal("and so on")
				}
			}
			for target := range spellings.Of("/admin/secret") {
				// With the other rule's grant: it must open nothing here, and
				// without a grant less would be open.
				try(target, cookie)
			}
			n := 0
			for target := range spellings.Of("/admin/secret") {
				if n++; n > 400 {
					break
				}
				for _, crossing := range crossings(target) {
					try(crossing, cookie)
				}
			}
			t.Logf("%d spellings sent, %d of which the upstream by itself takes for the resource, %d reached it", sent, reachable, reached)
			if sent < 2000 || reachable < 20 {
				t.Errorf("%d spellings, %d of them good for this upstream: too few to prove anything", sent, reachable)
			}
		})
	}
}
