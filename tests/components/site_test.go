//go:build components

package components

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// bankSite has a rule of each grant type. EXTRA is replaced by further rules.
const bankSite = `{` + global + `}
http://:GW_PORT {
	bind 127.0.0.1
	vars user {http.request.header.X-Test-User}
	step_up {
		tenant t
		identity placeholder {http.vars.user}
		protect WIRE /wire/* {
			grant one_time 2m
		}
		protect VIEW /view/* {
			grant time_based 10m
		}
		EXTRA
	}
	reverse_proxy GW_UPSTREAM
}
`

// bank is bankSite with further rules.
func bank(extra string) string { return strings.Replace(bankSite, "EXTRA", extra, 1) }

// counter is an upstream that counts what reaches it, by path.
type counter struct {
	mu   sync.Mutex
	seen map[string]int
	addr string
}

func newCounter(t *testing.T) *counter {
	c := &counter{seen: make(map[string]int)}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		c.mu.Lock()
		c.seen[r.URL.Path]++
		c.mu.Unlock()
		fmt.Fprintf(w, "application: %s for %s", r.URL.Path, r.Header.Get("Step-Up-User"))
	}))
	t.Cleanup(s.Close)
	c.addr = strings.TrimPrefix(s.URL, "http://")
	return c
}

func (c *counter) count(path string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen[path]
}

// get is a GET that a program makes.
func get(t *testing.T, p *gateway.Person, path string) (int, string) {
	t.Helper()
	resp, body, err := p.Do("GET", path, map[string]string{"Accept": "application/json"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// cookieHeader is all that the person's browser would send.
func cookieHeader(g *gateway.Gateway, p *gateway.Person) string {
	req, _ := http.NewRequest("GET", g.URL, nil)
	var all []string
	for _, c := range p.Client.Jar.Cookies(req.URL) {
		all = append(all, c.Name+"="+c.Value)
	}
	return strings.Join(all, "; ")
}

// begun is a request that the gateway has begun to serve and that waits for its
// body: the handler has asked for it by "100 Continue".
type begun struct {
	conn net.Conn
	r    *bufio.Reader
	body string
}

// begin sends a POST without its body and waits until it is being served. A
// connection that is lost before that is dialled again: on a reload the kernel
// drops what waits in the queue of a listener that closes, which no handler ever
// sees.
func begin(t *testing.T, g *gateway.Gateway, p *gateway.Person, path, body string) *begun {
	t.Helper()
	return beginAs(t, g, p, "application/json", path, body)
}

func beginAs(t *testing.T, g *gateway.Gateway, p *gateway.Person, contentType, path, body string) *begun {
	t.Helper()
	var err error
	for range 20 {
		var b *begun
		if b, err = tryBegin(g, p, contentType, path, body); err == nil {
			return b
		}
	}
	t.Fatalf("POST %s is not served: %v", path, err)
	return nil
}

func tryBegin(g *gateway.Gateway, p *gateway.Person, contentType, path, body string) (*begun, error) {
	conn, err := net.Dial("tcp", g.Host)
	if err != nil {
		return nil, err
	}
	b := &begun{conn: conn, r: bufio.NewReader(conn), body: body}
	conn.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\n%s: %s\r\nCookie: %s\r\nAccept: application/json\r\nContent-Type: %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n",
		path, g.Host, gateway.Header, p.Name, cookieHeader(g, p), contentType, len(body))
	line, err := b.r.ReadString('\n')
	if err == nil && !strings.HasPrefix(line, "HTTP/1.1 100 ") {
		err = fmt.Errorf("answered at once: %s", line)
	}
	if err == nil {
		_, err = b.r.ReadString('\n')
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return b, nil
}

// end sends the body and gives the answer.
func (b *begun) end() (int, string, error) {
	defer b.conn.Close()
	if _, err := io.WriteString(b.conn, b.body); err != nil {
		return 0, "", err
	}
	resp, err := http.ReadResponse(b.r, nil)
	for err == nil && resp.StatusCode == http.StatusContinue {
		resp, err = http.ReadResponse(b.r, nil) // the application's own, passed on
	}
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// patient repeats a request that no handler saw, see begin; GETs only, and only
// where a second one is as good as the first.
func patient(client *http.Client, req *http.Request) (resp *http.Response, err error) {
	for range 20 {
		if resp, err = client.Do(req); err == nil {
			return resp, nil
		}
	}
	return nil, err
}
