//go:build components

package components

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// bankSite has a rule of each grant type. EXTRA is replaced by further rules.
const bankSite = `{` + global + `}
http://:PORT {
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
	reverse_proxy UPSTREAM
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
