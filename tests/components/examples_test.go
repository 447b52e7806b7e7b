//go:build components

package components

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// example is the Caddyfile of one of the examples with this test's addresses,
// and codes good for longer. upstream is what it calls its application.
func example(t *testing.T, name, upstream string) string {
	t.Helper()
	text, err := os.ReadFile("../../examples/" + name + "/Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "\n{\n")
	if !found || !strings.Contains(after, upstream) {
		t.Fatalf("examples/%s/Caddyfile has another form than is expected here", name)
	}
	return "{\n\tadmin GW_ADMIN\n\tpersist_config off\n" + strings.NewReplacer(
		"allow_plain_http\n", "allow_plain_http\n\t\ttotp {\n\t\t\tskew 2\n\t\t}\n",
		"{$STEP_UP_DEMO:/var/tmp/step-up-demo}/", "GW_DIR/",
		"http://localhost:8080", "http://127.0.0.1:GW_PORT",
		upstream, "GW_UPSTREAM",
	).Replace(after)
}

// tap stands between the gateway and an application, and keeps what changes
// something there.
type tap struct {
	addr string

	mu   sync.Mutex
	came []passed
}

// passed is a request that went on to the application.
type passed struct {
	method, target string
	body           []byte
}

// newTap listens in front of the application at an address. Answers go back as
// they come; requests keep their Host and the address of the client.
func newTap(t *testing.T, application string) *tap {
	t.Helper()
	p := new(tap)
	proxy := &httputil.ReverseProxy{
		Transport: &http.Transport{DisableCompression: true},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: application})
			r.Out.Host = r.In.Host
			for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"} {
				if values, there := r.In.Header[name]; there {
					r.Out.Header[name] = values
				}
			}
		},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if r.Method != http.MethodGet {
			p.mu.Lock()
			p.came = append(p.came, passed{r.Method, r.RequestURI, body})
			p.mu.Unlock()
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	p.addr = strings.TrimPrefix(server.URL, "http://")
	return p
}

// take returns what came since the last call.
func (p *tap) take() []passed {
	p.mu.Lock()
	defer p.mu.Unlock()
	came := p.came
	p.came = nil
	return came
}

// visit asks for a page, and follows where it leads within the site.
func visit(t *testing.T, p *gateway.Person, path string) string {
	t.Helper()
	for range 5 {
		resp, body, err := p.Do("GET", path, map[string]string{"Accept": "text/html"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode == http.StatusOK {
			return string(body)
		}
		to, err := url.Parse(resp.Header.Get("Location"))
		if err != nil || to.Path == "" {
			t.Fatalf("%s: %s %.400s", path, resp.Status, body)
		}
		path = to.RequestURI()
	}
	t.Fatalf("%s leads on and on", path)
	return ""
}
